/* Layer, group, instance and RMS normalisation: rows of K*L numbers, each with its own statistics,
 * and an affine map w[g,k], b[g,k] that is the same for every sample.
 *
 * Statistics are two-pass with totals in float64. A row's results depend on that row alone; dw and
 * db are added up over the samples in an order that follows from the shape. */
#include "sums.h"

#include <math.h>

enum { TASK = 16384 };                 /* numbers of a task that takes several rows */
enum { COLUMNS = 64 };                 /* of a task that adds up gradients of short channels */
enum { CHUNK = 32, CHUNK_ROW = 8192 }; /* rows whose dw and db are added up at once; their length */
enum { SHORT_CHANNEL = 16 };           /* channels below this length are added up as columns */

typedef fastnn_rownorm_args rows;

static inline idx row_size(const rows *v) { return v->k * v->l; }
static inline const T *row_of(const rows *v, const void *x, idx r) {
    return (const T *)x + r * row_size(v);
}
/* The affine map of row r, which is group r % g of a sample. */
static inline const T *channels_of(const rows *v, const void *w, idx r) {
    return (const T *)w + r % v->g * v->k;
}

static inline idx rows_per_task(const rows *v) { return most(1, TASK / row_size(v)); }

/* Reads ahead: the next row comes from memory while one is written. */
static inline void fetch(const T *p) { __builtin_prefetch(p); }

/* -- forward --------------------------------------------------------------------------------- */

typedef struct {
    double mean, inverse;
} statistics;

static inline statistics row_statistics(const rows *v, const T *x) {
    idx m = row_size(v);
    moments rest = {0, 0};
    double mean = 0, var;
    if (v->centred) {
        mean = row_sum(x, m) / (double)m;
        row_moments(x, m, split(mean), &rest);
        var = corrected(&rest, (double)m, &mean);
    } else {
        row_moments(x, m, split(0), &rest);
        var = rest.squares / (double)m;
    }
    return (statistics){mean, 1 / sqrt(var + v->eps)};
}

/* y = (x - mean) inverse w + b. */
static inline void write_row(const rows *v, idx r, statistics s) {
    const T *restrict x = row_of(v, v->x, r);
    const T *restrict w = channels_of(v, v->w, r), *restrict b = channels_of(v, v->b, r);
    T *restrict y = (T *)row_of(v, v->y, r);
    pair mean = split(s.mean);
    T inverse = (T)s.inverse;
    if (v->l == 1) {
        for (idx i = 0; i < v->k; ++i) y[i] = (x[i] - mean.high - mean.low) * inverse * w[i] + b[i];
        return;
    }
    idx m = row_size(v);
    for (idx c = 0; c < v->k; ++c, x += v->l, y += v->l) {
        T scale = inverse * w[c], shift = b[c];
        idx i = 0;
        for (; i + VL <= v->l; i += VL) {
            fetch(x + m + i);
            store(y + i, (load(x + i) - mean.high - mean.low) * scale + shift);
        }
        for (; i < v->l; ++i) y[i] = (x[i] - mean.high - mean.low) * scale + shift;
    }
}

static void forward_task(void *ctx, idx task, int slot) {
    const rows *v = ctx;
    idx step = rows_per_task(v);
    for (idx r = task * step; r < least(v->n * v->g, (task + 1) * step); ++r) {
        statistics s = row_statistics(v, row_of(v, v->x, r));
        if (v->mean) {
            v->mean[r] = s.mean;
            v->inverse[r] = s.inverse;
        }
        write_row(v, r, s);
    }
    (void)slot;
}

int FN(rownorm_forward)(const rows *v) {
    idx all = v->n * v->g;
    return fastnn_parallel_for(ceil_div(all, rows_per_task(v)), forward_task, (void *)v, v->threads,
                               (double)all * (20 + (double)row_size(v) / 2));
}

/* -- backward: dx, a row at a time ------------------------------------------------------------- */

/* Sums over a row of slope = dy w, and of slope (x - mean). */
typedef struct {
    double slope, along;
} sums;

/* Add both for an affine map per element. */
static inline void element_sums(const T *dy, const T *w, const T *x, idx size, pair mean,
                                sums *to) {
    vec high = splat(mean.high), low = splat(mean.low);
    const int vectors = size >= VL;
    for (; size > 0; size -= CHAIN_BLOCK) {
        idx block = least(size, CHAIN_BLOCK), i = 0;
        vec s0 = {0}, s1 = {0}, a0 = {0}, a1 = {0};
        for (; i + 2 * VL <= block; i += 2 * VL) {
            vec g0 = load(dy + i) * load(w + i), g1 = load(dy + i + VL) * load(w + i + VL);
            s0 += g0;
            s1 += g1;
            a0 += g0 * (load(x + i) - high - low);
            a1 += g1 * (load(x + i + VL) - high - low);
        }
        for (; i + VL <= block; i += VL) {
            vec g = load(dy + i) * load(w + i);
            s0 += g;
            a0 += g * (load(x + i) - high - low);
        }
        if (vectors) {
            if (i < block) {
                idx at = block - VL;
                vec g = masked(load(dy + at) * load(w + at), block - i);
                s1 += g;
                a1 += masked(g * (load(x + at) - high - low), block - i);
            }
            to->slope += total(s0 + s1);
            to->along += total(a0 + a1);
            i = block;
        }
        double slope[QUAD] = {0}, along[QUAD] = {0};
        for (; i + QUAD <= block; i += QUAD)
            for (idx j = 0; j < QUAD; ++j) {
                double g = (double)(dy[i + j] * w[i + j]);
                slope[j] += g;
                along[j] += g * (double)(x[i + j] - mean.high - mean.low);
            }
        for (; i < block; ++i) {
            double g = (double)(dy[i] * w[i]);
            slope[0] += g;
            along[0] += g * (double)(x[i] - mean.high - mean.low);
        }
        if (!vectors) {
            to->slope += quad_total(slope);
            to->along += quad_total(along);
        }
        dy += block;
        w += block;
        x += block;
    }
}

/* Sums of row r; the channels' own sums of dy and of dy (x - mean) go to `parts`, if it is there.
 */
static inline sums row_sums(const rows *v, idx r, double *parts) {
    const T *x = row_of(v, v->x, r), *dy = row_of(v, v->dy, r), *w = channels_of(v, v->w, r);
    pair mean = split(v->mean[r]);
    sums all = {0, 0};
    if (v->l == 1) {
        element_sums(dy, w, x, v->k, mean, &all);
        return all;
    }
    for (idx c = 0; c < v->k; ++c, x += v->l, dy += v->l) {
        product_sums s = row_product_sums(dy, x, v->l, mean);
        all.slope += (double)w[c] * s.plain;
        all.along += (double)w[c] * s.product;
        if (parts) {
            *parts++ = s.plain;
            *parts++ = s.product * v->inverse[r];
        }
    }
    return all;
}

/* dx = inverse (dy w - mean of dy w - xhat mean of dy w xhat); RMS leaves the middle term out. */
static inline void write_dx(const rows *v, idx r, sums s) {
    const T *restrict x = row_of(v, v->x, r), *restrict dy = row_of(v, v->dy, r);
    const T *restrict w = channels_of(v, v->w, r);
    T *restrict dx = (T *)row_of(v, v->dx, r);
    pair mean = split(v->mean[r]);
    double m = (double)row_size(v), inv = v->inverse[r];
    T inverse = (T)inv, common = v->centred ? (T)(s.slope / m) : 0;
    T along = (T)(s.along / m * inv * inv);
    if (v->l == 1) {
        for (idx i = 0; i < v->k; ++i)
            dx[i] = inverse * (dy[i] * w[i] - common - along * (x[i] - mean.high - mean.low));
        return;
    }
    idx n = row_size(v);
    for (idx c = 0; c < v->k; ++c, x += v->l, dy += v->l, dx += v->l) {
        idx i = 0;
        for (; i + VL <= v->l; i += VL) {
            fetch(x + n + i);
            fetch(dy + n + i);
            vec d = load(x + i) - mean.high - mean.low;
            store(dx + i, inverse * (load(dy + i) * w[c] - common - along * d));
        }
        for (; i < v->l; ++i)
            dx[i] = inverse * (dy[i] * w[c] - common - along * (x[i] - mean.high - mean.low));
    }
}

/* What runs at once: samples whose partial sums fit the workspace. */
typedef struct {
    rows v;
    double *totals; /* dw and db of the samples before, of every channel, or NULL */
    double *parts;  /* sums of dy and dy xhat of every sample and channel, or NULL */
    T *chunks;      /* sums of dy xhat and of dy of CHUNK rows, per element, or NULL */
} backward;

static void backward_task(void *ctx, idx task, int slot) {
    const backward *f = ctx;
    const rows *v = &f->v;
    idx step = rows_per_task(v);
    for (idx r = task * step; r < least(v->n * v->g, (task + 1) * step); ++r) {
        sums s = row_sums(v, r, f->parts ? f->parts + r * v->k * 2 : NULL);
        if (v->dx) write_dx(v, r, s);
    }
    (void)slot;
}

/* -- backward: dw and db ----------------------------------------------------------------------- */

static void set_gradients(const rows *v, idx c, double dw, double db) {
    if (v->dw) ((T *)v->dw)[c] = (T)dw;
    if (v->db) ((T *)v->db)[c] = (T)db;
}

/* Long channels: the sums of each sample are known already. */
static void add_parts(void *ctx, idx task, int slot) {
    const backward *f = ctx;
    const rows *v = &f->v;
    idx all = v->g * v->k;
    for (idx c = task * COLUMNS; c < least(all, (task + 1) * COLUMNS); ++c) {
        double *dw = f->totals + 2 * c, *db = dw + 1;
        for (idx n = 0; n < v->n; ++n) {
            *db += f->parts[2 * (n * all + c)];
            *dw += f->parts[2 * (n * all + c) + 1];
        }
        set_gradients(v, c, *dw, *db);
    }
    (void)slot;
}

/* Short channels: a block of them within a group, a column per number, down all samples. */
static inline idx block_channels(const rows *v) { return COLUMNS / v->l; }
static inline idx blocks_per_group(const rows *v) { return ceil_div(v->k, block_channels(v)); }

static void add_columns(void *ctx, idx task, int slot) {
    const rows *v = &((const backward *)ctx)->v;
    idx g = task / blocks_per_group(v), c0 = task % blocks_per_group(v) * block_channels(v);
    idx channels = least(block_channels(v), v->k - c0), size = channels * v->l;
    double db[COLUMNS] = {0}, dw[COLUMNS] = {0};
    for (idx r = g; r < v->n * v->g; r += v->g) {
        const T *x = row_of(v, v->x, r) + c0 * v->l, *dy = row_of(v, v->dy, r) + c0 * v->l;
        double mean = v->mean[r], inverse = v->inverse[r];
        for (idx i = 0; i < size; ++i) {
            double d = (double)dy[i];
            db[i] += d;
            dw[i] += d * (((double)x[i] - mean) * inverse);
        }
    }
    for (idx c = 0; c < channels; ++c) {
        double sum = 0, product = 0;
        for (idx i = c * v->l; i < (c + 1) * v->l; ++i) {
            sum += db[i];
            product += dw[i];
        }
        set_gradients(v, g * v->k + c0 + c, product, sum);
    }
    (void)slot;
}

/* Many rows of middle length with an affine map per element: CHUNK rows at a time while they are in
 * the cache, then chunks in index order. */
static inline int takes_chunks(const rows *v) {
    return v->l == 1 && v->g == 1 && v->n >= 8 * CHUNK && v->k >= COLUMNS && v->k <= CHUNK_ROW;
}

static void chunk_task(void *ctx, idx task, int slot) {
    const backward *f = ctx;
    const rows *v = &f->v;
    T *restrict dw = f->chunks + task * 2 * v->k, *restrict db = dw + v->k;
    memset(dw, 0, (size_t)(2 * v->k) * sizeof(T));
    for (idx r = task * CHUNK; r < least(v->n, (task + 1) * CHUNK); ++r) {
        if (v->dx) write_dx(v, r, row_sums(v, r, NULL));
        const T *restrict x = row_of(v, v->x, r), *restrict dy = row_of(v, v->dy, r);
        pair mean = split(v->mean[r]);
        T inverse = (T)v->inverse[r];
        for (idx i = 0; i < v->k; ++i) {
            dw[i] += dy[i] * ((x[i] - mean.high - mean.low) * inverse);
            db[i] += dy[i];
        }
    }
    (void)slot;
}

static void add_chunks(void *ctx, idx task, int slot) {
    const backward *f = ctx;
    const rows *v = &f->v;
    idx c0 = task * COLUMNS, size = least(COLUMNS, v->k - c0);
    double *dw = f->totals + 2 * c0, *db = dw + size;
    for (idx chunk = 0; chunk < ceil_div(v->n, CHUNK); ++chunk) {
        const T *part = f->chunks + chunk * 2 * v->k + c0;
        for (idx i = 0; i < size; ++i) {
            dw[i] += (double)part[i];
            db[i] += (double)part[v->k + i];
        }
    }
    for (idx i = 0; i < size; ++i) set_gradients(v, c0 + i, dw[i], db[i]);
    (void)slot;
}

/* Samples first .. first + n - 1 of v. */
static rows samples(const rows *v, idx first, idx n) {
    rows some = *v;
    idx r = first * v->g;
    some.n = n;
    some.x = row_of(v, v->x, r);
    some.dy = row_of(v, v->dy, r);
    if (v->dx) some.dx = (void *)row_of(v, v->dx, r);
    some.mean += r;
    some.inverse += r;
    return some;
}

static int backward_samples(backward *f, fastnn_task first, fastnn_task second) {
    const rows *v = &f->v;
    double all = (double)(v->n * v->g), size = all * (double)row_size(v);
    idx firsts =
        first == chunk_task ? ceil_div(v->n, CHUNK) : ceil_div(v->n * v->g, rows_per_task(v));
    int status = FASTNN_OK;
    if (v->dx || f->totals)
        status = fastnn_parallel_for(firsts, first, f, v->threads, all * 20 + size / 2);
    if (!second || status != FASTNN_OK) return status;
    if (second == add_columns)
        return fastnn_parallel_for(v->g * blocks_per_group(v), second, f, v->threads, size / 2);
    return fastnn_parallel_for(ceil_div(v->g * v->k, COLUMNS), second, f, v->threads,
                               size / SHORT_CHANNEL);
}

int FN(rownorm_backward)(const rows *v) {
    backward f = {*v, NULL, NULL, NULL};
    int parts = v->l >= SHORT_CHANNEL, affine = v->dw || v->db;
    if (!affine) return backward_samples(&f, backward_task, NULL);
    if (!parts && !takes_chunks(v)) return backward_samples(&f, backward_task, add_columns);
    /* Partial sums are added in the order of the samples, whatever the workspace. */
    idx channels = v->g * v->k, unit = parts ? 1 : CHUNK;
    idx bytes = 2 * channels * (idx)(parts ? sizeof(double) : sizeof(T));
    idx units = least(most(1, v->workspace / bytes), ceil_div(v->n, unit));
    size_t totals = (size_t)channels * 2 * sizeof(double);
    f.totals = fastnn_scratch(totals + (size_t)(units * bytes));
    if (!f.totals) return FASTNN_NOMEM;
    memset(f.totals, 0, totals);
    if (parts)
        f.parts = f.totals + 2 * channels;
    else
        f.chunks = (T *)(f.totals + 2 * channels);
    int status = FASTNN_OK;
    for (idx n = 0; n < v->n && status == FASTNN_OK; n += units * unit) {
        f.v = samples(v, n, least(units * unit, v->n - n));
        status = backward_samples(&f, parts ? backward_task : chunk_task,
                                  parts ? add_parts : add_chunks);
    }
    fastnn_scratch_release(f.totals);
    return status;
}
