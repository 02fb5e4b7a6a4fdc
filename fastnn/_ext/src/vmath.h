/* Vector functions of our own: the same bits on every machine of an instruction set.
 *
 * Worst errors in ULP, subnormal arguments and results included, the worst of baseline and AVX-512
 * (AVX2 has the same arithmetic):
 *
 *              vexp  vexpm1  vtanh  vsigmoid  vlog  vlog1p  vnormal  vgelu
 *     float32  1.17    1.66   2.58      2.36  0.84    1.40     4.44   4.96
 *     float64  1.19    1.77   2.43      2.29  0.82    1.33     3.19   3.69
 *
 * float32 against the C library in float64 on every 11th of the 2^32 numbers (the logarithms with
 * AVX-512 on all), float64 against it in long double on 10^7 random bit patterns and 10^7 numbers
 * where the function is neither constant nor linear (logarithms 10^8 of each; the last two 12,000
 * from -38 to 8 against 40 digits).
 *
 * NaN gives NaN, and infinities give the limits. tests/test_vmath.py holds a sample to 4 ULP. */
#ifndef FASTNN_VMATH_H
#define FASTNN_VMATH_H

#include "simd.h"

#include <math.h>

#if FASTNN_BITS == 32
enum { MANTISSA_BITS = 23, EXPONENT_BIAS = 127 };
#define LEAST_NORMAL 0x1p-126f
/* n * LN2_HIGH is exact for every exponent n. */
#define LN2_HIGH 0x1.62ep-1f
#define LN2_LOW 0x1.0bfbe8p-15f
#define UPPER_HALF 0xfffff000 /* of the bits of a significand */
#define MINIMUM "vminps"
#define MAXIMUM "vmaxps"
#define SCALE "vscalefps"
#define FUSED "vfmsub231ps"
#else
enum { MANTISSA_BITS = 52, EXPONENT_BIAS = 1023 };
#define LEAST_NORMAL 0x1p-1022
#define LN2_HIGH 0x1.62e42fefa38p-1
#define LN2_LOW 0x1.ef35793c7673p-45
#define UPPER_HALF 0xfffffffff8000000
#define MINIMUM "vminpd"
#define MAXIMUM "vmaxpd"
#define SCALE "vscalefpd"
#define FUSED "vfmsub231pd"
#endif

/* The first `size` numbers at p, fewer than a vector has; the others are `fill`. */
static inline vec load_rest(const T *p, idx size, T fill) {
    vec v = splat(fill);
    memcpy(&v, p, (size_t)size * sizeof(T));
    return v;
}
static inline void store_rest(T *p, idx size, vec v) { memcpy(p, &v, (size_t)size * sizeof(T)); }

static inline ivec sign_bit(vec x) { return (ivec)x & (ivec)splat(-(T)0); }
static inline vec vabs(vec x) { return (vec)((ivec)x & ~(ivec)splat(-(T)0)); }
/* The smaller and the larger, y if one is NaN: x86's instructions give the operand that is named
 * first here, and GCC does not find them where x is a constant. */
#if defined(__AVX2__)
static inline vec smaller(vec x, vec y) {
    vec z;
    __asm__(MINIMUM " %1, %2, %0" : "=v"(z) : "v"(y), "v"(x));
    return z;
}
static inline vec larger(vec x, vec y) {
    vec z;
    __asm__(MAXIMUM " %1, %2, %0" : "=v"(z) : "v"(y), "v"(x));
    return z;
}
#else
static inline vec smaller(vec x, vec y) { return select(x < y, x, y); }
static inline vec larger(vec x, vec y) { return select(x > y, x, y); }
#endif

/* NaN stays NaN in both. */
static inline vec at_most(vec x, T limit) { return smaller(splat(limit), x); }
static inline vec at_least(vec x, T limit) { return larger(splat(limit), x); }

/* 2^n for whole n of normal numbers. */
static inline vec power_of_2(ivec n) { return (vec)((n + EXPONENT_BIAS) << MANTISSA_BITS); }

/* term[0] x^(terms-1) + ... + term[terms-1]. */
static inline vec polynomial(vec x, const T *term, int terms) {
    vec p = splat(term[0]);
    UNROLL(32)
    for (int i = 1; i < terms; ++i) p = p * x + splat(term[i]);
    return p;
}
#define POLYNOMIAL(x, term) polynomial(x, term, (int)(sizeof(term) / sizeof(*term)))

/* x = n ln 2 + r, |r| <= ln(2)/2, for |x| of at most about 1100. */
typedef struct {
    vec shifted, whole, r; /* n in the low bits of a number, n itself */
} exp_parts;

/* Its last digit is 1. */
#define MAGIC ((T)(FASTNN_BITS == 32 ? 0x1.8p23 : 0x1.8p52))

static inline exp_parts reduce_by_ln2(vec x) {
    vec shifted = x * splat((T)1.4426950408889634) + splat(MAGIC);
    vec n = shifted - splat(MAGIC);
    return (exp_parts){shifted, n, x - n * splat(LN2_HIGH) - n * splat(LN2_LOW)};
}

static inline ivec exponent(exp_parts e) { return (ivec)e.shifted - (ivec)splat(MAGIC); }

/* p 2^n for whole n and 1/2 <= |p| < 2, rounded once where the result is subnormal: AVX-512 has an
 * instruction for it, else 2^n comes in two halves, either of them normal. */
static inline vec scaled(vec p, exp_parts e) {
#if defined(__AVX512F__)
    vec y;
    __asm__(SCALE " %2, %1, %0" : "=v"(y) : "v"(p), "v"(e.whole));
    return y;
#else
    ivec n = exponent(e), half = n >> 1;
    return p * power_of_2(half) * power_of_2(n - half);
#endif
}

/* exp(r) = 1 + r + r^2 p(r) on |r| <= ln(2)/2 by Remez' algorithm, off by 2^-28 (float32) and 2^-58
 * (float64), highest power first. */
static const T exp_term[] = {
#if FASTNN_BITS == 32
    0x1.6db42ap-10f,
    0x1.123b56p-7f,
    0x1.55545ep-5f,
    0x1.55548ep-3f,
    0x1p-1f,
#else
    0x1.af857a5042f7ep-26,
    0x1.28b049009386bp-22,
    0x1.71dddfd3a60bap-19,
    0x1.a0199693cf72ep-16,
    0x1.a01a01badf235p-13,
    0x1.6c16c185a751dp-10,
    0x1.111111110d642p-7,
    0x1.5555555550030p-5,
    0x1.5555555555561p-3,
    0x1.000000000000bp-1,
#endif
    1,
    1};
enum { EXP_TERMS = sizeof(exp_term) / sizeof(*exp_term) };

/* exp(r) - 1: what is added to r keeps its digits. */
static inline vec exp_rest(vec r) { return r * r * polynomial(r, exp_term, EXP_TERMS - 2) + r; }

enum { EXP_LEAST = FASTNN_BITS == 32 ? -104 : -746, EXP_MOST = FASTNN_BITS == 32 ? 89 : 710 };

/* exp(x) = 2^n exp(r), r = x - n ln 2, for x from EXP_LEAST to EXP_MOST. */
static inline vec exp_within(vec x) {
    exp_parts e = reduce_by_ln2(x);
    return scaled(POLYNOMIAL(e.r, exp_term), e);
}

static inline vec vexp(vec x) { return exp_within(at_most(at_least(x, EXP_LEAST), EXP_MOST)); }

/* The same for x <= 0. */
static inline vec vexp_fall(vec x) { return exp_within(at_least(x, EXP_LEAST)); }

/* exp(x) - 1 = 2^n q + (2^n - 1), q = exp(r) - 1 from the same series; halves of it are added up,
 * for 2^n itself may overflow. */
static inline vec vexpm1(vec x) {
    vec near = FASTNN_BITS == 32 ? at_most(at_least(x, -20), 89) : at_most(at_least(x, -40), 710);
    exp_parts e = reduce_by_ln2(near);
    vec q = exp_rest(e.r);
    vec half = power_of_2(exponent(e) - 1), sum = half * q + (half - splat((T).5));
    return (vec)((ivec)select(e.whole == splat(0), q, sum + sum) | sign_bit(x));
}

/* tanh|x| = q / (q + 2), q = exp(2|x|) - 1; 1 where the next number below 1 is further away. */
static inline vec vtanh(vec x) {
    vec q = vexpm1(at_most(vabs(x), FASTNN_BITS == 32 ? 10 : 20) * splat(2));
    return (vec)((ivec)(q / (q + splat(2))) | sign_bit(x));
}

/* 1 / (1 + e) and e / (1 + e), e = exp(-|x|): nothing overflows or cancels on either side. */
static inline vec vsigmoid(vec x) {
    vec e = vexp_fall(-vabs(x));
    return select(x >= splat(0), splat(1), e) / (splat(1) + e);
}

/* log(1 + f) + n ln 2 for 1 + f in [sqrt(1/2), sqrt(2)): with s = f / (2 + f), log(1 + f) =
 * 2 atanh(s) by its Taylor series up to s^9 (float32) and s^21 (float64), in the arrangement of
 * K. C. Ng's fdlibm (e_log.c), which rounds f last. */
static inline vec log_sum(vec f, vec n) {
#if FASTNN_BITS == 32
    static const T term[] = {2.f / 9, 2.f / 7, 2.f / 5, 2.f / 3};
#else
    static const T term[] = {2. / 21, 2. / 19, 2. / 17, 2. / 15, 2. / 13,
                             2. / 11, 2. / 9,  2. / 7,  2. / 5,  2. / 3};
#endif
    vec s = f / (splat(2) + f), z = s * s, half = splat((T).5) * f * f;
    vec rest = s * (half + z * POLYNOMIAL(z, term)) + n * splat(LN2_LOW);
    return n * splat(LN2_HIGH) - ((half - rest) - f);
}

/* What a logarithm of w is outside of (0, inf). */
static inline vec log_limits(vec w, vec inside) {
    vec outside = select(w == splat(0), splat(-(T)INFINITY), splat((T)NAN));
    outside = select(w == splat((T)INFINITY), w, outside);
    return select((w > splat(0)) & (w < splat((T)INFINITY)), inside, outside);
}

/* n with w / 2^n in [sqrt(1/2), sqrt(2)), for normal w > 0. */
static inline ivec nearest_power(vec w) {
    return ((ivec)w - (ivec)splat((T)0.7071067811865476)) >> MANTISSA_BITS;
}

static inline vec vlog(vec x) {
    ivec tiny = x < splat(LEAST_NORMAL);
    vec w = select(tiny, x * splat((T)(FASTNN_BITS == 32 ? 0x1p24 : 0x1p53)), x);
    ivec n = nearest_power(w), lift = tiny & (ivec)((ivec){0} + MANTISSA_BITS + 1);
    vec m = (vec)((ivec)w - (n << MANTISSA_BITS));
    return log_limits(x, log_sum(m - splat(1), __builtin_convertvector(n - lift, vec)));
}

/* log(1 + u), where the rounding error of w = 1 + u is put back. */
static inline vec vlog1p(vec u) {
    vec w = splat(1) + u;
    vec lost = select(u > splat(1), splat(1) - (w - u), u - (w - splat(1)));
    ivec n = nearest_power(w);
    vec m = (vec)((ivec)w - (n << MANTISSA_BITS));
    lost *= select(n > MANTISSA_BITS + 1, splat(0), power_of_2(-n));
    return log_limits(w, log_sum(m - splat(1) + lost, __builtin_convertvector(n, vec)));
}

/* a^2/2 in two parts. The second is exact, or all but. */
typedef struct {
    vec high, low;
} half_square;

static inline half_square square_half(vec a) {
#if defined(__AVX2__)
    vec half = splat((T).5) * a, high = half * a, low = high;
    __asm__(FUSED " %2, %1, %0" : "+v"(low) : "v"(half), "v"(a));
    return (half_square){high, low};
#else
    vec upper = (vec)((ivec)a & (I)UPPER_HALF);
    return (half_square){splat((T).5) * upper * upper, splat((T).5) * (a - upper) * (a + upper)};
#endif
}

/* Of the standard normal distribution at a = |x|, of a far tail what does not vanish: exp(-a^2/2) =
 * 2^n bell, and its integral from a on is 2^n bell ratio. a^2 is exact so that far tails keep their
 * digits, which 1 + erf(x / sqrt(2)) would lose.
 *
 * The ratio is (1 / sqrt(2 pi) + over / under) / (a + shift): the quotient of two polynomials, by
 * least squares with Lawson's weights, goes to 0 with growing a, and so do its rounding errors. It
 * leaves the ratio off by 2^-27 (float32) and 2^-60 (float64). */
typedef struct {
    vec a, bell, ratio;
    exp_parts n;
} normal_parts;

static inline normal_parts vnormal_parts(vec x) {
#if FASTNN_BITS == 32
    const T far = 14.5f, shift = 1.5f;
    static const T over[] = {0x1.48b1bcp-7f, 0x1.3b47d8p-4f, 0x1.259fb6p-2f, 0x1.13a56cp-1f,
                             0x1.677bacp-2f};
    static const T under[] = {0x1.12a596p-6f, 0x1.1e4474p-3f, 0x1.2de122p-1f,
                              0x1.64bceap+0f, 0x1.d05beep+0f, 0x1p+0f};
#else
    const T far = 39, shift = 2;
    static const T over[] = {0x1.56e2d7525bfbdp-21, 0x1.338885233eec7p-16, 0x1.12a92f935c246p-12,
                             0x1.3b421a2586db4p-9,  0x1.fd60330cfef56p-7,  0x1.2c8399b3a0498p-4,
                             0x1.0501e84f84e0ap-2,  0x1.486e6dabebcd7p-1,  0x1.1d9d89d573c44p+0,
                             0x1.3458cc0cd959dp+0,  0x1.33bdd6615e4d7p-1};
    static const T under[] = {0x1.adbe7666f480ap-21, 0x1.88268b0e66b91p-16, 0x1.65549619d5755p-12,
                              0x1.a45b65e3d714p-9,   0x1.5e721cc1716f3p-6,  0x1.af395a49f9b5dp-4,
                              0x1.8d262b5d75687p-2,  0x1.10772e52ee595p+0,  0x1.0fe1ba5bd26aap+1,
                              0x1.76a2b610e60d3p+1,  0x1.3ff0bef675e5p+1,   0x1p+0};
#endif
    vec a = at_most(vabs(x), far);
    half_square s = square_half(a);
    vec quotient = POLYNOMIAL(a, over) / POLYNOMIAL(a, under);
    vec ratio = (splat((T)0.3989422804014327) + quotient) / (a + splat(shift));
    exp_parts e = reduce_by_ln2(-s.high);
    return (normal_parts){a, POLYNOMIAL(e.r - s.low, exp_term), ratio, e};
}

/* The integral up to x. */
static inline vec vnormal(vec x) {
    normal_parts p = vnormal_parts(x);
    vec tail = scaled(p.bell * p.ratio, p.n);
    return select(x > splat(0), splat(1) - tail, tail);
}

/* x times the integral up to x; far below zero -0, as the product is. */
static inline vec vgelu(vec x) {
    normal_parts p = vnormal_parts(x);
    vec sign = (vec)((ivec)x & (ivec)splat((T)-0.0));
    return select(x <= 0, sign, x) - scaled(p.a * p.bell * p.ratio, p.n);
}

#endif
