/* Softmax of x[outer,c,inner] along c, or its logarithm: vectors run along rows if inner is 1, else
 * across neighbouring columns. */
#include "sums.h"
#include "vmath.h"

enum { WORK = 8192, CHAIN = 64 };

typedef fastnn_softmax_args softmax;

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

/* The larger of both; NaN once there was one. */
static inline vec larger(vec best, vec v) { return select(~(best >= v) & (best == best), v, best); }

static void row_forward(const T *x, T *y, idx c, int log_) {
    vec best = splat(-(T)INFINITY);
    for (idx i = 0; i < c; i += VL) best = larger(best, get(x + i, c - i, -(T)INFINITY));
    for (idx j = 1; j < VL; ++j) best = larger(best, splat(best[j]));
    vec top = splat(best[0]);
    for (idx i = 0; i < c; i += VL) put(y + i, c - i, vexp(get(x + i, c - i, 0) - top));
    double sum = row_sum(y, c);
    vec factor = splat((T)(1 / sum)), shift = splat((T)log(sum));
    for (idx i = 0; i < c; i += VL)
        put(y + i, c - i,
            log_ ? get(x + i, c - i, 0) - top - shift : get(y + i, c - i, 0) * factor);
}

static void row_backward(const T *y, const T *dy, T *dx, idx c, int log_) {
    vec sum = splat((T)(log_ ? row_sum(dy, c) : row_product_sum(dy, y, c, (pair){0, 0})));
    for (idx i = 0; i < c; i += VL) {
        vec v = get(y + i, c - i, 0), d = get(dy + i, c - i, 0);
        put(dx + i, c - i, log_ ? d - vexp(v) * sum : v * (d - sum));
    }
}

/* Sums down columns: short chains of vectors, totals in float64. */
typedef struct {
    vec part;
    double total[VB / sizeof(T)];
} column_sums;

static inline void add(column_sums *s, vec v, idx i, idx c) {
    s->part += v;
    if (i % CHAIN != CHAIN - 1 && i != c - 1) return;
    for (idx j = 0; j < VL; ++j) s->total[j] += (double)s->part[j];
    s->part = (vec){0};
}

static void columns_forward(const T *x, T *y, idx c, idx inner, idx size, int log_) {
    vec top = splat(-(T)INFINITY), end;
    for (idx i = 0; i < c; ++i) top = larger(top, get(x + i * inner, size, 0));
    column_sums s = {0};
    for (idx i = 0; i < c; ++i) {
        vec e = vexp(get(x + i * inner, size, 0) - top);
        add(&s, e, i, c);
        if (!log_) put(y + i * inner, size, e);
    }
    for (idx j = 0; j < VL; ++j) end[j] = (T)(log_ ? log(s.total[j]) : 1 / s.total[j]);
    for (idx i = 0; i < c; ++i)
        put(y + i * inner, size,
            log_ ? get(x + i * inner, size, 0) - top - end : get(y + i * inner, size, 0) * end);
}

static void columns_backward(const T *y, const T *dy, T *dx, idx c, idx inner, idx size, int log_) {
    column_sums s = {0};
    for (idx i = 0; i < c; ++i) {
        vec d = get(dy + i * inner, size, 0);
        add(&s, log_ ? d : d * get(y + i * inner, size, 0), i, c);
    }
    vec sum;
    for (idx j = 0; j < VL; ++j) sum[j] = (T)s.total[j];
    for (idx i = 0; i < c; ++i) {
        vec v = get(y + i * inner, size, 0), d = get(dy + i * inner, size, 0);
        put(dx + i * inner, size, log_ ? d - vexp(v) * sum : v * (d - sum));
    }
}

/* A unit is a row, or VL neighbouring columns; a task is a few units. */
static idx units(const softmax *v) { return v->outer * ceil_div(v->inner, VL); }
static idx units_per_task(const softmax *v) { return most(1, WORK / (v->c * least(v->inner, VL))); }

static void task_of(void *ctx, idx task, int slot) {
    const softmax *v = ctx;
    idx step = units_per_task(v), blocks = ceil_div(v->inner, VL);
    for (idx u = task * step; u < least(units(v), (task + 1) * step); ++u) {
        idx column = u % blocks * VL, start = u / blocks * v->c * v->inner + column;
        idx size = least(VL, v->inner - column);
        const T *x = (const T *)v->x + start, *dy = (const T *)v->dy;
        T *y = (T *)v->y + start;
        if (v->inner == 1 && dy)
            row_backward(x, dy + start, y, v->c, v->log);
        else if (v->inner == 1)
            row_forward(x, y, v->c, v->log);
        else if (dy)
            columns_backward(x, dy + start, y, v->c, v->inner, size, v->log);
        else
            columns_forward(x, y, v->c, v->inner, size, v->log);
    }
    (void)slot;
}

int FN(softmax)(const softmax *v) {
    return fastnn_parallel_for(ceil_div(units(v), units_per_task(v)), task_of, (void *)v,
                               v->threads, (double)v->outer * v->inner * (20 + 1.5 * v->c));
}
