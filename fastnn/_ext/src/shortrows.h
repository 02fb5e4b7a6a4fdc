/* Statistics of many short rows at once, a row per lane.
 *
 * The total of one vector is a chain of waiting instructions, as long as a row of a hundred numbers
 * takes; VL vectors are added up together by halving them in pairs. A row's bits depend on that
 * row alone, for all lanes are added up in the same order. */
#ifndef FASTNN_SHORTROWS_H
#define FASTNN_SHORTROWS_H

#include "sums.h"

#include <math.h>

enum { LANES = VB / sizeof(T) };
enum { TOGETHER = 4 }; /* long rows whose gradients are written in one pass */
enum { TERMS = (int)LANES > (int)TOGETHER ? (int)LANES : (int)TOGETHER };

/* Rows of at least a vector whose block stays in the first cache level. */
static inline int is_short(idx size) { return size >= VL && size * VL * (idx)sizeof(T) <= 16384; }

/* Lane j: the total of s[j]. */
static inline vec totals(vec *s) {
    UNROLL(16)
    for (int n = LANES; n > 1; n /= 2) {
        UNROLL(16)
        for (int i = 0; i < n / 2; ++i)
            s[i] = SHUFFLE(s[2 * i], s[2 * i + 1], EVENS) + SHUFFLE(s[2 * i], s[2 * i + 1], ODDS);
    }
    return s[0];
}

/* Lanes whose total is that of a row. */
static inline vec lane_sums(const T *row, idx size) {
    idx last = size - VL, rest = size % VL;
    vec s = rest ? last_of(row + size, rest) : (vec){0};
    for (idx i = 0; i <= last; i += VL) s += load(row + i);
    return s;
}

/* mean[j] and 1 / sqrt(variance + eps) of row j, of `some` rows; see row_moments. */
static inline void short_statistics(const T *x, idx size, idx some, int centred, double eps,
                                    double *mean, double *inverse) {
    vec sum[LANES], squares[LANES];
    T about[LANES] = {0}, shift[LANES], spread[LANES];
    idx last = size - VL, rest = size % VL;
    if (centred) {
        for (idx j = 0; j < LANES; ++j) sum[j] = lane_sums(x + least(j, some - 1) * size, size);
        store(about, totals(sum) / splat((T)size));
    }
    for (idx j = 0; j < LANES; ++j) {
        const T *row = x + least(j, some - 1) * size;
        vec middle = splat(about[j]);
        vec s = rest ? masked(load(row + last) - middle, rest) : (vec){0}, q = s * s;
        for (idx i = 0; i <= last; i += VL) {
            vec d = load(row + i) - middle;
            s += d;
            q += d * d;
        }
        sum[j] = s;
        squares[j] = q;
    }
    store(shift, totals(sum) / splat((T)size));
    store(spread, totals(squares) / splat((T)size));
    for (idx j = 0; j < LANES; ++j) {
        double shifted = centred ? (double)shift[j] : 0;
        double var = (double)spread[j] - shifted * shifted;
        mean[j] = (double)about[j] + shifted;
        inverse[j] = 1 / sqrt((var < 0 ? 0 : var) + eps);
    }
}

/* What rows of a backward pass need: split means, 1/deviation, and the terms of dx. */
typedef struct {
    T high[TERMS], low[TERMS], inverse[TERMS], common[TERMS], along[TERMS];
} row_terms;

/* From the sums of slope = dy w and of slope (x - mean). */
static inline void short_terms(const T *x, const T *dy, const T *w, idx size, idx some, int centred,
                               const double *mean, const double *inverse, row_terms *to) {
    vec slope[LANES], along[LANES];
    T slopes[LANES], alongs[LANES];
    idx last = size - VL, rest = size % VL;
    for (idx j = 0; j < LANES; ++j) {
        idx r = least(j, some - 1);
        to->high[j] = (T)mean[r];
        to->low[j] = (T)(mean[r] - (double)to->high[j]);
        to->inverse[j] = (T)inverse[r];
    }
    for (idx j = 0; j < LANES; ++j) {
        const T *row = x + least(j, some - 1) * size, *g = dy + least(j, some - 1) * size;
        vec high = splat(to->high[j]), low = splat(to->low[j]), s = {0}, a = {0};
        if (rest) {
            s = masked(load(g + last) * load(w + last), rest);
            a = masked(s * (load(row + last) - high - low), rest);
        }
        for (idx i = 0; i <= last; i += VL) {
            vec t = load(g + i) * load(w + i);
            s += t;
            a += t * (load(row + i) - high - low);
        }
        slope[j] = s;
        along[j] = a;
    }
    store(slopes, totals(slope) / splat((T)size));
    store(alongs, totals(along) / splat((T)size));
    for (idx j = 0; j < LANES; ++j) {
        to->common[j] = centred ? slopes[j] : 0;
        to->along[j] = alongs[j] * to->inverse[j] * to->inverse[j];
    }
}

#endif
