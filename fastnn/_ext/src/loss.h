/* What losses share: vectors that may be cut short, and sums of vectors in float64. */
#ifndef FASTNN_LOSS_H
#define FASTNN_LOSS_H

#include "simd.h"

/* The first `size` elements at p, or as many as a vector has; `fill` stands for the others. A
 * number goes through the same vector code wherever it stands, so its bits are the same. */
static inline vec load_some(const T *p, idx size, T fill) {
    if (size >= VL) return load(p);
    T rest[VB / sizeof(T)];
    for (idx j = 0; j < VL; ++j) rest[j] = j < size ? p[j] : fill;
    return load(rest);
}

static inline void store_some(T *p, idx size, vec v) {
    if (size >= VL) {
        store(p, v);
        return;
    }
    for (idx j = 0; j < size; ++j) p[j] = v[j];
}

/* A sum per lane: short chains of vectors, totals in float64. */
typedef struct {
    vec part;
    idx chain;
    double lane[VB / sizeof(T)];
} sums;

static inline void flush(sums *s) {
    T e[VB / sizeof(T)];
    store(e, s->part);
    for (idx j = 0; j < VL; ++j) s->lane[j] += (double)e[j];
    s->part = (vec){0};
    s->chain = 0;
}

/* Add the first `size` elements of v, or all. */
static inline void add_some(sums *s, vec v, idx size) {
    if (size < VL) {
        T e[VB / sizeof(T)];
        store(e, v);
        for (idx j = size; j < VL; ++j) e[j] = 0;
        v = load(e);
    }
    s->part += v;
    if (++s->chain == 64) flush(s);
}

static inline double lanes_total(sums *s) {
    flush(s);
    double sum = 0;
    for (idx j = 0; j < VL; ++j) sum += s->lane[j];
    return sum;
}

#endif
