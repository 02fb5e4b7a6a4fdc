/* What the sources about pooling share: strided vectors, and windows along one axis. */
#ifndef FASTNN_POOL_H
#define FASTNN_POOL_H

#include "simd.h"

/* x[0], x[step], x[2*step] ... in a vector; touches no other numbers. */
static inline vec lanes(const T *x, idx step) {
    vec value;
    for (idx j = 0; j < VL; ++j) value[j] = x[j * step];
    return value;
}

/* The same, faster; see `strided_reach`. */
static inline vec strided(const T *x, idx step) {
    return step == 1 ? load(x) : step == 2 ? evens(x) : lanes(x, step);
}

/* Numbers that reading the first n such elements in whole vectors may touch. */
static inline idx strided_reach(idx n, idx step) { return step == 2 ? 2 * n : (n - 1) * step + 1; }

typedef struct {
    idx first, last, count;
} span;

/* Cells [first, last) of window i that are inside the image, and how many an average counts.
 * Adaptive ones, from floor(i*size/steps) to ceil((i+1)*size/steps), without overflow. */
static inline span window(const fastnn_axis *a, idx i, int padding_counts) {
    if (a->taps == 0) {
        idx whole = a->size / a->steps, rest = a->size % a->steps;
        idx first = whole * i + rest * i / a->steps;
        idx last = whole * (i + 1) + ceil_div(rest * (i + 1), a->steps);
        return (span){first, last, last - first};
    }
    idx start = i * a->stride - a->before, end = least(start + a->taps, a->size + a->after);
    idx first = most(start, 0), last = least(end, a->size);
    return (span){first, last, padding_counts ? end - start : last - first};
}

#endif
