/* Depthwise convolution: filters of one channel, K a multiple of C, near the speed of memory.
 *
 * A plane is laid out in phases: phase (a, b) holds x[i*sh + a][j*sw + b] of the padded plane, all
 * phases with one pitch. There tap (r, s) of an output is at a fixed distance from it, so a tile of
 * outputs is one vector loop over a flat index, for any stride, dilation and size: what it computes
 * between the rows is thrown away, and borders are zeros. The gradient of the image is the same
 * loop over dy, once per phase with that phase's taps; the gradient of the filters sums products of
 * flat dy, zero between its rows, and a phase.
 *
 * Tiles follow from the shape alone, and no number of y or dx depends on them: terms are added in
 * the order of taps. */
#include "conv_taps.h"

enum { UNROLL = 4 };     /* vectors of outputs that share the load of a tap's weight */
enum { TILE = 4096 };    /* cells that the phases of a tile aim at: 16 KiB of float32 */
enum { COLUMNS = 512 };  /* outputs of a row that a tile has at least, if the row has them */
enum { DOTS = 9 };       /* taps that the gradient of the filters sums at the same time */
enum { DOT_TASKS = 12 }; /* with fewer filters their gradient splits the batch too */

/* A vector of T as float64. */
typedef double dvec __attribute__((vector_size(VB / sizeof(T) * sizeof(double))));
typedef double dvecu
    __attribute__((vector_size(VB / sizeof(T) * sizeof(double)), aligned(8), may_alias));

/* How planes are cut into tiles; rows, columns and cells are those of one phase. */
typedef struct {
    const conv *v;
    idx phases_h, phases_w;     /* that taps look at: fewer than the stride if taps are few */
    idx up, across;             /* rows and columns that a tile looks beyond itself */
    idx row0, col0, rows, cols; /* what is tiled */
    idx row_tiles, col_tiles;   /* of a plane */
    idx height, pitch;          /* of the largest tile with what it looks at */
    idx tiles, group;           /* of the call, of a task */
    idx splits;                 /* of the sums over the batch */
    idx *start, *tap;           /* taps by phase: phase f has tap[start[f]] .. tap[start[f+1]-1] */
    idx *distance;              /* of each of them from its output's cell */
    double *sums;               /* splits x K x taps */
    char *slots;
    size_t slot_bytes;
} plan;

typedef struct {
    idx i0, rows, j0, cols; /* the cells of every phase */
    idx flat;               /* cells from the first to the last one */
} tile;

static inline idx taps(const conv *v) { return v->R * v->S; }
static inline idx phases(const plan *it) { return it->phases_h * it->phases_w; }
static inline idx plane_tiles(const plan *it) { return it->row_tiles * it->col_tiles; }

/* Cells that the vector loop over a tile writes, and reads of each tap. */
static inline idx whole(idx flat) { return round_up(flat, UNROLL * VL); }

/* Tiles of the cells [row0, row0 + rows) x [col0, col0 + cols) of `planes` planes. */
static plan make_plan(const conv *v, idx planes, idx row0, idx rows, idx col0, idx cols) {
    idx tall = (v->R - 1) * v->dh, wide = (v->S - 1) * v->dw_step;
    plan it = {.v = v,
               .phases_h = least(v->sh, tall + 1),
               .phases_w = least(v->sw, wide + 1),
               .up = tall / v->sh,
               .across = wide / v->sw,
               .row0 = row0,
               .col0 = col0,
               .rows = rows,
               .cols = cols,
               .splits = 1};
    idx aim = most(1, TILE / phases(&it)), width = cols;
    if ((cols + it.across) * (1 + it.up) > aim) width = least(cols, most(COLUMNS, it.across));
    it.col_tiles = ceil_div(cols, width);
    it.pitch = ceil_div(cols, it.col_tiles) + it.across;
    it.row_tiles = ceil_div(rows, most(1, aim / it.pitch));
    it.height = ceil_div(rows, it.row_tiles) + it.up;
    it.tiles = planes * plane_tiles(&it);
    it.group = ceil_div(TILE, phases(&it) * it.height * it.pitch);
    return it;
}

/* Tile `index` of a plane. */
static tile tile_of(const plan *it, idx index) {
    if (plane_tiles(it) == 1) /* a division would cost as much as a small plane */
        return (tile){it->row0, it->rows, it->col0, it->cols,
                      (it->rows - 1) * it->pitch + it->cols};
    idx r = index / it->col_tiles, c = index % it->col_tiles;
    tile t = {.i0 = it->row0 + part(it->rows, it->row_tiles, r),
              .j0 = it->col0 + part(it->cols, it->col_tiles, c)};
    t.rows = it->row0 + part(it->rows, it->row_tiles, r + 1) - t.i0;
    t.cols = it->col0 + part(it->cols, it->col_tiles, c + 1) - t.j0;
    t.flat = (t.rows - 1) * it->pitch + t.cols;
    return t;
}

/* Sort taps by phase. Looking forward, an output at cell f sees tap t at f + distance; looking
 * back, the cell f of that phase of dx gets dy from f + distance. */
static void sort_taps(plan *it, int back) {
    const conv *v = it->v;
    idx phase = it->height * it->pitch, n = 0;
    for (idx f = 0; f < phases(it); ++f) {
        it->start[f] = n;
        for (idx t = 0; t < taps(v); ++t) {
            idx h = t / v->S * v->dh, w = t % v->S * v->dw_step;
            if (h % v->sh != f / it->phases_w || w % v->sw != f % it->phases_w) continue;
            idx rows = h / v->sh, cols = w / v->sw;
            it->tap[n] = t;
            it->distance[n++] = back ? (it->up - rows) * it->pitch + it->across - cols
                                     : f * phase + rows * it->pitch + cols;
        }
    }
    it->start[phases(it)] = n;
}

/* Memory of a slot: phases, results (or dy), a filter's weights by phase, sums of lanes. */
typedef struct {
    T *phases, *results, *weights;
    double *lanes;
} memory;

static size_t slot_layout(const plan *it, char *base, memory *m) {
    idx cells = phases(it) * it->height * it->pitch + UNROLL * VL; /* vectors end there */
    size_t a = line_bytes(cells);
    size_t b = line_bytes(phases(it) * whole((it->height - it->up) * it->pitch) + VL);
    size_t c = line_bytes(taps(it->v));
    if (m)
        *m =
            (memory){(T *)base, (T *)(base + a), (T *)(base + a + b), (double *)(base + a + b + c)};
    return a + b + c + (size_t)(taps(it->v) * VL) * sizeof(double);
}

/* Allocate all, sort taps, run `tasks` tasks of about `work` multiply-adds in all. */
static int run(plan *it, int back, fastnn_task task, idx tasks, double work) {
    const conv *v = it->v;
    size_t lists = ((size_t)(2 * taps(v) + phases(it) + 1) * sizeof(idx) + 63) / 64 * 64;
    size_t sums = ((size_t)(it->splits * v->K * taps(v)) * sizeof(double) + 63) / 64 * 64;
    if (it->splits == 1) sums = 0;
    it->slot_bytes = slot_layout(it, NULL, NULL);
    char *base = fastnn_scratch(lists + sums + (size_t)v->threads * it->slot_bytes);
    if (!base) return FASTNN_NOMEM;
    it->tap = (idx *)base;
    it->distance = it->tap + taps(v);
    it->start = it->distance + taps(v);
    it->sums = (double *)(base + lists);
    it->slots = base + lists + sums;
    sort_taps(it, back);
    int status = fastnn_parallel_for(tasks, task, it, v->threads, work / 16);
    if (status == FASTNN_OK && it->splits > 1) {
        T *dw = v->dw;
        for (idx i = 0; i < v->K * taps(v); ++i) {
            double sum = 0;
            for (idx s = 0; s < it->splits; ++s) sum += it->sums[s * v->K * taps(v) + i];
            dw[i] = (T)sum;
        }
    }
    fastnn_scratch_release(base);
    return status;
}

/* -- moving planes in and out ---------------------------------------------------------------- */

/* The phases of plane `index` of x that a tile of outputs looks at. */
static void pack_phases(const plan *it, T *to, idx index, const tile *t) {
    const conv *v = it->v;
    const T *x = (const T *)v->x + index * v->H * v->W;
    const T *end = (const T *)v->x + v->N * v->C * v->H * v->W;
    for (idx a = 0; a < it->phases_h; ++a)
        for (idx b = 0; b < it->phases_w; ++b, to += it->height * it->pitch) {
            idx h0 = t->i0 * v->sh + a - v->top, w0 = t->j0 * v->sw + b - v->left;
            pack(to, it->height, it->pitch, x, v->W, v->H, v->W, h0, v->sh, w0, v->sw, 0, end);
        }
}

/* `rows` rows of plane `index` of dy from (p0, q0) on, nothing from column `last` on. */
static void pack_dy(const plan *it, T *to, idx rows, idx index, idx p0, idx q0, idx last) {
    const conv *v = it->v;
    const T *end = (const T *)v->dy + v->N * v->K * v->P * v->Q;
    pack(to, rows, it->pitch, (const T *)v->dy + index * v->P * v->Q, v->Q, v->P, last, p0, 1, q0,
         1, 0, end);
}

/* Columns of phase b that are inside the rows of x. */
static inline void columns(const conv *v, const tile *t, idx b, idx *lo, idx *hi) {
    steps_inside(t->j0 * v->sw - v->left + b, v->sw, v->W, t->cols, lo, hi);
}

/* One row of dx, from where the tile begins, from a row of its phases, `size` apart; `none` of the
 * phases have taps from that one on. */
static void unpack_row(const conv *v, T *dx, const T *lines, idx size, idx none, T first,
                       const tile *t) {
    for (idx b = 0; b < v->sw; ++b) {
        idx lo, hi;
        columns(v, t, b, &lo, &hi);
        for (idx j = lo; j < hi; ++j) dx[b + j * v->sw] = b < none ? lines[b * size + j] : first;
    }
}

/* The rows of plane `index` of dx that belong to a tile. */
static void unpack(const plan *it, idx index, const T *results, idx size, T first, const tile *t) {
    const conv *v = it->v;
    idx lo, hi, lo1, hi1;
    columns(v, t, 0, &lo, &hi);
    columns(v, t, 1, &lo1, &hi1);
    idx top = t->i0 * v->sh - v->top, end = least(v->H, top + t->rows * v->sh);
    T *to = (T *)v->dx + index * v->H * v->W + t->j0 * v->sw - v->left;
    for (idx r = 0; r < t->rows; ++r)
        for (idx a = 0; a < v->sh; ++a) {
            idx h = top + r * v->sh + a;
            const T *lines = results + a * it->phases_w * size + r * it->pitch;
            if (h < 0 || h >= end) continue;
            if (a >= it->phases_h || v->sw > 2 || it->phases_w < v->sw) {
                unpack_row(v, to + h * v->W, lines, size, a < it->phases_h ? it->phases_w : 0,
                           first, t);
            } else if (v->sw == 1) {
                copy(to + h * v->W + lo, lines + lo, hi - lo,
                     it->col_tiles == 1 ? (end - h) * v->W : hi - lo);
            } else {
                T *restrict row = to + h * v->W;
                const T *restrict even = lines, *restrict odd = lines + size;
                if (lo1 < lo) row[2 * lo1 + 1] = odd[lo1];
                if (hi > hi1) row[2 * hi1] = even[hi1];
                for (idx j = lo; j < hi1; ++j) {
                    row[2 * j] = even[j];
                    row[2 * j + 1] = odd[j];
                }
            }
        }
}

/* -- forward and gradient of the image ------------------------------------------------------- */

/* to[f] = first (or itself) + sum over n taps of w[t] * from[f + distance[t]]. */
static void add_taps(T *restrict to, const T *restrict from, idx flat, const T *w,
                     const idx *distance, idx n, const T *first) {
    for (idx f = 0; f < flat; f += UNROLL * VL, to += UNROLL * VL, from += UNROLL * VL) {
        vec y0, y1, y2, y3;
        if (first) {
            y0 = y1 = y2 = y3 = splat(*first);
        } else {
            y0 = load(to);
            y1 = load(to + VL);
            y2 = load(to + 2 * VL);
            y3 = load(to + 3 * VL);
        }
        for (idx t = 0; t < n; ++t) {
            vec s = splat(w[t]);
            const T *x = from + distance[t];
            y0 += s * load(x);
            y1 += s * load(x + VL);
            y2 += s * load(x + 2 * VL);
            y3 += s * load(x + 3 * VL);
        }
        store(to, y0);
        store(to + VL, y1);
        store(to + 2 * VL, y2);
        store(to + 3 * VL, y3);
    }
}

/* The weights of filter k in the order of sorted taps. */
static const T *sorted_weights(const plan *it, T *to, idx k) {
    const T *w = (const T *)it->v->w + k * taps(it->v);
    for (idx t = 0; t < taps(it->v); ++t) to[t] = w[it->tap[t]];
    return to;
}

static inline T first_value(const conv *v, idx plane) {
    return v->b ? ((const T *)v->b)[plane] : 0;
}

static void forward_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    memory m;
    slot_layout(it, it->slots + (size_t)slot * it->slot_bytes, &m);
    for (idx i = task * it->group; i < least((task + 1) * it->group, it->tiles); ++i) {
        tile t = tile_of(it, i % plane_tiles(it));
        idx plane = i / plane_tiles(it), n = plane / v->K, k = plane % v->K;
        T first = first_value(v, k);
        pack_phases(it, m.phases, n * v->C + k / (v->K / v->C), &t);
        add_taps(m.results, m.phases, t.flat, sorted_weights(it, m.weights, k), it->distance,
                 taps(v), &first);
        T *y = (T *)v->y + plane * v->P * v->Q + t.i0 * v->Q + t.j0;
        for (idx r = 0; r < t.rows; ++r)
            copy(y + r * v->Q, m.results + r * it->pitch, t.cols,
                 it->col_tiles == 1 ? (t.rows - r) * v->Q : t.cols);
    }
}

static double products(const conv *v) {
    return (double)v->N * (double)v->K * (double)(v->P * v->Q) * (double)taps(v);
}

int FN(conv_depthwise_forward)(const conv *v) {
    plan it = make_plan(v, v->N * v->K, 0, v->P, 0, v->Q);
    return run(&it, 0, forward_task, ceil_div(it.tiles, it.group), products(v));
}

static void image_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    memory m;
    slot_layout(it, it->slots + (size_t)slot * it->slot_bytes, &m);
    idx per_channel = v->K / v->C, size = whole((it->height - it->up) * it->pitch);
    for (idx i = task * it->group; i < least((task + 1) * it->group, it->tiles); ++i) {
        tile t = tile_of(it, i % plane_tiles(it));
        idx plane = i / plane_tiles(it), n = plane / v->C, c = plane % v->C;
        T first = first_value(v, c);
        for (idx j = 0; j < per_channel; ++j) {
            idx k = c * per_channel + j;
            pack_dy(it, m.phases, it->height, n * v->K + k, t.i0 - it->up, t.j0 - it->across, v->Q);
            const T *w = sorted_weights(it, m.weights, k);
            for (idx f = 0; f < phases(it); ++f)
                add_taps(m.results + f * size, m.phases, t.flat, w + it->start[f],
                         it->distance + it->start[f], it->start[f + 1] - it->start[f],
                         j ? NULL : &first);
        }
        unpack(it, plane, m.results, size, first, &t);
    }
}

int FN(conv_depthwise_backward_data)(const conv *v) {
    idx row0 = v->top / v->sh, col0 = v->left / v->sw;
    plan it = make_plan(v, v->N * v->C, row0, ceil_div(v->top + v->H, v->sh) - row0, col0,
                        ceil_div(v->left + v->W, v->sw) - col0);
    return run(&it, 1, image_task, ceil_div(it.tiles, it.group), products(v));
}

/* -- gradient of the filters ----------------------------------------------------------------- */

/* Add to lanes[t] the products of dy and x + distance[t], for `count` taps, a constant. */
static inline __attribute__((always_inline)) void
dots(const T *dy, const T *x, idx flat, const idx *distance, double *lanes, const int count) {
    vec s[DOTS] = {{0}};
    for (idx f = 0; f < flat; f += VL) {
        vec d = load(dy + f);
#pragma GCC unroll 9
        for (int t = 0; t < count; ++t) s[t] += d * load(x + f + distance[t]);
    }
#pragma GCC unroll 9
    for (int t = 0; t < count; ++t)
        *(dvecu *)(lanes + t * VL) += __builtin_convertvector(s[t], dvec);
}

static void all_dots(const T *dy, const T *x, idx flat, const idx *distance, double *lanes,
                     idx count) {
    switch (count) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        dots(dy, x, flat, distance, lanes, n);                                                     \
        break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9)
#undef CASE
    }
}

/* The sum for one tap over a tile, product by product: nothing but what the tap sees. */
static double exact_dot(const conv *v, const T *x, const T *dy, const tile *t, idx tap) {
    idx lo, hi, shift = tap % v->S * v->dw_step - v->left;
    steps_inside(t->j0 * v->sw + shift, v->sw, v->W, t->cols, &lo, &hi);
    double sum = 0;
    for (idx p = t->i0; p < t->i0 + t->rows; ++p) {
        idx h = image_row(v, p, tap / v->S);
        if (h < 0) continue;
        for (idx q = t->j0 + lo; q < t->j0 + hi; ++q)
            sum += (double)dy[p * v->Q + q] * (double)x[h * v->W + q * v->sw + shift];
    }
    return sum;
}

static void filters_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    memory m;
    slot_layout(it, it->slots + (size_t)slot * it->slot_bytes, &m);
    idx k = task % v->K, split = task / v->K, all = taps(v), chunks = ceil_div(all, DOTS);
    idx u0 = part(it->tiles, it->splits, split), u1 = part(it->tiles, it->splits, split + 1);
    idx cells = phases(it) * it->height * it->pitch;
    const T *x = (const T *)v->x + k / (v->K / v->C) * v->H * v->W;
    const T *dy = (const T *)v->dy + k * v->P * v->Q;
    memset(m.lanes, 0, (size_t)(all * VL) * sizeof(double));
    memset(m.phases + cells, 0, (size_t)(UNROLL * VL) * sizeof(T));
    for (idx u = u0; u < u1; ++u) {
        idx n = u / plane_tiles(it);
        tile t = tile_of(it, u % plane_tiles(it));
        pack_phases(it, m.phases, n * v->C + k / (v->K / v->C), &t);
        pack_dy(it, m.results, t.rows, n * v->K + k, t.i0, t.j0, t.j0 + t.cols);
        memset(m.results + t.flat, 0, (size_t)(round_up(t.flat, VL) - t.flat) * sizeof(T));
        for (idx i = 0; i < chunks; ++i) {
            idx t0 = part(all, chunks, i);
            all_dots(m.results, m.phases, t.flat, it->distance + t0, m.lanes + t0 * VL,
                     part(all, chunks, i + 1) - t0);
        }
    }
    for (idx i = 0; i < all; ++i) {
        idx at = k * all + it->tap[i];
        double sum = 0;
        for (idx j = 0; j < VL; ++j) sum += m.lanes[i * VL + j];
        if (sum - sum != 0) { /* perhaps only a zero between rows times Inf or NaN */
            sum = 0;
            for (idx u = u0; u < u1; ++u) {
                tile t = tile_of(it, u % plane_tiles(it));
                idx n = u / plane_tiles(it);
                sum += exact_dot(v, x + n * v->C * v->H * v->W, dy + n * v->K * v->P * v->Q, &t,
                                 it->tap[i]);
            }
        }
        if (it->splits == 1)
            ((T *)v->dw)[at] = (T)sum;
        else
            it->sums[split * v->K * all + at] = sum;
    }
}

int FN(conv_depthwise_backward_filter)(const conv *v) {
    plan it = make_plan(v, v->N, 0, v->P, 0, v->Q);
    it.splits = least(it.tiles, ceil_div(DOT_TASKS, v->K));
    return run(&it, 0, filters_task, it.splits * v->K, products(v));
}
