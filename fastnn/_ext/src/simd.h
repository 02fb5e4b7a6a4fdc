/* Element type T, vectors of VL elements and mangled names, for one build of a kernel source.
 *
 * The build gives FASTNN_BITS (32 or 64) and FASTNN_ISA (baseline, avx2, avx512); vectors are GCC
 * and Clang vector extensions, so one source serves every instruction set. */
#ifndef FASTNN_SIMD_H
#define FASTNN_SIMD_H

#include "fastnn.h"

#include <string.h>

#if FASTNN_BITS == 32
typedef float T;
typedef int32_t I;
#define FASTNN_TYPE f32
#elif FASTNN_BITS == 64
typedef double T;
typedef int64_t I;
#define FASTNN_TYPE f64
#else
#error "FASTNN_BITS must be 32 or 64"
#endif

#define FASTNN_PASTE(name, type, isa) fastnn_##name##_##type##_##isa
#define FASTNN_NAME(name, type, isa) FASTNN_PASTE(name, type, isa)
#define FN(name) FASTNN_NAME(name, FASTNN_TYPE, FASTNN_ISA)

/* MR rows of the product's tile: 2*MR accumulators, two vectors of b and a broadcast must fit the
 * registers (32 on AVX-512 and aarch64, else 16; without FMA the product needs one more). */
#if defined(__AVX512F__)
#define VB 64
#define MR 12
#elif defined(__AVX2__) && defined(__FMA__)
#define VB 32
#define MR 6
#elif defined(__aarch64__) || defined(FASTNN_TILES_OF_ARM) /* to try them elsewhere */
#define VB 16
#define MR 8
#else
#define VB 16
#define MR 4
#endif

/* The next loop, at most n times round, written out. Clang does not follow a count where bounds are
 * constants only after inlining: sums would stay in memory. */
#ifdef __clang__
#define UNROLL(n) _Pragma("clang loop unroll(full)")
#else
#define PRAGMA(text) _Pragma(#text)
#define UNROLL(n) PRAGMA(GCC unroll n)
#endif

#define VL ((idx)(VB / sizeof(T)))
#define NR (2 * VL)

typedef T vec __attribute__((vector_size(VB)));
typedef I ivec __attribute__((vector_size(VB)));
/* The same at any address. */
typedef T vecu __attribute__((vector_size(VB), aligned(sizeof(T)), may_alias));

static inline vec load(const T *p) { return *(const vecu *)p; }
static inline void store(T *p, vec v) { *(vecu *)p = v; }
static inline vec splat(T s) { return s - (vec){0}; }
/* GCC makes three operations of the bits where AVX2 has one. */
static inline vec select(ivec mask, vec yes, vec no) {
#if VB == 32 && FASTNN_BITS == 32
    return __builtin_ia32_blendvps256(no, yes, (vec)mask);
#elif VB == 32
    return __builtin_ia32_blendvpd256(no, yes, (vec)mask);
#else
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
#endif
}

/* 0, 1, 2 ... for a vector, and in one. */
#if VB * 8 / FASTNN_BITS == 2
#define NUMBERS 0, 1
#elif VB * 8 / FASTNN_BITS == 4
#define NUMBERS 0, 1, 2, 3
#elif VB * 8 / FASTNN_BITS == 8
#define NUMBERS 0, 1, 2, 3, 4, 5, 6, 7
#else
#define NUMBERS 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#endif
#define COUNT ((ivec){NUMBERS})

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define JOINS (VB > 16) /* whether `join` is there */
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#define JOINS 0
#endif

#if JOINS
typedef T halfu __attribute__((vector_size(VB / 2), aligned(sizeof(T)), may_alias));
/* A vector of two halves from memory. */
static inline vec join(const T *low, const T *high) {
    return __builtin_shufflevector(*(const halfu *)low, *(const halfu *)high, NUMBERS);
}
#endif

/* EVENS, ODDS: every other element of two vectors; ZIP_LOW, ZIP_HIGH: the halves of two,
 * interleaved. */
#if FASTNN_BITS * 2 == VB * 8
#define EVENS 0, 2
#define ODDS 1, 3
#define ZIP_LOW 0, 2
#define ZIP_HIGH 1, 3
#elif FASTNN_BITS * 4 == VB * 8
#define EVENS 0, 2, 4, 6
#define ODDS 1, 3, 5, 7
#define ZIP_LOW 0, 4, 1, 5
#define ZIP_HIGH 2, 6, 3, 7
#elif FASTNN_BITS * 8 == VB * 8
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#define ZIP_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define ZIP_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

/* x[0], x[2], x[4] ... in a vector; reads one number more than it takes. */
static inline vec evens(const T *x) { return SHUFFLE(load(x), load(x + VL), EVENS); }
/* x[1], x[3], x[5] ... in a vector. */
static inline vec odds(const T *x) { return SHUFFLE(load(x), load(x + VL), ODDS); }
/* x[0], x[2] ... = even, x[1], x[3] ... = odd. */
static inline void interleave(T *x, vec even, vec odd) {
    store(x, SHUFFLE(even, odd, ZIP_LOW));
    store(x + VL, SHUFFLE(even, odd, ZIP_HIGH));
}

static inline idx least(idx a, idx b) { return a < b ? a : b; }
static inline idx most(idx a, idx b) { return a > b ? a : b; }
static inline idx ceil_div(idx a, idx b) { return (a + b - 1) / b; }
static inline idx round_up(idx a, idx b) { return ceil_div(a, b) * b; }

/* First of `size` things in part i of `parts`: parts differ by one at most. */
static inline idx part(idx size, idx parts, idx i) { return size * i / parts; }

/* Bytes of `n` elements, rounded up to whole cache lines. */
static inline size_t line_bytes(idx n) { return ((size_t)n * sizeof(T) + 63) / 64 * 64; }

#endif
