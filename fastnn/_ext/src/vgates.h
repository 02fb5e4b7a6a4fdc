/* Vector sigmoid and tanh for the gates of recurrent layers, within 3 units in the last place. */
#ifndef FASTNN_VGATES_H
#define FASTNN_VGATES_H

#include "vmath.h"

static inline vec gate_magnitude(vec x) { return select(x < splat(0), -x, x); }

/* 1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)) below 0: both are right to the last digits. */
static inline vec gate_sigmoid(vec x) {
    vec e = vexp(-gate_magnitude(x));
    return select(x < splat(0), e, splat(1)) / (splat(1) + e);
}

/* tanh|x| = -q / (2 + q), q = exp(-2|x|) - 1 = 2^n p(r) + (2^n - 1): no digits cancel, since p has
 * no constant term (as in Cody and Waite's expm1; the Taylor terms are vexp's). From 10 (float32)
 * or 20 (float64) on the result is 1 to the last digit. */
static inline vec gate_tanh(vec x) {
#if FASTNN_BITS == 32
    const T far = 10.f, magic = 12582912.f; /* 1.5 * 2^23 */
    const T ln2_high = 0x1.62ep-1f, ln2_low = 0x1.0bfbe8p-15f;
    const int mantissa = 23, bias = 127, terms = 7;
#else
    const T far = 20., magic = 6755399441055744.; /* 1.5 * 2^52 */
    const T ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;
    const int mantissa = 52, bias = 1023, terms = 14;
#endif
    static const T over[] = {1. / 87178291200, 1. / 6227020800,
                             1. / 479001600,   1. / 39916800,
                             1. / 3628800,     1. / 362880,
                             1. / 40320,       1. / 5040,
                             1. / 720,         1. / 120,
                             1. / 24,          1. / 6,
                             1. / 2,           1.};
    vec size = gate_magnitude(x);
    vec z = splat(-2) * select(size > splat(far), splat(far), size);
    vec shifted = z * splat((T)1.4426950408889634) + splat(magic);
    vec n = shifted - splat(magic);
    vec r = z - n * splat(ln2_high) - n * splat(ln2_low);
    vec p = splat(over[14 - terms]);
    for (int i = 15 - terms; i < 13; ++i) p = p * r + splat(over[i]);
    p = p * r * r + r;
    ivec whole = (ivec)shifted - (ivec)splat(magic);
    vec scale = (vec)((whole + bias) << mantissa);
    vec q = p * scale + (scale - splat(1));
    vec result = -q / (splat(2) + q);
    return select(x < splat(0), -result, result);
}

#endif
