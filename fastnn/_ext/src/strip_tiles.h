/* Tiles of the product that read pixels where they are: those of gemm.h, but each vector of b has
 * places of its own, one for each tap. */
#ifndef FASTNN_STRIP_TILES_H
#define FASTNN_STRIP_TILES_H

#include "gemm.h"

typedef struct {
    const T *from;
    const idx *place; /* of each tap */
} lane;

/* What is added to comes from further away than taps: asked for now it is there after the loop. */
#define FETCH(i)                                                                                   \
    __builtin_prefetch(c + i * ldc, 1);                                                            \
    __builtin_prefetch(c + i * ldc + VL, 1);

typedef void strip_tile(idx k, const T *a, const lane *b, T *c, idx ldc, const epilogue *e);

#define STRIP_TILE(m)                                                                              \
    static void strip_##m(idx k, const T *restrict a, const lane *b, T *c, idx ldc,                \
                          const epilogue *e) {                                                     \
        const T *from0 = b[0].from, *from1 = b[1].from;                                            \
        const idx *place0 = b[0].place, *place1 = b[1].place;                                      \
        if (e->accumulate) {                                                                       \
            ROWS_##m(FETCH)                                                                        \
        }                                                                                          \
        ROWS_##m(ZERO);                                                                            \
        for (idx t = 0; t < k; ++t, a += m) {                                                      \
            vec b0 = load(from0 + place0[t]), b1 = load(from1 + place1[t]);                        \
            ROWS_##m(STEP);                                                                        \
        }                                                                                          \
        ROWS_##m(PUT);                                                                             \
    }                                                                                              \
    static void strip_narrow_##m(idx k, const T *restrict a, const lane *b, T *c, idx ldc,         \
                                 const epilogue *e) {                                              \
        const T *from0 = b[0].from;                                                                \
        const idx *place0 = b[0].place;                                                            \
        ROWS_##m(ZERO_NARROW);                                                                     \
        for (idx t = 0; t < k; ++t, a += m) {                                                      \
            vec b0 = load(from0 + place0[t]);                                                      \
            ROWS_##m(STEP_NARROW);                                                                 \
        }                                                                                          \
        ROWS_##m(PUT_NARROW);                                                                      \
    }

/* Few filters: four vectors of pixels, all read in place, keep the FMA units as busy. */
#define ZERO_WIDE(i) vec x##i = {0}, y##i = {0}, z##i = {0}, u##i = {0};
#define STEP_X(i) x##i += a[i] * v;
#define STEP_Y(i) y##i += a[i] * v;
#define STEP_Z(i) z##i += a[i] * v;
#define STEP_U(i) u##i += a[i] * v;
#define PUT_WIDE(i)                                                                                \
    finish(c + i * ldc, x##i, e, i, 0);                                                            \
    finish(c + i * ldc + VL, y##i, e, i, VL);                                                      \
    finish(c + i * ldc + 2 * VL, z##i, e, i, 2 * VL);                                              \
    finish(c + i * ldc + 3 * VL, u##i, e, i, 3 * VL);
#define WIDE_TILE(m)                                                                               \
    static void wide_##m(idx k, const T *restrict a, const lane *b, T *c, idx ldc,                 \
                         const epilogue *e) {                                                      \
        const T *from0 = b[0].from, *from1 = b[1].from, *from2 = b[2].from, *from3 = b[3].from;    \
        const idx *place = b[0].place;                                                             \
        ROWS_##m(ZERO_WIDE);                                                                       \
        for (idx t = 0; t < k; ++t, a += m) {                                                      \
            idx p = place[t];                                                                      \
            vec v = load(from0 + p);                                                               \
            ROWS_##m(STEP_X);                                                                      \
            v = load(from1 + p);                                                                   \
            ROWS_##m(STEP_Y);                                                                      \
            v = load(from2 + p);                                                                   \
            ROWS_##m(STEP_Z);                                                                      \
            v = load(from3 + p);                                                                   \
            ROWS_##m(STEP_U);                                                                      \
        }                                                                                          \
        ROWS_##m(PUT_WIDE);                                                                        \
    }

enum { WIDE = MR / 2 }; /* as many accumulators in 4 vectors as MR rows have in 2 */

STRIP_TILE(1)
STRIP_TILE(2)
STRIP_TILE(3)
STRIP_TILE(4)
WIDE_TILE(1)
WIDE_TILE(2)
#if MR > 4
STRIP_TILE(5)
STRIP_TILE(6)
WIDE_TILE(3)
#endif
#if MR > 6
STRIP_TILE(7)
STRIP_TILE(8)
WIDE_TILE(4)
#endif
#if MR > 8
STRIP_TILE(9)
STRIP_TILE(10)
STRIP_TILE(11)
STRIP_TILE(12)
WIDE_TILE(5)
WIDE_TILE(6)
#endif

#undef BOTH
#define BOTH(m) {strip_narrow_##m, strip_##m, 0}
#define ALL(m) {strip_narrow_##m, strip_##m, wide_##m}
static strip_tile *const strip_tiles[MR + 1][3] = {
    {0, 0, 0}, ALL(1),  ALL(2),
#if MR == 4
    BOTH(3),   BOTH(4),
#elif MR == 6
    ALL(3),    BOTH(4), BOTH(5), BOTH(6),
#elif MR == 8
    ALL(3),    ALL(4), BOTH(5), BOTH(6), BOTH(7), BOTH(8),
#else
    ALL(3),    ALL(4), ALL(5), ALL(6), BOTH(7), BOTH(8), BOTH(9), BOTH(10), BOTH(11), BOTH(12),
#endif
};

#endif
