/* Winograd's transforms along one axis, on vectors: m outputs of a 3-tap filter from m+2 cells.
 *
 * For points p with N(x) = product of (x - p): row p of the cells' matrix B^T has the coefficients
 * of N(x)/(x - p), row infinity those of N; row p of the filters' G is [1 p p^2] / N'(p), row
 * infinity [0 0 1]; column p of the results' A^T is [1 p .. p^(m-1)], column infinity
 * [0 .. 0 1] (S. Winograd 1980; A. Lavin, S. Gray, arXiv 1509.09308). m = 2 has the points
 * 0, 1, -1: all numbers are powers of two. m = 4 adds 1/2 and -2, which lose fewer digits than the
 * usual 2 and -2 (B. Barabasz et al., arXiv 1803.10986). In two dimensions each is applied along
 * columns, then along rows.
 *
 * The gradient of the filters is the same algorithm read backwards (transposition principle):
 * G^T [(A dy A^T) o (B^T x B)] G. */
#ifndef FASTNN_WINOGRAD_H
#define FASTNN_WINOGRAD_H

#include "simd.h"

#define INLINE static inline __attribute__((always_inline))

/* B^T: cells of x. */
INLINE void winograd_cells(idx m, const vec *d, vec *t) {
    if (m == 2) {
        t[0] = d[0] - d[2];
        t[1] = d[1] + d[2];
        t[2] = d[2] - d[1];
        t[3] = d[3] - d[1];
    } else {
        vec u = d[3] - d[1], v = d[4] - d[2];
        t[0] = (d[0] - d[2]) + v + (T)1.5 * u;
        t[1] = (u + v) + (T)1.5 * (d[2] + d[3]);
        t[2] = (v - u) + (T)1.5 * (d[3] - d[2]);
        t[3] = v + (T)2 * u;
        t[4] = v - (T)0.5 * u;
        t[5] = (d[5] - d[3]) - u + (T)1.5 * v;
    }
}

/* G: the taps of a filter. */
INLINE void winograd_taps(idx m, const vec *g, vec *t) {
    vec even = g[0] + g[2];
    if (m == 2) {
        t[0] = g[0];
        t[1] = (T)0.5 * (even + g[1]);
        t[2] = (T)0.5 * (even - g[1]);
        t[3] = g[2];
    } else {
        t[0] = g[0];
        t[1] = (T)(1. / 3) * (even + g[1]);
        t[2] = (T)(1. / 3) * (g[1] - even);
        t[3] = (T)(-16. / 15) * (g[0] + (T)0.5 * g[1] + (T)0.25 * g[2]);
        t[4] = (T)(1. / 15) * (g[0] - (T)2 * g[1] + (T)4 * g[2]);
        t[5] = g[2];
    }
}

/* A^T: results. */
INLINE void winograd_results(idx m, const vec *t, vec *y) {
    vec sum = t[1] + t[2], difference = t[1] - t[2];
    if (m == 2) {
        y[0] = t[0] + sum;
        y[1] = difference + t[3];
    } else {
        y[0] = (t[0] + sum) + (t[3] + t[4]);
        y[1] = difference + (T)0.5 * t[3] - (T)2 * t[4];
        y[2] = sum + (T)0.25 * t[3] + (T)4 * t[4];
        y[3] = (difference + t[5]) + (T)0.125 * t[3] - (T)8 * t[4];
    }
}

/* A: gradients of results. */
INLINE void winograd_spread(idx m, const vec *y, vec *t) {
    if (m == 2) {
        t[0] = y[0];
        t[1] = y[0] + y[1];
        t[2] = y[0] - y[1];
        t[3] = y[1];
    } else {
        vec even = y[0] + y[2], odd = y[1] + y[3];
        t[0] = y[0];
        t[1] = even + odd;
        t[2] = even - odd;
        t[3] = (y[0] + (T)0.25 * y[2]) + (T)0.5 * (y[1] + (T)0.25 * y[3]);
        t[4] = (y[0] + (T)4 * y[2]) - (T)2 * (y[1] + (T)4 * y[3]);
        t[5] = y[3];
    }
}

/* G^T: gradients of taps. */
INLINE void winograd_gather(idx m, const vec *t, vec *g) {
    if (m == 2) {
        vec sum = (T)0.5 * (t[1] + t[2]);
        g[0] = t[0] + sum;
        g[1] = (T)0.5 * (t[1] - t[2]);
        g[2] = sum + t[3];
    } else {
        vec near = (T)(1. / 3) * (t[1] - t[2]), a = (T)(-16. / 15) * t[3], b = (T)(1. / 15) * t[4];
        g[0] = (t[0] + near) + (a + b);
        g[1] = (T)(1. / 3) * (t[1] + t[2]) + (T)0.5 * a - (T)2 * b;
        g[2] = (near + t[5]) + (T)0.25 * a + (T)4 * b;
    }
}

#endif
