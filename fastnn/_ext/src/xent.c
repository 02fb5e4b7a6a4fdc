/* Cross-entropy of the softmax of logits: a task is a block of rows.
 *
 * With t[c] = w[c] ((1 - smoothing) p[c] + smoothing / C), p a row's probabilities or the one-hot
 * row of its label, a row's loss is the sum of t[c] (log(sum) + top - x[c]), where top is the
 * largest logit and sum that of exp(x[c] - top). */
#include "logits.h"
#include "loss.h"

#include <math.h>

enum { MOST_ROWS = FLAT };

typedef fastnn_xent_args xent;

#define INLINE static inline __attribute__((always_inline))

/* weight = sum of a[i] b[i], gap = sum of a[i] b[i] (top - x[i]); NULL stands for ones. */
typedef struct {
    double weight, gap;
} gaps;

static gaps row_gaps(const T *x, const T *a, const T *b, idx c, T top) {
    sums weight = {0}, gap = {0};
    for (idx i = 0; i < c; i += VL) {
        vec t = a ? load_some(a + i, c - i, 0) : splat(1);
        if (b) t *= load_some(b + i, c - i, 0);
        add_some(&weight, t, c - i);
        add_some(&gap, t * (splat(top) - load_some(x + i, c - i, 0)), c - i);
    }
    return (gaps){lanes_total(&weight), lanes_total(&gap)};
}

/* What backward needs of all rows: the largest logit, the sum, the sum of t. */
enum { TOP, SUM, WEIGHT };
static inline double *states(const xent *v, int which) { return v->state + which * v->n; }

static int ignored(const xent *v, idx n) { return v->labels && v->labels[n] == v->ignore; }

/* Largest entry and sum of exponentials of each row of a block. */
static void tops_and_sums(const T *x, idx rows, idx c, T *top, double *sum) {
    block_tops(x, rows, c, top);
    if (c >= SHORT) {
        for (idx r = 0; r < rows; ++r) sum[r] = row_exp(x + r * c, NULL, c, top[r]);
        return;
    }
    T tops[FLAT + VB / sizeof(T)], e[FLAT];
    for (idx r = 0; r < rows; ++r) spread(tops + r * c, c, top[r]);
    flat_exp(x, tops, e, rows * c);
    for (idx r = 0; r < rows; ++r) sum[r] = row_dot(e + r * c, NULL, c);
}

/* Of the one class with probability 1, whose logit is x. */
static inline gaps label_gap(const xent *v, idx n, T top, T x) {
    double weight = v->w ? (double)((const T *)v->w)[v->labels[n]] : 1;
    return (gaps){weight, weight * ((double)top - (double)x)};
}

/* Loss and state of row n from the gaps of its probabilities and of all ones. */
static inline void finish_row(const xent *v, idx n, T top, double sum, double high, gaps hit,
                              gaps all) {
    double keep = 1 - v->smoothing, spread = v->smoothing / (double)v->c;
    double loss = keep * (hit.gap + hit.weight * high), weight = keep * hit.weight;
    if (spread > 0) {
        loss += spread * (all.gap + all.weight * high);
        weight += spread * all.weight;
    }
    v->loss[n] = loss;
    if (!v->state) return;
    states(v, TOP)[n] = (double)top;
    states(v, SUM)[n] = sum;
    states(v, WEIGHT)[n] = weight;
}

static void forward_row(const xent *v, idx n, T top, double sum, double high) {
    const T *x = (const T *)v->x + n * v->c, *w = v->w;
    gaps hit, all = {0, 0};
    if (v->labels)
        hit = label_gap(v, n, top, x[v->labels[n]]);
    else
        hit = row_gaps(x, (const T *)v->target + n * v->c, w, v->c, top);
    if (v->smoothing > 0) all = row_gaps(x, w, NULL, v->c, top);
    finish_row(v, n, top, sum, high, hit, all);
}

static void forward_task(void *ctx, idx task, int slot) {
    const xent *v = ctx;
    idx step = block_rows(v->c), first = task * step, rows = least(step, v->n - first);
    T top[MOST_ROWS], high[MOST_ROWS];
    double sum[MOST_ROWS];
    tops_and_sums((const T *)v->x + first * v->c, rows, v->c, top, sum);
    ends(sum, high, rows, 1);
    for (idx r = 0; r < rows; ++r) {
        if (ignored(v, first + r))
            v->loss[first + r] = 0;
        else
            forward_row(v, first + r, top[r], sum[r], (double)high[r]);
    }
    (void)slot;
}

static double scale_of(const xent *v, idx n) { return v->scale ? v->scale[n] : v->gain; }

/* dx = softmax(x) * sum of t * scale, of a block; ignored rows get anything. */
static void soft_part(const xent *v, idx first, idx rows) {
    const T *x = (const T *)v->x + first * v->c;
    const double *top_of = states(v, TOP) + first, *sum_of = states(v, SUM) + first;
    const double *weight_of = states(v, WEIGHT) + first;
    T *dx = (T *)v->dx + first * v->c;
    T top[FLAT + VB / sizeof(T)], gain[FLAT + VB / sizeof(T)];
    for (idx r = 0; r < rows; ++r) {
        T t = (T)top_of[r], g = (T)(weight_of[r] * scale_of(v, first + r) / sum_of[r]);
        if (v->c < SHORT) {
            spread(top + r * v->c, v->c, t);
            spread(gain + r * v->c, v->c, g);
            continue;
        }
        const T *row = x + r * v->c;
        T *to = dx + r * v->c;
        idx i = 0;
        for (; i + VL <= v->c; i += VL)
            store(to + i, vexp_fall(load(row + i) - splat(t)) * splat(g));
        i = v->c - VL;
        store(to + i, vexp_fall(load(row + i) - splat(t)) * splat(g));
    }
    if (v->c >= SHORT) return;
    idx size = rows * v->c;
    for (idx i = 0; i < size; i += VL)
        put(dx + i, size - i, vexp_fall(get(x + i, size - i, 0) - load(top + i)) * load(gain + i));
}

/* dx -= t * scale. */
static void target_part(const xent *v, idx n) {
    const T *w = v->w, *target = v->target ? (const T *)v->target + n * v->c : NULL;
    T *dx = (T *)v->dx + n * v->c;
    double scale = scale_of(v, n), keep = 1 - v->smoothing;
    if (target || v->smoothing > 0) {
        vec part = splat((T)(keep * scale));
        vec spread = splat((T)(v->smoothing / (double)v->c * scale));
        for (idx i = 0; i < v->c; i += VL) {
            idx size = v->c - i;
            vec t = target ? load_some(target + i, size, 0) * part + spread : spread;
            if (w) t *= load_some(w + i, size, 0);
            store_some(dx + i, size, load_some(dx + i, size, 0) - t);
        }
    }
    if (!target) {
        idx y = (idx)v->labels[n];
        dx[y] -= (T)(keep * scale * (w ? (double)w[y] : 1));
    }
}

/* dtarget = (1 - smoothing) * w * (log(sum) + top - x) * scale. */
static void backward_target_row(const xent *v, idx n) {
    const T *x = (const T *)v->x + n * v->c, *w = v->w;
    T *dt = (T *)v->dtarget + n * v->c;
    vec top = splat((T)states(v, TOP)[n]), high = splat((T)log(states(v, SUM)[n]));
    vec gain = splat((T)((1 - v->smoothing) * scale_of(v, n)));
    for (idx i = 0; i < v->c; i += VL) {
        idx size = v->c - i;
        vec d = (high + (top - load_some(x + i, size, 0))) * gain;
        store_some(dt + i, size, w ? d * load_some(w + i, size, 0) : d);
    }
}

static void backward_task(void *ctx, idx task, int slot) {
    const xent *v = ctx;
    idx step = block_rows(v->c), first = task * step, rows = least(step, v->n - first);
    if (v->dx) soft_part(v, first, rows);
    for (idx n = first; n < first + rows; ++n) {
        if (ignored(v, n)) {
            memset((T *)v->dx + n * v->c, 0, (size_t)v->c * sizeof(T));
            continue;
        }
        if (v->dx) target_part(v, n);
        if (v->dtarget) backward_target_row(v, n);
    }
    (void)slot;
}

#include "xent_columns.h"

/* The losses' sum and that of the weights that the mean divides by. */
static void add_up(const xent *v) {
    double lane[8] = {0}, weight = 0;
    idx n = 0, count = 0;
    for (; n + 8 <= v->n; n += 8)
        for (idx j = 0; j < 8; ++j) lane[j] += v->loss[n + j];
    for (; n < v->n; ++n) lane[n % 8] += v->loss[n];
    const T *w = v->labels ? v->w : NULL;
    if (w)
        for (n = 0; n < v->n; ++n) weight += ignored(v, n) ? 0 : (double)w[v->labels[n]];
    else
        for (n = 0; n < v->n; ++n) count += !ignored(v, n);
    v->totals[0] =
        ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
    v->totals[1] = weight + (double)count;
}

static int run(const xent *v, fastnn_task rows, fastnn_task columns, double row) {
    double work = (double)v->n * (row + 0.4 * (double)v->c);
    if (v->inner > 1)
        return fastnn_parallel_for(ceil_div(column_units(v), units_per_task(v)), columns, (void *)v,
                                   v->threads, work);
    return fastnn_parallel_for(ceil_div(v->n, block_rows(v->c)), rows, (void *)v, v->threads, work);
}

int FN(softmax_xent_forward)(const xent *v) {
    int status = run(v, forward_task, forward_columns, 20);
    if (status == FASTNN_OK && v->totals) add_up(v);
    return status;
}

int FN(softmax_xent_backward)(const xent *v) { return run(v, backward_task, backward_columns, 10); }
