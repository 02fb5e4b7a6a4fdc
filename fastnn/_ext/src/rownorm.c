/* Layer, group, instance and RMS normalisation: rows of K*L numbers, each with its own statistics,
 * and an affine map w[g,k], b[g,k] that is the same for every sample.
 *
 * Statistics are two-pass with totals in float64. A row's results depend on that row alone; dw and
 * db are added up over the samples in an order that follows from the shape. */
#include "shortrows.h"

enum { TASK = 16384 };                 /* numbers of a task that takes several rows */
enum { COLUMNS = 64 };                 /* of a task that adds up gradients of short channels */
enum { CHUNK = 32, CHUNK_ROW = 8192 }; /* rows whose dw and db are added up at once; their length */
enum { SHORT_CHANNEL = 16 };           /* channels below this length are added up as columns */

typedef fastnn_rownorm_args rows;

#define INLINE static inline __attribute__((always_inline))

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

static inline void row_statistics(const rows *v, const T *x, double *mean, double *inverse) {
    idx m = row_size(v);
    moments rest = {0, 0};
    double middle = 0, var;
    if (v->centred) {
        middle = row_sum(x, m) / (double)m;
        row_moments(x, m, split(middle), &rest);
        var = corrected(&rest, (double)m, &middle);
    } else {
        row_moments(x, m, split(0), &rest);
        var = rest.squares / (double)m;
    }
    *mean = middle;
    *inverse = 1 / sqrt(var + v->eps);
}

/* y = (x - mean) inverse w + b. */
static inline void write_row(const rows *v, idx r, double middle, double inv) {
    const T *restrict x = row_of(v, v->x, r);
    const T *restrict w = channels_of(v, v->w, r), *restrict b = channels_of(v, v->b, r);
    T *restrict y = (T *)row_of(v, v->y, r);
    pair mean = split(middle);
    T inverse = (T)inv;
    idx m = row_size(v);
    if (v->l == 1) {
        idx i = 0;
        for (; i + VL <= m; i += VL) {
            vec d = load(x + i) - mean.high - mean.low;
            store(y + i, d * inverse * load(w + i) + load(b + i));
        }
        for (; i < m; ++i) y[i] = (x[i] - mean.high - mean.low) * inverse * w[i] + b[i];
        return;
    }
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

static inline int in_blocks(const rows *v) { return is_short(row_size(v)); }

static void forward_task(void *ctx, idx task, int slot) {
    const rows *v = ctx;
    idx step = rows_per_task(v), stop = least(v->n * v->g, (task + 1) * step), some;
    for (idx r = task * step; r < stop; r += some) {
        double mean[LANES], inverse[LANES];
        some = in_blocks(v) ? least(LANES, stop - r) : 1;
        if (in_blocks(v))
            short_statistics(row_of(v, v->x, r), row_size(v), some, v->centred, v->eps, mean,
                             inverse);
        else
            row_statistics(v, row_of(v, v->x, r), mean, inverse);
        if (v->mean) {
            memcpy(v->mean + r, mean, (size_t)some * sizeof(double));
            memcpy(v->inverse + r, inverse, (size_t)some * sizeof(double));
        }
        for (idx j = 0; j < some; ++j) write_row(v, r + j, mean[j], inverse[j]);
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

/* -- backward: an affine map per element, one for all rows ------------------------------------- */

static inline int by_element(const rows *v) { return v->l == 1 && v->g == 1 && v->k >= VL; }

/* What dx of `some` rows from r on needs: of LANES at most, or of one that is not short. */
static inline void find_terms(const rows *v, idx r, idx some, row_terms *to) {
    const T *x = row_of(v, v->x, r), *dy = row_of(v, v->dy, r);
    idx m = row_size(v);
    if (is_short(m)) {
        short_terms(x, dy, v->w, m, some, v->centred, v->mean + r, v->inverse + r, to);
        return;
    }
    for (idx j = 0; j < some; ++j) {
        sums s = row_sums(v, r + j, NULL);
        pair mean = split(v->mean[r + j]);
        double inverse = v->inverse[r + j];
        to->high[j] = mean.high;
        to->low[j] = mean.low;
        to->inverse[j] = (T)inverse;
        to->common[j] = v->centred ? (T)(s.slope / (double)m) : 0;
        to->along[j] = (T)(s.along / (double)m * inverse * inverse);
    }
}

/* The terms of a few rows, in every lane. */
typedef struct {
    vec high[TOGETHER], low[TOGETHER], inverse[TOGETHER], common[TOGETHER], along[TOGETHER];
} wide_terms;

/* A vector of columns of `some` rows: dx, and what its last `lanes` lanes add to dw and db, if
 * these are there. */
INLINE void column_step(const T *x, const T *dy, const T *w, T *dx, T *dw, T *db, idx size,
                        const int some, const wide_terms *of, idx lanes) {
    vec slope = dw ? load(dw) : (vec){0}, shift = dw ? load(db) : (vec){0}, scale = load(w);
    UNROLL(4)
    for (int j = 0; j < some; ++j) {
        vec d = load(x + j * size) - of->high[j] - of->low[j], g = load(dy + j * size);
        vec product = g * (d * of->inverse[j]);
        slope += lanes < VL ? masked(product, lanes) : product;
        shift += lanes < VL ? masked(g, lanes) : g;
        if (dx)
            store(dx + j * size, of->inverse[j] * (g * scale - of->common[j] - of->along[j] * d));
    }
    if (!dw) return;
    store(dw, slope);
    store(db, shift);
}

static inline T *after(T *p, idx i) { return p ? p + i : NULL; }

/* Rows r .. r + some - 1, whose terms begin at `first`. */
INLINE void write_rows(const rows *v, idx r, const int some, const row_terms *terms, idx first,
                       T *dw, T *db) {
    wide_terms of;
    UNROLL(4)
    for (int j = 0; j < some; ++j) {
        of.high[j] = splat(terms->high[first + j]);
        of.low[j] = splat(terms->low[first + j]);
        of.inverse[j] = splat(terms->inverse[first + j]);
        of.common[j] = splat(terms->common[first + j]);
        of.along[j] = splat(terms->along[first + j]);
    }
    const T *x = row_of(v, v->x, r), *dy = row_of(v, v->dy, r), *w = v->w;
    T *dx = v->dx ? (T *)row_of(v, v->dx, r) : NULL;
    idx size = v->k, i = 0;
    for (; i + VL <= size; i += VL)
        column_step(x + i, dy + i, w + i, after(dx, i), after(dw, i), after(db, i), size, some, &of,
                    VL);
    idx rest = size - i;
    if (!rest) return;
    i = size - VL;
    column_step(x + i, dy + i, w + i, after(dx, i), after(dw, i), after(db, i), size, some, &of,
                rest);
}

/* Rows r .. stop - 1, with sums of dy xhat and of dy for each element, or without. */
INLINE void element_rows(const rows *v, idx r, idx stop, T *dw, T *db) {
    const idx step = is_short(v->k) ? LANES : TOGETHER;
    for (idx some; r < stop; r += some) {
        row_terms terms;
        idx j = 0;
        some = least(step, stop - r);
        find_terms(v, r, some, &terms);
        for (; j + TOGETHER <= some; j += TOGETHER)
            write_rows(v, r + j, TOGETHER, &terms, j, dw, db);
        for (; j < some; ++j) write_rows(v, r + j, 1, &terms, j, dw, db);
    }
}

/* -- backward: any rows ------------------------------------------------------------------------ */

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
    idx step = rows_per_task(v), stop = least(v->n * v->g, (task + 1) * step);
    if (by_element(v)) {
        element_rows(v, task * step, stop, NULL, NULL);
        return;
    }
    for (idx r = task * step; r < stop; ++r) {
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

/* Many rows with an affine map per element: CHUNK rows at a time while they are in the cache, then
 * chunks in index order. */
static inline int takes_chunks(const rows *v) {
    return by_element(v) && v->n >= 8 * CHUNK && v->k <= CHUNK_ROW;
}

static inline idx chunks_per_task(const rows *v) { return most(1, TASK / (CHUNK * v->k)); }

static void chunk_task(void *ctx, idx task, int slot) {
    const backward *f = ctx;
    const rows *v = &f->v;
    idx step = chunks_per_task(v);
    for (idx i = task * step; i < least((task + 1) * step, ceil_div(v->n, CHUNK)); ++i) {
        T *dw = f->chunks + i * 2 * v->k;
        memset(dw, 0, (size_t)(2 * v->k) * sizeof(T));
        element_rows(v, i * CHUNK, least(v->n, (i + 1) * CHUNK), dw, dw + v->k);
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
    idx firsts = first == chunk_task ? ceil_div(ceil_div(v->n, CHUNK), chunks_per_task(v))
                                     : ceil_div(v->n * v->g, rows_per_task(v));
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
