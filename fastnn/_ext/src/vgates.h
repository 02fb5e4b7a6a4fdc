/* Vector sigmoid and tanh for the gates of recurrent layers, within 3 units in the last place.
 *
 * Gates are a quarter of a layer's time, so these do less than those of vmath.h: one scaling by 2^n
 * as an addition to the exponent, for nothing here is subnormal, and the shortest polynomial. */
#ifndef FASTNN_VGATES_H
#define FASTNN_VGATES_H

#include "vmath.h"

/* exp(r) = 1 + r + r^2 p(r) on |r| <= ln(2)/2 by Remez' algorithm, off by 2^-28 (float32) and 2^-58
 * (float64), highest power first. */
static const T gate_term[] = {
#if FASTNN_BITS == 32
    0x1.6db42ap-10f, 0x1.123b56p-7f, 0x1.55545ep-5f, 0x1.55548ep-3f, 0x1p-1f,
#else
    0x1.af857a5042f7ep-26, 0x1.28b049009386bp-22, 0x1.71dddfd3a60bap-19, 0x1.a0199693cf72ep-16,
    0x1.a01a01badf235p-13, 0x1.6c16c185a751dp-10, 0x1.111111110d642p-7,  0x1.5555555550030p-5,
    0x1.5555555555561p-3,  0x1.000000000000bp-1,
#endif
};

/* exp(z) - 1 = 2^n q + (2^n - 1). */
typedef struct {
    ivec n; /* in the place of the exponent */
    vec q;  /* exp(r) - 1 */
} gate_parts;

static inline gate_parts gate_reduce(vec z) {
    exp_parts e = reduce_by_ln2(z);
    return (gate_parts){exponent(e) << MANTISSA_BITS, e.r * e.r * POLYNOMIAL(e.r, gate_term) + e.r};
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
