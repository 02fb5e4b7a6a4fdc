/* Depthwise convolution: filters of one channel, K a multiple of C, near the speed of memory.
 *
 * A vector is VL planes: they are transposed to cells [row][column][plane], with their zeros, where
 * any tap of any stride and dilation is at a fixed distance from its output and no lane is lost to
 * borders or rows' ends, however small an image is. Planes are those of all samples, one after the
 * other. The gradient of the image is the same loop over dy, column phase after column phase with
 * that phase's taps; that of the filters keeps a vector of sums per tap.
 *
 * Tiles follow from the shape alone, and no number of y or dx depends on them: terms are added in
 * the order of taps. */
#include "conv_depthwise.h"

enum { CELLS = 2048 };   /* of a tile: 128 KiB at the most, in the second level */
enum { DOTS = 9 };       /* taps that the gradient of the filters sums at the same time */
enum { DOT_TASKS = 12 }; /* with fewer vectors of channels their gradient splits the batch too */

/* Outputs of a row that share the load of a tap's weights: common widths are multiples of 7. With
 * their weights and cells they must fit the registers. */
#if defined(__AVX512F__)
#define OUTPUTS 14
#else
#define OUTPUTS 7
#endif

/* A vector of T as float64. */
typedef double dvec __attribute__((vector_size(VB / sizeof(T) * sizeof(double))));
typedef double dvecu
    __attribute__((vector_size(VB / sizeof(T) * sizeof(double)), aligned(8), may_alias));

typedef struct {
    const conv *v;
    int back;       /* whether tiles are of dx, from cells of dy */
    idx high, wide; /* rows and columns of the planes that are cut into tiles */
    idx row_tiles, col_tiles;
    idx rows, cols;              /* of the largest tile */
    idx height, pitch;           /* cells that it looks at */
    idx phases_h, phases_w;      /* that have taps; forward there is but one */
    idx splits;                  /* of the sums over the batch */
    idx *start, *tap, *distance; /* phase f has tap[start[f]] .. tap[start[f+1]-1], so far away */
    idx lanes;                   /* channels and, once more, the first ones */
    T *weights, *first;          /* [filter of a channel][sorted tap][lanes], [..][lanes] */
    double *sums;                /* splits x K x taps */
    char *slots;
    size_t slot_bytes, cells_bytes;
} plan;
static inline idx tiles_of(const plan *it) { return it->row_tiles * it->col_tiles; }

/* Cells along an axis that `outputs` outputs look at. */
static idx look(int back, idx outputs, idx step, idx reach) {
    return back ? (outputs - 1) / step + 2 + reach / step : (outputs - 1) * step + 1 + reach;
}

static plan make_plan(const conv *v, int back) {
    plan it = {.v = v, .back = back, .splits = 1, .lanes = v->C + VL};
    it.high = it.rows = back ? v->H : v->P;
    it.wide = it.cols = back ? v->W : v->Q;
    idx tall = (v->R - 1) * v->dh, across = (v->S - 1) * v->dw_step;
    it.phases_h = back ? least(v->sh, tall + 1) : 1;
    it.phases_w = back ? least(v->sw, across + 1) : 1;
    for (;;) {
        it.height = look(back, it.rows, v->sh, tall);
        it.pitch = look(back, it.cols, v->sw, across);
        if (it.height * it.pitch <= CELLS) break;
        if (it.rows > 1)
            it.rows = ceil_div(it.rows, 2);
        else if (it.cols > 1 && it.pitch > 2 * across)
            it.cols = ceil_div(it.cols, 2);
        else
            break;
    }
    it.row_tiles = ceil_div(it.high, it.rows);
    it.col_tiles = ceil_div(it.wide, it.cols);
    it.cells_bytes = line_bytes((it.height * it.pitch + VL) * VL);
    it.slot_bytes = it.cells_bytes + line_bytes((it.rows * it.cols + VL) * VL) +
                    (size_t)(per_channel(v) * taps(v) * VL) * sizeof(double);
    return it;
}

static tile_place tile_of(const plan *it, idx index) {
    idx r = index / it->col_tiles, c = index % it->col_tiles;
    tile_place t = {.i = part(it->high, it->row_tiles, r), .j = part(it->wide, it->col_tiles, c)};
    t.rows = part(it->high, it->row_tiles, r + 1) - t.i;
    t.cols = part(it->wide, it->col_tiles, c + 1) - t.j;
    return t;
}

/* Taps by phase. Forward there is one phase, and an output at cell f sees a tap at f + distance;
 * looking back, cell f of a phase of dx gets dy from f + distance. */
static void sort_taps(plan *it) {
    const conv *v = it->v;
    idx n = 0, up = (v->R - 1) * v->dh / v->sh, across = (v->S - 1) * v->dw_step / v->sw;
    for (idx f = 0; f < it->phases_h * it->phases_w; ++f) {
        it->start[f] = n;
        for (idx t = 0; t < taps(v); ++t) {
            idx h = t / v->S * v->dh, w = t % v->S * v->dw_step;
            if (it->back && (h % v->sh != f / it->phases_w || w % v->sw != f % it->phases_w))
                continue;
            it->tap[n] = t;
            it->distance[n++] = VL * (it->back ? (up - h / v->sh) * it->pitch + across - w / v->sw
                                               : h * it->pitch + w);
        }
    }
    it->start[it->phases_h * it->phases_w] = n;
}

/* Weights with channels as lanes, so that the vector of any plane's channels is in one piece. */
static void spread_weights(const plan *it) {
    const conv *v = it->v;
    const T *w = v->w, *b = v->b;
    for (idx j = 0; j < per_channel(v); ++j)
        for (idx t = 0; t < taps(v); ++t) {
            T *to = it->weights + (j * taps(v) + t) * it->lanes;
            for (idx i = 0; i < it->lanes; ++i)
                to[i] = w[(i % v->C * per_channel(v) + j) * taps(v) + it->tap[t]];
        }
    for (idx j = 0; j < per_channel(v); ++j) /* of dx: b is per channel */
        for (idx i = 0; i < it->lanes; ++i)
            it->first[j * it->lanes + i] = !b         ? 0
                                           : it->back ? (j ? 0 : b[i % v->C])
                                                      : b[i % v->C * per_channel(v) + j];
}

/* Allocate all, sort taps, run `tasks` tasks. */
static int run(plan *it, fastnn_task task, idx tasks) {
    const conv *v = it->v;
    idx phases = it->phases_h * it->phases_w;
    size_t lists = ((size_t)(2 * taps(v) + phases + 1) * sizeof(idx) + 63) / 64 * 64;
    size_t sums = it->splits > 1 ? (size_t)(it->splits * v->K * taps(v)) * sizeof(double) : 0;
    sums = (sums + 63) / 64 * 64;
    size_t weights = v->w ? line_bytes(per_channel(v) * taps(v) * it->lanes) : 0;
    size_t first = v->w ? line_bytes(per_channel(v) * it->lanes) : 0;
    char *base =
        fastnn_scratch(lists + sums + weights + first + (size_t)v->threads * it->slot_bytes);
    if (!base) return FASTNN_NOMEM;
    it->tap = (idx *)base;
    it->distance = it->tap + taps(v);
    it->start = it->distance + taps(v);
    it->sums = (double *)(base + lists);
    it->weights = (T *)(base + lists + sums);
    it->first = (T *)(base + lists + sums + weights);
    it->slots = base + lists + sums + weights + first;
    sort_taps(it);
    if (v->w) spread_weights(it);
    double work = (double)v->N * (double)v->K * (double)(v->P * v->Q) * (double)(taps(v) + 8);
    int status = fastnn_parallel_for(tasks, task, it, v->threads, work / 32);
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

/* -- forward and gradient of the image ------------------------------------------------------- */

/* Taps of a run of outputs: their number, distances and weights, `lanes` apart. */
typedef struct {
    idx count, lanes;
    const idx *distance;
    const T *weights;
} window;

/* Outputs `put` apart: first (NULL: what is there) + the sum over taps of w * x, x `get` apart. */
typedef void outputs(T *to, idx put, const T *x, idx get, const window *w, const T *first);

#define ROWS_13(M) ROWS_12(M) M(12)
#define ROWS_14(M) ROWS_13(M) M(13)
#define BEGIN(i) vec x##i = first ? load(first) : load(to + i * put);
#define ADD(i) x##i += weight * load(cell + i * get);
#define ADD_PAIR(i)                                                                                \
    here = next;                                                                                   \
    next = load(cell + (i + 1) * VL);                                                              \
    x##i += weight * here;                                                                         \
    x##i += after * next;
#define END(i) store(to + i * put, x##i);
/* Two taps side by side load the cells that they share once: else loads would set the pace. */
#define OUTPUT(n)                                                                                  \
    static void outputs_##n(T *to, idx put, const T *x, idx get, const window *w,                  \
                            const T *first) {                                                      \
        ROWS_##n(BEGIN);                                                                           \
        for (idx t = 0; t < w->count; ++t) {                                                       \
            const T *cell = x + w->distance[t];                                                    \
            vec weight = load(w->weights + t * w->lanes);                                          \
            if (get == VL && t + 1 < w->count && w->distance[t + 1] - w->distance[t] == VL) {      \
                vec after = load(w->weights + ++t * w->lanes), here, next = load(cell);            \
                ROWS_##n(ADD_PAIR);                                                                \
            } else {                                                                               \
                ROWS_##n(ADD);                                                                     \
            }                                                                                      \
        }                                                                                          \
        ROWS_##n(END);                                                                             \
    }
#if OUTPUTS == 14
#define ALL_OUTPUTS(F) ALL_ROWS(F) F(13) F(14)
#else
#define ALL_OUTPUTS(F) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#endif
ALL_OUTPUTS(OUTPUT)

#define ENTRY(n) outputs_##n,
static outputs *const rows_of[OUTPUTS + 1] = {0, ALL_OUTPUTS(ENTRY)};

/* `count` outputs of a row. */
static void add_row(T *to, idx put, const T *x, idx get, idx count, const window *w,
                    const T *first) {
    idx blocks = ceil_div(count, OUTPUTS);
    for (idx b = 0; b < blocks; ++b) {
        idx q = part(count, blocks, b);
        rows_of[part(count, blocks, b + 1) - q](to + q * put, put, x + q * get, get, w, first);
    }
}

/* The finished cells of a tile to `m` planes, each `apart` from the next. */
static void unpack_tile(const plan *it, T *plane, idx m, idx apart, const T *cells,
                        const tile_place *t) {
    T *to = plane + t->i * it->wide + t->j;
    if (it->col_tiles == 1) {
        unpack_cells(to, m, apart, cells, t->rows * t->cols);
        return;
    }
    for (idx i = 0; i < t->rows; ++i)
        unpack_cells(to + i * it->wide, m, apart, cells + i * t->cols * VL, t->cols);
}

static void forward_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    tile_place t = tile_of(it, task % tiles_of(it));
    idx plane = task / tiles_of(it) * VL, m = least(VL, v->N * v->C - plane), c = plane % v->C;
    T *cells = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    T *results = (T *)((char *)cells + it->cells_bytes);
    images x = {(const T *)v->x + plane * v->H * v->W, m, v->H, v->W, VL, v->H * v->W};
    pack_block(&x, cells, it->pitch, look(0, t.rows, v->sh, (v->R - 1) * v->dh),
               look(0, t.cols, v->sw, (v->S - 1) * v->dw_step), t.i * v->sh - v->top, 1,
               t.j * v->sw - v->left);
    for (idx j = 0; j < per_channel(v); ++j) {
        window w = {taps(v), it->lanes, it->distance, it->weights + j * taps(v) * it->lanes + c};
        for (idx i = 0; i < t.rows; ++i)
            add_row(results + i * t.cols * VL, VL, cells + i * v->sh * it->pitch * VL, v->sw * VL,
                    t.cols, &w, it->first + j * it->lanes + c);
        unpack_tile(it, (T *)v->y + (plane * per_channel(v) + j) * v->P * v->Q, m,
                    per_channel(v) * v->P * v->Q, results, &t);
    }
}

int FN(conv_depthwise_forward)(const conv *v) {
    if (FN(depthwise_planes_suit)(v)) return FN(depthwise_planes_forward)(v);
    plan it = make_plan(v, 0);
    return run(&it, forward_task, ceil_div(v->N * v->C, VL) * tiles_of(&it));
}

/* One row of a tile of dx, phase after phase; `cells` are where its row begins in those of dy. */
static void image_row_phases(const plan *it, T *to, const T *cells, idx phase_row, idx j,
                             const tile_place *t, idx c) {
    const conv *v = it->v;
    for (idx b = 0; b < least(v->sw, t->cols); ++b) {
        idx at = t->j + v->left + b, column = at % v->sw;
        window w = {.lanes = it->lanes};
        if (phase_row < it->phases_h && column < it->phases_w) {
            idx f = phase_row * it->phases_w + column, n = it->start[f];
            w = (window){it->start[f + 1] - n, it->lanes, it->distance + n,
                         it->weights + (j * taps(v) + n) * it->lanes + c};
        }
        add_row(to + b * VL, v->sw * VL, cells + (at / v->sw - (t->j + v->left) / v->sw) * VL, VL,
                ceil_div(t->cols - b, v->sw), &w, j ? NULL : it->first + c);
    }
}

static void image_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    tile_place t = tile_of(it, task % tiles_of(it));
    idx plane = task / tiles_of(it) * VL, m = least(VL, v->N * v->C - plane), c = plane % v->C;
    T *cells = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    T *results = (T *)((char *)cells + it->cells_bytes);
    idx up = (v->R - 1) * v->dh / v->sh, across = (v->S - 1) * v->dw_step / v->sw;
    idx p = (t.i + v->top) / v->sh, q = (t.j + v->left) / v->sw;
    idx rows = (t.i + t.rows - 1 + v->top) / v->sh - p + 1 + up;
    idx cols = (t.j + t.cols - 1 + v->left) / v->sw - q + 1 + across;
    for (idx j = 0; j < per_channel(v); ++j) {
        /* The dy of filter j of each channel: planes that are per_channel apart. */
        images dy = {(const T *)v->dy + (plane * per_channel(v) + j) * v->P * v->Q,
                     m,
                     v->P,
                     v->Q,
                     VL,
                     per_channel(v) * v->P * v->Q};
        pack_block(&dy, cells, it->pitch, rows, cols, p - up, 1, q - across);
        for (idx i = 0; i < t.rows; ++i) {
            idx h = t.i + i + v->top;
            image_row_phases(it, results + i * t.cols * VL,
                             cells + (h / v->sh - p) * it->pitch * VL, h % v->sh, j, &t, c);
        }
    }
    unpack_tile(it, (T *)v->dx + plane * v->H * v->W, m, v->H * v->W, results, &t);
}

int FN(conv_depthwise_backward_data)(const conv *v) {
    if (v->K == v->C && FN(depthwise_planes_suit)(v)) return FN(depthwise_planes_image)(v);
    plan it = make_plan(v, 1);
    return run(&it, image_task, ceil_div(v->N * v->C, VL) * tiles_of(&it));
}

/* -- gradient of the filters ----------------------------------------------------------------- */

/* Add to lanes[t] the products of dy and x + distance[t], for `count` taps, a constant. */
static inline __attribute__((always_inline)) void dots(const T *dy, const T *x,
                                                       const tile_place *tile, idx down, idx get,
                                                       const idx *distance, double *lanes,
                                                       const int count) {
    vec s[DOTS] = {{0}};
    for (idx p = 0; p < tile->rows; ++p, x += down) {
        const T *cell = x;
        for (idx q = 0; q < tile->cols; ++q, cell += get, dy += VL) {
            vec d = load(dy);
            UNROLL(9)
            for (int t = 0; t < count; ++t) s[t] += d * load(cell + distance[t]);
        }
    }
    UNROLL(9)
    for (int t = 0; t < count; ++t)
        *(dvecu *)(lanes + t * VL) += __builtin_convertvector(s[t], dvec);
}

static void all_dots(const T *dy, const T *x, const tile_place *tile, idx down, idx get,
                     const idx *distance, double *lanes, idx count) {
    switch (count) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        dots(dy, x, tile, down, get, distance, lanes, n);                                          \
        break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9)
#undef CASE
    }
}

/* Samples whose planes share a vector: few channels would leave most lanes empty. */
static inline idx fold(const conv *v) { return most(1, VL / v->C); }
static inline idx batches(const conv *v) { return ceil_div(v->N, fold(v)); }

/* Sums of one tile of planes [plane, plane + m) of x for every filter of a channel. */
static void sum_tile(const plan *it, T *cells, T *dy, double *lanes, idx plane, idx m,
                     const tile_place *t) {
    const conv *v = it->v;
    idx chunks = ceil_div(taps(v), DOTS), apart = per_channel(v) * v->P * v->Q;
    images x = {(const T *)v->x + plane * v->H * v->W, m, v->H, v->W, VL, v->H * v->W};
    pack_block(&x, cells, it->pitch, look(0, t->rows, v->sh, (v->R - 1) * v->dh),
               look(0, t->cols, v->sw, (v->S - 1) * v->dw_step), t->i * v->sh - v->top, 1,
               t->j * v->sw - v->left);
    for (idx j = 0; j < per_channel(v); ++j) {
        images from = {(const T *)v->dy + (plane * per_channel(v) + j) * v->P * v->Q,
                       m,
                       v->P,
                       v->Q,
                       VL,
                       apart};
        pack_block(&from, dy, t->cols, t->rows, t->cols, t->i, 1, t->j);
        for (idx i = 0; i < chunks; ++i) {
            idx t0 = part(taps(v), chunks, i);
            all_dots(dy, cells, t, v->sh * it->pitch * VL, v->sw * VL, it->distance + t0,
                     lanes + (j * taps(v) + t0) * VL, part(taps(v), chunks, i + 1) - t0);
        }
    }
}

static void filters_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    idx vectors = ceil_div(v->C, VL), split = task / vectors, c = task % vectors * VL;
    T *cells = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    T *dy = (T *)((char *)cells + it->cells_bytes);
    idx numbers = per_channel(v) * taps(v);
    double *lanes = (double *)(it->slots + (size_t)(slot + 1) * it->slot_bytes) - numbers * VL;
    memset(lanes, 0, (size_t)(numbers * VL) * sizeof(double));
    for (idx b = part(batches(v), it->splits, split); b < part(batches(v), it->splits, split + 1);
         ++b) {
        idx n = b * fold(v), channels = least(VL, v->C - c);
        for (idx i = 0; i < tiles_of(it) && !fastnn_stopped(); ++i) {
            tile_place t = tile_of(it, i);
            sum_tile(it, cells, dy, lanes, n * v->C + c, least(fold(v), v->N - n) * channels, &t);
        }
    }
    for (idx i = 0; i < least(VL, v->C - c); ++i)
        for (idx t = 0; t < numbers; ++t) {
            double sum = 0;
            for (idx f = 0; f < fold(v); ++f) sum += lanes[t * VL + f * v->C + i];
            idx at = ((c + i) * per_channel(v) + t / taps(v)) * taps(v) + it->tap[t % taps(v)];
            if (it->splits == 1)
                ((T *)v->dw)[at] = (T)sum;
            else
                it->sums[split * v->K * taps(v) + at] = sum;
        }
}

int FN(conv_depthwise_backward_filter)(const conv *v) {
    plan it = make_plan(v, 0);
    idx vectors = ceil_div(v->C, VL);
    it.splits = least(batches(v), ceil_div(DOT_TASKS, vectors));
    return run(&it, filters_task, it.splits * vectors);
}
