/* Vector sigmoid and tanh for the gates of recurrent layers, within 3 units in the last place.
 *
 * Gates are a quarter of a layer's time, so these do less than those of vmath.h: one scaling by 2^n
 * as an addition to the exponent, for nothing here is subnormal. */
#ifndef FASTNN_VGATES_H
#define FASTNN_VGATES_H

#include "vmath.h"

/* exp(z) - 1 = 2^n q + (2^n - 1). */
typedef struct {
    ivec n; /* in the place of the exponent */
    vec q;  /* exp(r) - 1 */
} gate_parts;

static inline gate_parts gate_reduce(vec z) {
    exp_parts e = reduce_by_ln2(z);
    return (gate_parts){exponent(e) << MANTISSA_BITS, exp_rest(e.r)};
}

/* 1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)) below 0: both are right to the last digits. It stays
 * at the least normal number from its logarithm on. */
static inline vec gate_sigmoid(vec x) {
    const T far = FASTNN_BITS == 32 ? -87.337f : -708.397;
    gate_parts p = gate_reduce(at_least((vec)((ivec)x | sign_bit(splat(-1))), far));
    vec e = (vec)((ivec)(splat(1) + p.q) + p.n);
    return select(x < splat(0), e, splat(1)) / (splat(1) + e);
}

/* tanh|x| = -q / (2 + q), q = exp(-2|x|) - 1: no digits cancel. From 10 (float32) or 20 (float64)
 * on the result is 1 to the last digit. */
static inline vec gate_tanh(vec x) {
    vec size = at_most(vabs(x), FASTNN_BITS == 32 ? 10 : 20);
    gate_parts p = gate_reduce(splat(-2) * size);
    vec scale = (vec)((ivec)splat(1) + p.n);
    vec q = p.q * scale + (scale - splat(1));
    return (vec)((ivec)(q / (splat(-2) - q)) | sign_bit(x));
}

#endif
