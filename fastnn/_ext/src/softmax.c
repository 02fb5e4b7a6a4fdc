/* Softmax of x[outer,c,inner] along c, or its logarithm: vectors run along rows if inner is 1, else
 * across neighbouring columns. */
#include "logits.h"

enum { WORK = 8192 };

typedef fastnn_softmax_args softmax;

#define INLINE static inline __attribute__((always_inline))

static void finish_row(const T *x, T *y, idx c, T top, T end, int log_) {
    vec t = splat(top), e = splat(end);
    vec last = log_ ? load(x + c - VL) - t - e : load(y + c - VL) * e;
    for (idx i = 0; i + VL <= c; i += VL)
        store(y + i, log_ ? load(x + i) - t - e : load(y + i) * e);
    store(y + c - VL, last);
}

static void long_forward(const T *x, T *y, idx rows, idx c, int log_) {
    T top[FLAT], end[FLAT];
    double sum[FLAT];
    block_tops(x, rows, c, top);
    for (idx r = 0; r < rows; ++r) sum[r] = row_exp(x + r * c, log_ ? NULL : y + r * c, c, top[r]);
    ends(sum, end, rows, log_);
    for (idx r = 0; r < rows; ++r) finish_row(x + r * c, y + r * c, c, top[r], end[r], log_);
}

INLINE vec slope(vec y, vec dy, vec sum, int log_) {
    return log_ ? dy - vexp_fall(y) * sum : y * (dy - sum);
}

INLINE void long_backward(const T *y, const T *dy, T *dx, idx rows, idx c, int log_) {
    T sum[FLAT];
    for (idx r = 0; r < rows; ++r) sum[r] = (T)row_dot(dy + r * c, log_ ? NULL : y + r * c, c);
    for (idx r = 0; r < rows; ++r, y += c, dy += c, dx += c) {
        vec s = splat(sum[r]), last = slope(load(y + c - VL), load(dy + c - VL), s, log_);
        for (idx i = 0; i + VL <= c; i += VL)
            store(dx + i, slope(load(y + i), load(dy + i), s, log_));
        store(dx + c - VL, last);
    }
}

static void short_forward(const T *x, T *y, idx rows, idx c, int log_) {
    T top[FLAT + VB / sizeof(T)], scale[FLAT + VB / sizeof(T)], end[FLAT];
    double sum[FLAT];
    idx size = rows * c;
    for (idx r = 0; r < size; r += c) spread(top + r, c, row_top(x + r, c));
    flat_exp(x, top, y, size);
    for (idx r = 0; r < rows; ++r) sum[r] = row_dot(y + r * c, NULL, c);
    ends(sum, end, rows, log_);
    for (idx r = 0; r < rows; ++r) spread(scale + r * c, c, end[r]);
    for (idx i = 0; i < size; i += VL) {
        vec s = load(scale + i);
        put(y + i, size - i,
            log_ ? get(x + i, size - i, 0) - load(top + i) - s : get(y + i, size - i, 0) * s);
    }
}

static void short_backward(const T *y, const T *dy, T *dx, idx rows, idx c, int log_) {
    T sums[FLAT + VB / sizeof(T)];
    idx size = rows * c;
    for (idx r = 0; r < size; r += c)
        spread(sums + r, c, (T)row_dot(dy + r, log_ ? NULL : y + r, c));
    for (idx i = 0; i < size; i += VL) {
        vec v = get(y + i, size - i, 0), d = get(dy + i, size - i, 0), s = load(sums + i);
        put(dx + i, size - i, slope(v, d, s, log_));
    }
}

INLINE void columns_forward(const T *x, T *y, idx c, idx inner, idx size, int log_) {
    T top[WIDE], end[WIDE], kept[KEPT];
    double sum[WIDE];
    const int keeps = c * WIDE <= KEPT;
    column_tops(x, inner, c, size, top, keeps ? kept : NULL);
    for (idx i = 0; i < size; i += VL) {
        column_sums s = {0};
        vec t = load(top + i);
        for (idx k = 0; k < c; ++k) {
            T *here = keeps ? kept + k * WIDE + i : y + k * inner + i;
            vec v = keeps ? load(here) : get(x + k * inner + i, size - i, 0);
            vec e = vexp_fall(v - t);
            add_column(&s, e, k, c);
            if (!log_) keeps ? store(here, e) : put(here, size - i, e);
        }
        memcpy(sum + i, s.total, sizeof s.total);
    }
    ends(sum, end, size, log_);
    for (idx k = 0; k < c; ++k)
        for (idx i = 0; i < size; i += VL) {
            const T *from = log_ ? x : y;
            vec v = keeps ? load(kept + k * WIDE + i) : get(from + k * inner + i, size - i, 0);
            vec last = load(end + i);
            put(y + k * inner + i, size - i, log_ ? v - load(top + i) - last : v * last);
        }
}

INLINE void columns_backward(const T *y, const T *dy, T *dx, idx c, idx inner, idx size, int log_) {
    T part[WIDE] = {0};
    double sum[WIDE] = {0};
    for (idx k = 0; k < c; ++k) {
        for (idx i = 0; i < size; i += VL) {
            vec d = get(dy + k * inner + i, size - i, 0);
            if (!log_) d *= get(y + k * inner + i, size - i, 0);
            store(part + i, load(part + i) + d);
        }
        if (k % CHAIN != CHAIN - 1 && k != c - 1) continue;
        for (idx j = 0; j < WIDE; ++j) sum[j] += (double)part[j];
        memset(part, 0, sizeof part);
    }
    for (idx j = 0; j < WIDE; ++j) part[j] = (T)sum[j];
    for (idx k = 0; k < c; ++k)
        for (idx i = 0; i < size; i += VL) {
            vec v = get(y + k * inner + i, size - i, 0), d = get(dy + k * inner + i, size - i, 0);
            put(dx + k * inner + i, size - i, slope(v, d, load(part + i), log_));
        }
}

/* A unit is a row, or WIDE neighbouring columns; a task is a few units. */
static idx units(const softmax *v) { return v->outer * ceil_div(v->inner, WIDE); }
static idx units_per_task(const softmax *v) {
    return most(1, WORK / (v->c * least(v->inner, WIDE)));
}

INLINE void some_columns(const softmax *v, idx start, idx size, int log_) {
    const T *x = (const T *)v->x + start, *dy = v->dy ? (const T *)v->dy + start : NULL;
    T *y = (T *)v->y + start;
    if (dy)
        columns_backward(x, dy, y, v->c, v->inner, size, log_);
    else
        columns_forward(x, y, v->c, v->inner, size, log_);
}

/* Whether all columns are there is a constant for the compiler, which leaves tests out of loops. */
static void columns(const softmax *v, idx unit) {
    idx blocks = ceil_div(v->inner, WIDE), column = unit % blocks * WIDE;
    idx start = unit / blocks * v->c * v->inner + column, size = least(WIDE, v->inner - column);
    if (size == WIDE && v->log)
        some_columns(v, start, WIDE, 1);
    else if (size == WIDE)
        some_columns(v, start, WIDE, 0);
    else
        some_columns(v, start, size, v->log);
}

static void row_block(const softmax *v, idx row, idx rows) {
    const T *x = (const T *)v->x + row * v->c, *dy = v->dy ? (const T *)v->dy + row * v->c : NULL;
    T *y = (T *)v->y + row * v->c;
    if (v->c < SHORT)
        dy ? short_backward(x, dy, y, rows, v->c, v->log) : short_forward(x, y, rows, v->c, v->log);
    else if (!dy)
        long_forward(x, y, rows, v->c, v->log);
    else if (v->log)
        long_backward(x, dy, y, rows, v->c, 1);
    else
        long_backward(x, dy, y, rows, v->c, 0);
}

static void task_of(void *ctx, idx task, int slot) {
    const softmax *v = ctx;
    idx step = units_per_task(v), stop = least(units(v), (task + 1) * step);
    idx rows = v->inner == 1 ? block_rows(v->c) : 1;
    for (idx u = task * step; u < stop; u += rows) {
        if (v->inner == 1)
            row_block(v, u, least(rows, stop - u));
        else
            columns(v, u);
    }
    (void)slot;
}

int FN(softmax)(const softmax *v) {
    return fastnn_parallel_for(ceil_div(units(v), units_per_task(v)), task_of, (void *)v,
                               v->threads, (double)v->outer * v->inner * (5 + 0.5 * v->c));
}
