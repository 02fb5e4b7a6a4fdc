/* What softmax and cross-entropy share: largest entries, exponentials and sums of rows.
 *
 * Vectors run along rows of SHORT entries and more; the last one overlaps the one before it. The
 * entries of shorter rows are one flat row, with what belongs to a row repeated for each of them.
 */
#ifndef FASTNN_LOGITS_H
#define FASTNN_LOGITS_H

#include "sums.h"
#include "vmath.h"

enum { SHORT = 32, FLAT = 1024, CHAIN = 64 };

/* The rows of a block: as many short ones as FLAT entries hold. */
static inline idx block_rows(idx c) { return c < SHORT ? FLAT / c : most(1, 2 * FLAT / c); }

/* Load at `rest` to get a mask of the last `rest` lanes. */
static const I last_lanes[2 * VB / sizeof(T)] = {[VB / sizeof(T)... 2 * VB / sizeof(T) - 1] = -1};

static inline vec keep_last(vec v, idx rest) {
    return (vec)((ivec)v & (ivec)load((const T *)last_lanes + rest));
}

/* The largest entry. NaN does not count, for the sum of the exponentials will be NaN. */
static inline T row_top(const T *x, idx c) {
    if (c < SHORT) {
        T top = x[0];
        for (idx i = 1; i < c; ++i) top = x[i] > top ? x[i] : top;
        return top;
    }
    vec a = load(x), b = load(x + c - VL);
    for (idx i = VL; i + VL <= c; i += 2 * VL) {
        a = larger(load(x + i), a);
        b = larger(load(x + least(i + VL, c - VL)), b);
    }
    a = larger(a, b);
    T lane[VB / sizeof(T)];
    store(lane, a);
    for (idx half = VL / 2; half > 0; half /= 2)
        for (idx j = 0; j < half; ++j)
            lane[j] = lane[j] > lane[j + half] ? lane[j] : lane[j + half];
    return lane[0];
}

/* Sum of exp(x - top) of a row that is not short; the exponentials go to y, if it is there. */
static inline double row_exp(const T *x, T *y, idx c, T top) {
    double sum = 0;
    vec t = splat(top), s = {0};
    idx i = 0, chain = 0;
    for (; i + VL <= c; i += VL) {
        vec e = vexp_fall(load(x + i) - t);
        if (y) store(y + i, e);
        s += e;
        if (++chain == CHAIN) {
            sum += total(s);
            s = (vec){0};
            chain = 0;
        }
    }
    if (i < c) {
        vec e = vexp_fall(load(x + c - VL) - t);
        if (y) store(y + c - VL, e);
        s += keep_last(e, c - i);
    }
    return sum + total(s);
}

/* Sum of a[i] b[i]; b may be NULL for ones. */
static inline double row_dot(const T *a, const T *b, idx c) {
    double sum = 0;
    if (c < SHORT) {
        for (idx i = 0; i < c; ++i) sum += (double)a[i] * (b ? (double)b[i] : 1);
        return sum;
    }
    vec s = {0}, s1 = {0};
    idx i = 0, chain = 0;
    for (; i + 2 * VL <= c; i += 2 * VL) {
        s += b ? load(a + i) * load(b + i) : load(a + i);
        s1 += b ? load(a + i + VL) * load(b + i + VL) : load(a + i + VL);
        if (++chain == CHAIN) {
            sum += total(s + s1);
            s = s1 = (vec){0};
            chain = 0;
        }
    }
    if (i + VL <= c) {
        s += b ? load(a + i) * load(b + i) : load(a + i);
        i += VL;
    }
    if (i < c) {
        vec v = load(a + c - VL);
        s1 += keep_last(b ? v * load(b + c - VL) : v, c - i);
    }
    return sum + total(s + s1);
}

/* Repeat a number c times; up to VL - 1 more are overwritten. */
static inline void spread(T *to, idx c, T value) {
    for (idx i = 0; i < c; i += VL) store(to + i, splat(value));
}

/* The first `size` numbers of a vector; the others are `fill`. */
static inline vec get(const T *p, idx size, T fill) {
    return size >= VL ? load(p) : load_rest(p, size, fill);
}

static inline void put(T *p, idx size, vec v) {
    if (size >= VL)
        store(p, v);
    else
        store_rest(p, size, v);
}

/* Sums down columns: short chains of vectors, totals in float64. */
typedef struct {
    vec part;
    double total[VB / sizeof(T)];
} column_sums;

static inline void add_column(column_sums *s, vec v, idx i, idx c) {
    s->part += v;
    if (i % CHAIN != CHAIN - 1 && i != c - 1) return;
    for (idx j = 0; j < VL; ++j) s->total[j] += (double)s->part[j];
    s->part = (vec){0};
}

/* Columns that are worked on together, and their entries that are kept in order: what is strided by
 * a power of 2 would push itself out of the cache. */
enum { WIDE = 64, KEPT = 8192 };

/* The largest entry of each of `size` columns; all of them go to `kept`, if it is there, WIDE
 * apart.
 */
static inline __attribute__((always_inline)) void column_tops(const T *x, idx inner, idx c,
                                                              idx size, T *top, T *kept) {
    for (idx i = 0; i < size; i += VL) store(top + i, splat(-(T)INFINITY));
    for (idx k = 0; k < c; ++k, x += inner)
        for (idx i = 0; i < size; i += VL) {
            vec value = get(x + i, size - i, 0);
            store(top + i, larger(value, load(top + i)));
            if (kept) store(kept + k * WIDE + i, value);
        }
}

/* The largest entries of some rows, one row after the other: passes over many rows overlap, where
 * all passes over one row would wait for each other. */
static inline void block_tops(const T *x, idx rows, idx c, T *top) {
    for (idx r = 0; r < rows; ++r) top[r] = row_top(x + r * c, c);
}

/* y = exp(x - top) for `size` entries of short rows. */
static inline void flat_exp(const T *x, const T *top, T *y, idx size) {
    for (idx i = 0; i < size; i += VL)
        put(y + i, size - i, vexp_fall(get(x + i, size - i, 0) - load(top + i)));
}

/* As many float64 numbers as a vector has, at any address. */
typedef double wide __attribute__((vector_size(VB / sizeof(T) * sizeof(double)),
                                   aligned(sizeof(double)), may_alias));

/* end[r] = log or reciprocal of a row's sum. A sum just above 1 has its logarithm in what float32
 * does not hold of it: log(s) = log(high) + low / high. */
static __attribute__((noinline)) void ends(double *sum, T *end, idx rows, int log_) {
    for (idx r = 0; r < rows; r += VL) {
        idx some = least(VL, rows - r);
        wide s = 1 - (wide){0};
        if (some == VL) s = *(const wide *)(sum + r);
        for (idx j = 0; some < VL && j < some; ++j) s[j] = sum[r + j];
        vec high = __builtin_convertvector(s, vec);
        vec low = __builtin_convertvector(s - __builtin_convertvector(high, wide), vec);
        put(end + r, some, log_ ? vlog(high) + low / high : splat(1) / high);
    }
}

#endif
