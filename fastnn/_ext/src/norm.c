/* Batch normalisation of x[n,c,l]: by rows in the order of memory, or if rows are single numbers by
 * blocks of columns.
 *
 * Statistics have totals in float64, a channel at a time, in an order that follows from the shape.
 */
#include "sums.h"

#include <math.h>

enum { COLUMNS = 128 };
enum { FAR = 4 };      /* variances from the mean: some 5 times the rounding errors */
enum { TASK = 16384 }; /* numbers of a task that goes over rows in the order of memory */

typedef fastnn_norm_args norm;

#define INLINE static inline __attribute__((always_inline))

static inline double count(const norm *v) { return (double)v->n * (double)v->l; }
static inline double weight(const norm *v, idx c) {
    return v->w ? (double)((const T *)v->w)[c] : 1;
}
static inline double shift(const norm *v, idx c) { return v->b ? (double)((const T *)v->b)[c] : 0; }

static void set_gradients(const norm *v, idx c, double dw, double db) {
    if (v->dw) ((T *)v->dw)[c] = (T)dw;
    if (v->db) ((T *)v->db)[c] = (T)db;
}

/* -- l > 1: statistics by channel, then all rows in the order of memory ------------------------ */

/* What is done to each number of a channel. */
typedef struct {
    pair mean;
    T scale, shift, along;
} affine;

typedef struct {
    const norm *v;
    affine *channels;
    double *first, *second; /* of each row: sums of dy and of dy (x - mean) */
} rows;

static inline idx rows_per_task(const norm *v) { return most(1, TASK / v->l); }

static inline const T *row_of(const norm *v, const void *x, idx n, idx c) {
    return (const T *)x + (n * v->c + c) * v->l;
}

/* About the first row's mean, in one pass. If that is far from the channel's mean, the variance
 * has lost digits to the square of the distance, and a second pass finds them. */
static void channel_statistics(void *ctx, idx c, int slot) {
    const norm *v = ((const rows *)ctx)->v;
    double mean = row_sum(row_of(v, v->x, 0, c), v->l) / (double)v->l, var = 0;
    for (int pass = 0; pass < 2; ++pass) {
        moments rest = {0, 0};
        double about = mean;
        for (idx n = 0; n < v->n; ++n)
            row_moments(row_of(v, v->x, n, c), v->l, split(about), &rest);
        var = corrected(&rest, count(v), &mean);
        if ((mean - about) * (mean - about) <= FAR * var) break;
    }
    v->mean[c] = mean;
    v->var[c] = var;
    (void)slot;
}

static void forward_rows(void *ctx, idx task, int slot) {
    const rows *f = ctx;
    const norm *v = f->v;
    idx step = rows_per_task(v), c = task * step % v->c;
    for (idx r = task * step; r < least(v->n * v->c, (task + 1) * step); ++r) {
        const T *restrict x = (const T *)v->x + r * v->l;
        T *restrict y = (T *)v->y + r * v->l;
        affine a = f->channels[c];
        for (idx i = 0; i < v->l; ++i) y[i] = (x[i] - a.mean.high - a.mean.low) * a.scale + a.shift;
        if (++c == v->c) c = 0;
    }
    (void)slot;
}

static void sums_of_rows(void *ctx, idx task, int slot) {
    const rows *f = ctx;
    const norm *v = f->v;
    idx step = rows_per_task(v), c = task * step % v->c;
    for (idx r = task * step; r < least(v->n * v->c, (task + 1) * step); ++r) {
        const T *x = (const T *)v->x + r * v->l, *dy = (const T *)v->dy + r * v->l;
        product_sums s = row_product_sums(dy, x, v->l, split(v->mean[c]));
        f->first[r] = s.plain;
        f->second[r] = s.product;
        if (++c == v->c) c = 0;
    }
    (void)slot;
}

static void gradients(const rows *f, idx c) {
    const norm *v = f->v;
    double inverse = 1 / sqrt(v->var[c] + v->eps), db = 0, dw = 0;
    for (idx n = 0; n < v->n; ++n) {
        db += f->first[n * v->c + c];
        dw += f->second[n * v->c + c];
    }
    dw *= inverse;
    set_gradients(v, c, dw, db);
    /* dx = w inverse (dy - db/M - xhat dw/M); in evaluation the statistics are constants. */
    f->channels[c] = (affine){split(v->mean[c]), (T)(weight(v, c) * inverse),
                              v->training ? (T)(db / count(v)) : 0,
                              v->training ? (T)(dw * inverse / count(v)) : 0};
}

static void backward_rows(void *ctx, idx task, int slot) {
    const rows *f = ctx;
    const norm *v = f->v;
    idx step = rows_per_task(v), c = task * step % v->c;
    for (idx r = task * step; r < least(v->n * v->c, (task + 1) * step); ++r) {
        const T *restrict x = (const T *)v->x + r * v->l, *restrict dy =
                                                              (const T *)v->dy + r * v->l;
        T *restrict dx = (T *)v->dx + r * v->l;
        affine a = f->channels[c];
        for (idx i = 0; i < v->l; ++i)
            dx[i] = a.scale * (dy[i] - a.shift - a.along * (x[i] - a.mean.high - a.mean.low));
        if (++c == v->c) c = 0;
    }
    (void)slot;
}

static int allocate(rows *f) {
    idx all = f->v->n * f->v->c;
    f->first = fastnn_scratch((size_t)all * 2 * sizeof(double) + (size_t)f->v->c * sizeof(affine));
    if (!f->first) return FASTNN_NOMEM;
    f->second = f->first + all;
    f->channels = (affine *)(f->second + all);
    return FASTNN_OK;
}

static int over_rows(rows *f, fastnn_task task) {
    const norm *v = f->v;
    return fastnn_parallel_for(ceil_div(v->n * v->c, rows_per_task(v)), task, f, v->threads,
                               count(v) * (double)v->c / 4);
}

static int forward_channels(const norm *v) {
    rows f = {.v = v};
    int status = allocate(&f);
    if (status != FASTNN_OK) return status;
    if (v->training)
        status = fastnn_parallel_for(v->c, channel_statistics, &f, v->threads,
                                     count(v) * (double)v->c / 4);
    for (idx c = 0; c < v->c && status == FASTNN_OK; ++c)
        f.channels[c] = (affine){split(v->mean[c]), (T)(weight(v, c) / sqrt(v->var[c] + v->eps)),
                                 (T)shift(v, c), 0};
    if (status == FASTNN_OK) status = over_rows(&f, forward_rows);
    fastnn_scratch_release(f.first);
    return status;
}

static int backward_channels(const norm *v) {
    rows f = {.v = v};
    int status = allocate(&f);
    if (status != FASTNN_OK) return status;
    status = over_rows(&f, sums_of_rows);
    for (idx c = 0; c < v->c && status == FASTNN_OK; ++c) gradients(&f, c);
    if (v->dx && status == FASTNN_OK) status = over_rows(&f, backward_rows);
    fastnn_scratch_release(f.first);
    return status;
}

/* -- l = 1: a task is COLUMNS channels, rows are the samples ----------------------------------- */

/* A block of columns may be the only task: it asks about every 100 us. */
static inline int interrupted(idx row) { return row % 1024 == 1023 && fastnn_stopped(); }

/* A few vectors of columns over some rows, `pitch` apart: their chains of additions are in
 * registers and as short as the rows are few. Add them to float64 totals. */
enum { ROWS = 32, VECTORS = 4, LANES = VB / sizeof(T) };

static inline void add_lanes(double *to, vec s) {
    T lane[LANES];
    store(lane, s);
    for (idx j = 0; j < LANES; ++j) to[j] += (double)lane[j];
}

/* Sums of d = x - about and of d^2. */
INLINE void add_moments(const T *x, idx pitch, idx rows, const T *about, double *sum,
                        double *squares, const int vectors) {
    vec s[VECTORS] = {0}, q[VECTORS] = {0}, middle[VECTORS];
    for (int j = 0; j < vectors; ++j) middle[j] = load(about + j * VL);
    for (idx n = 0; n < rows; ++n)
        for (int j = 0; j < vectors; ++j) {
            vec d = load(x + n * pitch + j * VL) - middle[j];
            s[j] += d;
            q[j] += d * d;
        }
    for (int j = 0; j < vectors; ++j) {
        add_lanes(sum + j * VL, s[j]);
        add_lanes(squares + j * VL, q[j]);
    }
}

/* Sums of dy and of dy (x - mean). */
INLINE void add_products(const T *x, const T *dy, idx pitch, idx rows, const T *high, const T *low,
                         double *db, double *dw, const int vectors) {
    vec s[VECTORS] = {0}, q[VECTORS] = {0};
    for (idx n = 0; n < rows; ++n)
        for (int j = 0; j < vectors; ++j) {
            vec g = load(dy + n * pitch + j * VL), d = load(x + n * pitch + j * VL);
            s[j] += g;
            q[j] += g * (d - load(high + j * VL) - load(low + j * VL));
        }
    for (int j = 0; j < vectors; ++j) {
        add_lanes(db + j * VL, s[j]);
        add_lanes(dw + j * VL, q[j]);
    }
}

static void column_moments(const norm *v, idx c0, idx size, const T *about, double *sum,
                           double *squares) {
    const T *x = (const T *)v->x + c0;
    for (idx n = 0; n < v->n && !interrupted(n / ROWS); n += ROWS) {
        const T *rows = x + n * v->c;
        idx count = least(ROWS, v->n - n), i = 0;
        for (; i + VECTORS * VL <= size; i += VECTORS * VL)
            add_moments(rows + i, v->c, count, about + i, sum + i, squares + i, VECTORS);
        for (; i + VL <= size; i += VL)
            add_moments(rows + i, v->c, count, about + i, sum + i, squares + i, 1);
        for (; i < size; ++i)
            for (idx k = 0; k < count; ++k) {
                double d = (double)(rows[k * v->c + i] - about[i]);
                sum[i] += d;
                squares[i] += d * d;
            }
    }
}

/* About the mean of the first rows, in one pass; see `channel_statistics`. */
static void column_statistics(const norm *v, idx c0, idx size) {
    const T *x = (const T *)v->x + c0;
    double *mean = v->mean + c0, *var = v->var + c0;
    T about[COLUMNS] = {0};
    idx some = least(8, v->n);
    for (idx n = 0; n < some; ++n)
        for (idx i = 0; i < size; ++i) about[i] += x[n * v->c + i] / (T)some;
    char wrong[COLUMNS];
    memset(wrong, 1, sizeof wrong);
    for (int pass = 0, any = 1; pass < 2 && any; ++pass) {
        double sum[COLUMNS] = {0}, squares[COLUMNS] = {0};
        column_moments(v, c0, size, about, sum, squares);
        any = 0;
        for (idx i = 0; i < size; ++i) {
            if (!wrong[i]) continue; /* whatever its neighbours need */
            double from = (double)about[i];
            moments rest = {sum[i], squares[i]};
            mean[i] = from;
            var[i] = corrected(&rest, count(v), &mean[i]);
            wrong[i] = (mean[i] - from) * (mean[i] - from) > FAR * var[i];
            any |= wrong[i];
            about[i] = (T)mean[i];
        }
    }
}

/* Of each channel, for the loop over rows in the order of memory: in one down a block of columns
 * every row is in another page. Backward, where a block's numbers are still in the cache, that
 * gains nothing. */
typedef struct {
    const norm *v;
    T *high, *low, *scale, *shift;
} maps;

static void forward_block(void *ctx, idx task, int slot) {
    const maps *f = ctx;
    const norm *v = f->v;
    idx c0 = task * COLUMNS, size = least(COLUMNS, v->c - c0);
    if (v->training) column_statistics(v, c0, size);
    for (idx c = c0; c < c0 + size; ++c) {
        pair mean = split(v->mean[c]);
        f->high[c] = mean.high;
        f->low[c] = mean.low;
        f->scale[c] = (T)(weight(v, c) / sqrt(v->var[c] + v->eps));
        f->shift[c] = (T)shift(v, c);
    }
    (void)slot;
}

static inline idx rows_of_task(const norm *v) { return most(1, TASK / v->c); }

static void forward_samples(void *ctx, idx task, int slot) {
    const maps *f = ctx;
    const norm *v = f->v;
    const T *restrict high = f->high, *restrict low = f->low, *restrict scale = f->scale;
    const T *restrict bias = f->shift;
    for (idx n = task * rows_of_task(v); n < least(v->n, (task + 1) * rows_of_task(v)); ++n) {
        const T *restrict x = (const T *)v->x + n * v->c;
        T *restrict y = (T *)v->y + n * v->c;
        for (idx i = 0; i < v->c; ++i) y[i] = (x[i] - high[i] - low[i]) * scale[i] + bias[i];
    }
    (void)slot;
}

static int over_columns(const norm *v) {
    double cost = count(v) * (double)v->c / 4;
    idx pitch = round_up(v->c, 16);
    T *high = fastnn_scratch((size_t)(4 * pitch) * sizeof(T));
    maps f = {v, high, high + pitch, high + 2 * pitch, high + 3 * pitch};
    if (!high) return FASTNN_NOMEM;
    int status = fastnn_parallel_for(ceil_div(v->c, COLUMNS), forward_block, &f, v->threads, cost);
    if (status == FASTNN_OK)
        status = fastnn_parallel_for(ceil_div(v->n, rows_of_task(v)), forward_samples, &f,
                                     v->threads, cost);
    fastnn_scratch_release(high);
    return status;
}

static void column_products(const norm *v, idx c0, idx size, const T *high, const T *low,
                            double *db, double *dw) {
    for (idx n = 0; n < v->n && !interrupted(n / ROWS); n += ROWS) {
        const T *x = (const T *)v->x + n * v->c + c0, *dy = (const T *)v->dy + n * v->c + c0;
        idx count = least(ROWS, v->n - n), i = 0;
        for (; i + VECTORS * VL <= size; i += VECTORS * VL)
            add_products(x + i, dy + i, v->c, count, high + i, low + i, db + i, dw + i, VECTORS);
        for (; i + VL <= size; i += VL)
            add_products(x + i, dy + i, v->c, count, high + i, low + i, db + i, dw + i, 1);
        for (; i < size; ++i)
            for (idx k = i; k < count * v->c; k += v->c) {
                db[i] += (double)dy[k];
                dw[i] += (double)dy[k] * (double)(x[k] - high[i] - low[i]);
            }
    }
}

static void backward_columns(void *ctx, idx task, int slot) {
    const norm *v = ctx;
    idx c0 = task * COLUMNS, size = least(COLUMNS, v->c - c0);
    const T *x = (const T *)v->x + c0, *dy = (const T *)v->dy + c0;
    double db[COLUMNS] = {0}, dw[COLUMNS] = {0};
    T high[COLUMNS], low[COLUMNS], a[COLUMNS], along[COLUMNS], common[COLUMNS];
    for (idx i = 0; i < size; ++i) {
        pair mean = split(v->mean[c0 + i]);
        high[i] = mean.high;
        low[i] = mean.low;
    }
    column_products(v, c0, size, high, low, db, dw);
    for (idx i = 0; i < size; ++i) {
        double inverse = 1 / sqrt(v->var[c0 + i] + v->eps);
        dw[i] *= inverse;
        set_gradients(v, c0 + i, dw[i], db[i]);
        a[i] = (T)(weight(v, c0 + i) * inverse);
        along[i] = v->training ? (T)(dw[i] * inverse / count(v)) : 0;
        common[i] = v->training ? (T)(db[i] / count(v)) : 0;
    }
    T *dx = (T *)v->dx + c0;
    for (idx n = 0; v->dx && n < v->n && !interrupted(n); ++n)
        for (idx i = 0; i < size; ++i) {
            idx at = n * v->c + i;
            dx[at] = a[i] * (dy[at] - common[i] - along[i] * (x[at] - high[i] - low[i]));
        }
    (void)slot;
}

int FN(batch_norm_forward)(const norm *v) {
    return v->l > 1 ? forward_channels(v) : over_columns(v);
}

int FN(batch_norm_backward)(const norm *v) {
    if (v->l > 1) return backward_channels(v);
    return fastnn_parallel_for(ceil_div(v->c, COLUMNS), backward_columns, (void *)v, v->threads,
                               count(v) * (double)v->c / 2);
}
