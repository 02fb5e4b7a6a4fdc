/* Batch normalisation of x[n,c,l]: a channel at a time if rows are long, else a block of columns.
 *
 * Statistics are two-pass with totals in float64, in an order that follows from the shape; a
 * channel that fits the second cache level is read from memory once. */
#include "sums.h"

#include <math.h>

enum { COLUMNS = 128 };
enum { LONG_ROW = 512 }; /* rows with statistics of their own, while they are in the first cache */

typedef fastnn_norm_args norm;

static inline double count(const norm *v) { return (double)v->n * (double)v->l; }
static inline double weight(const norm *v, idx c) {
    return v->w ? (double)((const T *)v->w)[c] : 1;
}
static inline double shift(const norm *v, idx c) { return v->b ? (double)((const T *)v->b)[c] : 0; }

static void set_gradients(const norm *v, idx c, double dw, double db) {
    if (v->dw) ((T *)v->dw)[c] = (T)dw;
    if (v->db) ((T *)v->db)[c] = (T)db;
}

/* -- l > 1: a task is one channel ------------------------------------------------------------ */

static inline const T *row_of(const norm *v, const void *x, idx n, idx c) {
    return (const T *)x + (n * v->c + c) * v->l;
}

/* Statistics of a channel from those of its rows, each two-pass, so that x is read from memory
 * once: Chan, Golub, LeVeque (see sums.h), equation 2.1. */
static void combine_rows(const norm *v, idx c) {
    double mean = 0, squares = 0, size = (double)v->l;
    for (idx n = 0; n < v->n; ++n) {
        const T *x = row_of(v, v->x, n, c);
        double row_mean = row_sum(x, v->l) / size, before = size * (double)n;
        moments rest = {0, 0};
        row_moments(x, v->l, split(row_mean), &rest);
        double row_squares = size * corrected(&rest, size, &row_mean), apart = row_mean - mean;
        mean += apart / (double)(n + 1);
        squares += row_squares + apart * apart * size * (before / (before + size));
    }
    v->mean[c] = mean;
    v->var[c] = squares / count(v);
}

static void forward_channel(void *ctx, idx c, int slot) {
    const norm *v = ctx;
    if (v->training && v->l >= LONG_ROW) {
        combine_rows(v, c);
    } else if (v->training) {
        double sum = 0;
        for (idx n = 0; n < v->n; ++n) sum += row_sum(row_of(v, v->x, n, c), v->l);
        v->mean[c] = sum / count(v);
        moments rest = {0, 0}; /* about a mean that is good to T, so they correct it */
        for (idx n = 0; n < v->n; ++n)
            row_moments(row_of(v, v->x, n, c), v->l, split(v->mean[c]), &rest);
        v->var[c] = corrected(&rest, count(v), &v->mean[c]);
    }
    pair mean = split(v->mean[c]);
    T scale = (T)(weight(v, c) / sqrt(v->var[c] + v->eps)), bias = (T)shift(v, c);
    for (idx n = 0; n < v->n; ++n) {
        const T *x = row_of(v, v->x, n, c);
        T *y = (T *)row_of(v, v->y, n, c);
        for (idx i = 0; i < v->l; ++i) y[i] = (x[i] - mean.high - mean.low) * scale + bias;
    }
    (void)slot;
}

static void backward_channel(void *ctx, idx c, int slot) {
    const norm *v = ctx;
    pair mean = split(v->mean[c]);
    double inverse = 1 / sqrt(v->var[c] + v->eps), db = 0, dw = 0;
    for (idx n = 0; n < v->n; ++n) {
        const T *dy = row_of(v, v->dy, n, c);
        db += row_sum(dy, v->l);
        dw += row_product_sum(dy, row_of(v, v->x, n, c), v->l, mean);
    }
    dw *= inverse;
    set_gradients(v, c, dw, db);
    if (!v->dx) return;
    /* dx = w inverse (dy - db/M - xhat dw/M); in evaluation the statistics are constants. */
    T a = (T)(weight(v, c) * inverse), common = v->training ? (T)(db / count(v)) : 0;
    T along = v->training ? (T)(dw * inverse / count(v)) : 0;
    for (idx n = 0; n < v->n; ++n) {
        const T *x = row_of(v, v->x, n, c), *dy = row_of(v, v->dy, n, c);
        T *dx = (T *)row_of(v, v->dx, n, c);
        for (idx i = 0; i < v->l; ++i)
            dx[i] = a * (dy[i] - common - along * (x[i] - mean.high - mean.low));
    }
    (void)slot;
}

/* -- l = 1: a task is COLUMNS channels, rows are the samples ----------------------------------- */

static void forward_columns(void *ctx, idx task, int slot) {
    const norm *v = ctx;
    idx c0 = task * COLUMNS, size = least(COLUMNS, v->c - c0);
    const T *x = (const T *)v->x + c0;
    T *y = (T *)v->y + c0, high[COLUMNS], low[COLUMNS], scale[COLUMNS], bias[COLUMNS];
    if (v->training) {
        double sum[COLUMNS] = {0}, squares[COLUMNS] = {0};
        for (idx n = 0; n < v->n; ++n)
            for (idx i = 0; i < size; ++i) sum[i] += (double)x[n * v->c + i];
        for (idx i = 0; i < size; ++i) v->mean[c0 + i] = sum[i] /= count(v);
        for (idx n = 0; n < v->n; ++n)
            for (idx i = 0; i < size; ++i) {
                double d = (double)x[n * v->c + i] - sum[i];
                squares[i] += d * d;
            }
        for (idx i = 0; i < size; ++i) v->var[c0 + i] = squares[i] / count(v);
    }
    for (idx i = 0; i < size; ++i) {
        pair mean = split(v->mean[c0 + i]);
        high[i] = mean.high;
        low[i] = mean.low;
        scale[i] = (T)(weight(v, c0 + i) / sqrt(v->var[c0 + i] + v->eps));
        bias[i] = (T)shift(v, c0 + i);
    }
    for (idx n = 0; n < v->n; ++n)
        for (idx i = 0; i < size; ++i)
            y[n * v->c + i] = (x[n * v->c + i] - high[i] - low[i]) * scale[i] + bias[i];
    (void)slot;
}

static void backward_columns(void *ctx, idx task, int slot) {
    const norm *v = ctx;
    idx c0 = task * COLUMNS, size = least(COLUMNS, v->c - c0);
    const T *x = (const T *)v->x + c0, *dy = (const T *)v->dy + c0;
    double db[COLUMNS] = {0}, dw[COLUMNS] = {0};
    T high[COLUMNS], low[COLUMNS], a[COLUMNS], along[COLUMNS], common[COLUMNS];
    for (idx n = 0; n < v->n; ++n)
        for (idx i = 0; i < size; ++i) {
            db[i] += (double)dy[n * v->c + i];
            dw[i] += (double)dy[n * v->c + i] * ((double)x[n * v->c + i] - v->mean[c0 + i]);
        }
    for (idx i = 0; i < size; ++i) {
        pair mean = split(v->mean[c0 + i]);
        double inverse = 1 / sqrt(v->var[c0 + i] + v->eps);
        dw[i] *= inverse;
        set_gradients(v, c0 + i, dw[i], db[i]);
        high[i] = mean.high;
        low[i] = mean.low;
        a[i] = (T)(weight(v, c0 + i) * inverse);
        along[i] = v->training ? (T)(dw[i] * inverse / count(v)) : 0;
        common[i] = v->training ? (T)(db[i] / count(v)) : 0;
    }
    T *dx = (T *)v->dx + c0;
    for (idx n = 0; v->dx && n < v->n; ++n)
        for (idx i = 0; i < size; ++i) {
            idx at = n * v->c + i;
            dx[at] = a[i] * (dy[at] - common[i] - along[i] * (x[at] - high[i] - low[i]));
        }
    (void)slot;
}

int FN(batch_norm_forward)(const norm *v) {
    double cost = count(v) * (double)v->c / 2;
    if (v->l > 1) return fastnn_parallel_for(v->c, forward_channel, (void *)v, v->threads, cost);
    return fastnn_parallel_for(ceil_div(v->c, COLUMNS), forward_columns, (void *)v, v->threads,
                               cost);
}

int FN(batch_norm_backward)(const norm *v) {
    double cost = count(v) * (double)v->c / 2;
    if (v->l > 1) return fastnn_parallel_for(v->c, backward_channel, (void *)v, v->threads, cost);
    return fastnn_parallel_for(ceil_div(v->c, COLUMNS), backward_columns, (void *)v, v->threads,
                               cost);
}
