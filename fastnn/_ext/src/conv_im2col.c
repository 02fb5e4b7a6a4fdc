/* Convolution by im2col: columns of a bounded chunk of pixels, then our matrix product.
 *
 * A column matrix has a row per tap (c, r, s) and a column per output pixel (p, q). It is never
 * whole in memory: forward writes a chunk of it straight into packed panels, backward scatters a
 * chunk back (col2im) or packs a chunk transposed. Images, groups and channels are independent
 * tasks; the weight gradient sums over the batch in a fixed order. */
#include "conv_taps.h"
#include "gemm.h"
#include "sums.h"

enum { PIXELS = 128 };   /* of a chunk: with KC taps 128 KiB of float32, inside the second level */
enum { TAP_ROWS = 192 }; /* rows of a chunk of columns that backward keeps */
enum { FILTERS = 96 };   /* of a task of the weight gradient */
enum { TAP_PANELS = 4 }; /* panels of taps of a task of the weight gradient */
enum { SPLIT_TASKS = 12 }; /* with fewer tasks the weight gradient splits the batch too */

static inline idx taps(const conv *v) { return v->C / v->groups * v->R * v->S; }
static inline idx filters(const conv *v) { return v->K / v->groups; }
static inline idx pixels(const conv *v) { return v->P * v->Q; }

/* The first channel of image n that group g sees. */
static inline const T *group_x(const conv *v, const void *x, idx n, idx g) {
    return (const T *)x + (n * v->C + g * (v->C / v->groups)) * v->H * v->W;
}
static inline const T *group_y(const conv *v, const void *y, idx n, idx g) {
    return (const T *)y + (n * v->K + g * filters(v)) * pixels(v);
}

/* Pixels of chunk i of `chunks`: whole panels, so that only an image's last one can be narrow. */
static inline idx chunk_start(const conv *v, idx chunks, idx i) {
    return least(part(ceil_div(pixels(v), NR), chunks, i) * NR, pixels(v));
}
static inline idx chunks_of(const conv *v, idx size) { return ceil_div(pixels(v), most(size, NR)); }

/* -- forward --------------------------------------------------------------------------------- */

typedef struct {
    const conv *v;
    idx k0, filters; /* the filters of each group that are packed now */
    idx chunks;      /* of pixels per image */
    idx slab;        /* packed elements per group and k block */
    T *packed;
    char *slots;
    size_t slot_bytes;
} forward;

static void pack_weights_task(void *ctx, idx task, int slot) {
    const forward *it = ctx;
    const conv *v = it->v;
    idx all = taps(v), blocks = k_blocks(all), g = task / blocks, p = task % blocks;
    idx t0 = part(all, blocks, p), depth = part(all, blocks, p + 1) - t0;
    const T *from = (const T *)v->w + (g * filters(v) + it->k0) * all + t0;
    pack_a(it->packed + task * it->slab, from, it->filters, depth, all, 1);
    (void)slot;
}

static void forward_task(void *ctx, idx task, int slot) {
    const forward *it = ctx;
    const conv *v = it->v;
    idx chunk = task % it->chunks, g = task / it->chunks % v->groups,
        n = task / it->chunks / v->groups;
    idx all = taps(v), blocks = k_blocks(all);
    idx j0 = chunk_start(v, it->chunks, chunk), j1 = chunk_start(v, it->chunks, chunk + 1);
    idx count = j1 - j0;
    T *columns = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    T line[PIXELS + 4 * VB / sizeof(T)] __attribute__((aligned(VB)));
    memset(line, 0, sizeof line); /* the end of a narrow last panel is multiplied, never stored */
    const T *x = group_x(v, v->x, n, g);
    T *y = (T *)group_y(v, v->y, n, g) + it->k0 * pixels(v) + j0;
    for (idx p = 0; p < blocks && !fastnn_stopped(); ++p) {
        idx t0 = part(all, blocks, p), depth = part(all, blocks, p + 1) - t0;
        for (idx t = 0; t < depth; ++t) {
            gather_line(v, line, x, t0 + t, j0, j1);
            for (idx j = 0; j < count; j += NR) {
                idx width = panel_width(count, j);
                T *to = columns + j * depth + t * width;
                store(to, load(line + j));
                if (width == NR) store(to + VL, load(line + j + VL));
            }
        }
        epilogue e = {.accumulate = p > 0};
        if (p + 1 == blocks && v->b) e.row_bias = (const T *)v->b + g * filters(v) + it->k0;
        multiply(it->filters, count, depth, it->packed + (g * blocks + p) * it->slab, columns, y,
                 pixels(v), e);
    }
}

int FN(conv_im2col_forward)(const conv *v) {
    idx all = taps(v), blocks = k_blocks(all), depth = ceil_div(all, blocks);
    /* Weights are packed at once unless that breaks the workspace, then in blocks of filters. */
    idx limit = v->workspace / 2 / (idx)sizeof(T) / (v->groups * blocks * depth);
    idx block = least(filters(v), most(1, limit));
    forward it = {.v = v, .chunks = chunks_of(v, PIXELS), .slab = packed_rows(block, depth)};
    it.slot_bytes = line_bytes(packed_columns(round_up(PIXELS, NR), depth));
    size_t packed_bytes = line_bytes(v->groups * blocks * it.slab);
    char *memory = fastnn_scratch(packed_bytes + (size_t)v->threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it.packed = (T *)memory;
    it.slots = memory + packed_bytes;
    int status = FASTNN_OK;
    for (it.k0 = 0; it.k0 < filters(v) && status == FASTNN_OK; it.k0 += block) {
        it.filters = least(block, filters(v) - it.k0);
        double weights = (double)v->groups * (double)it.filters * (double)all;
        status = fastnn_parallel_for(v->groups * blocks, pack_weights_task, &it, v->threads,
                                     weights / 2);
        if (status == FASTNN_OK)
            status =
                fastnn_parallel_for(v->N * v->groups * it.chunks, forward_task, &it, v->threads,
                                    weights * (double)v->N * (double)pixels(v) / 32);
    }
    fastnn_scratch_release(memory);
    return status;
}

/* -- gradient of the image ------------------------------------------------------------------- */

/* dx = col2im(w^T dy). A task owns some channels of one image; rows of columns are (c, r, s). */
typedef struct {
    const conv *v;
    idx c0, channels; /* the channels of each group that are in work now */
    idx pieces;       /* that these channels are cut into */
    idx chunks;
    idx slab; /* packed elements per group, piece and k block */
    T *packed;
    char *slots;
    size_t slot_bytes, columns_bytes;
} backward;

static inline idx piece_start(const backward *it, idx piece) {
    return it->c0 + part(it->channels, it->pieces, piece);
}

/* Rows of columns are computed at most TAP_ROWS at a time. */
static inline idx row_blocks(idx rows) { return ceil_div(rows, TAP_ROWS); }

static void pack_transposed_task(void *ctx, idx task, int slot) {
    const backward *it = ctx;
    const conv *v = it->v;
    idx blocks = k_blocks(filters(v)), window = v->R * v->S;
    idx p = task % blocks, piece = task / blocks % it->pieces, g = task / blocks / it->pieces;
    idx f0 = part(filters(v), blocks, p), depth = part(filters(v), blocks, p + 1) - f0;
    idx c0 = piece_start(it, piece), rows = (piece_start(it, piece + 1) - c0) * window;
    const T *from = (const T *)v->w + (g * filters(v) + f0) * taps(v) + c0 * window;
    T *to = it->packed + task * it->slab;
    for (idx b = 0, parts = row_blocks(rows); b < parts; ++b) {
        idx r0 = part(rows, parts, b), r1 = part(rows, parts, b + 1);
        pack_a(to + r0 * depth, from + r0, r1 - r0, depth, 1, taps(v));
    }
    (void)slot;
}

static void backward_data_task(void *ctx, idx task, int slot) {
    const backward *it = ctx;
    const conv *v = it->v;
    idx piece = task % it->pieces, g = task / it->pieces % v->groups,
        n = task / it->pieces / v->groups;
    idx blocks = k_blocks(filters(v)), window = v->R * v->S;
    idx c0 = piece_start(it, piece), channels = piece_start(it, piece + 1) - c0;
    idx rows = channels * window, parts = row_blocks(rows), chunk_max = round_up(PIXELS, NR);
    T *columns = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    T *packed_dy = (T *)((char *)columns + it->columns_bytes);
    T *dx = (T *)group_x(v, v->dx, n, g) + c0 * v->H * v->W;
    const T *packed = it->packed + (g * it->pieces + piece) * blocks * it->slab;
    for (idx c = 0; c < channels; ++c) {
        T first = v->b ? ((const T *)v->b)[g * (v->C / v->groups) + c0 + c] : 0;
        for (idx i = 0; i < v->H * v->W; ++i) dx[c * v->H * v->W + i] = first;
    }
    for (idx chunk = 0; chunk < it->chunks; ++chunk) {
        idx j0 = chunk_start(v, it->chunks, chunk), j1 = chunk_start(v, it->chunks, chunk + 1);
        idx count = j1 - j0;
        const T *dy = group_y(v, v->dy, n, g) + j0;
        for (idx f = 0; f < blocks; ++f) {
            idx f0 = part(filters(v), blocks, f), depth = part(filters(v), blocks, f + 1) - f0;
            for (idx j = 0; j < count; j += NR)
                pack_columns(packed_dy + f0 * chunk_max + j * depth, panel_width(count, j),
                             dy + f0 * pixels(v) + j, least(count - j, NR), pixels(v), depth);
        }
        for (idx b = 0; b < parts && !fastnn_stopped(); ++b) {
            idx r0 = part(rows, parts, b), r1 = part(rows, parts, b + 1);
            for (idx f = 0; f < blocks; ++f) {
                idx f0 = part(filters(v), blocks, f), depth = part(filters(v), blocks, f + 1) - f0;
                multiply(r1 - r0, count, depth, packed + f * it->slab + r0 * depth,
                         packed_dy + f0 * chunk_max, columns, chunk_max,
                         (epilogue){.accumulate = f > 0});
            }
            for (idx row = r0; row < r1; ++row)
                scatter_line(v, columns + (row - r0) * chunk_max, dx, row, j0, j1);
        }
    }
}

int FN(conv_im2col_backward_data)(const conv *v) {
    idx window = v->R * v->S, blocks = k_blocks(filters(v)), depth = ceil_div(filters(v), blocks);
    idx chunk_max = round_up(PIXELS, NR), group = v->C / v->groups;
    /* Weights are packed at once unless that breaks the workspace, then for some channels. */
    idx slots = v->threads * (TAP_ROWS + filters(v)) * chunk_max,
        whole = v->workspace / (idx)sizeof(T);
    idx limit = most(whole - slots, whole / 4) / (v->groups * blocks * depth * window);
    idx pass = least(group, most(1, limit));
    backward it = {.v = v, .chunks = chunks_of(v, PIXELS)};
    /* One piece if images and groups are tasks enough: each piece packs dy again. */
    idx pieces = least(pass, ceil_div(4 * v->threads, most(1, v->N * v->groups)));
    it.pieces = v->threads == 1 ? 1 : pieces;
    if (pass < group) pass = pass / it.pieces * it.pieces; /* pieces are of equal size */
    idx rows = ceil_div(pass, it.pieces) * window;
    it.slab = packed_rows(rows, depth);
    it.columns_bytes = line_bytes(least(TAP_ROWS, rows) * chunk_max);
    it.slot_bytes = it.columns_bytes + line_bytes(filters(v) * chunk_max);
    size_t packed_bytes = line_bytes(v->groups * it.pieces * blocks * it.slab);
    char *memory = fastnn_scratch(packed_bytes + (size_t)v->threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it.packed = (T *)memory;
    it.slots = memory + packed_bytes;
    int status = FASTNN_OK;
    for (it.c0 = 0; it.c0 < group && status == FASTNN_OK; it.c0 += pass) {
        it.channels = least(pass, group - it.c0);
        it.pieces = least(it.pieces, it.channels);
        double weights = (double)v->K * (double)(it.channels * window);
        status = fastnn_parallel_for(v->groups * it.pieces * blocks, pack_transposed_task, &it,
                                     v->threads, weights / 2);
        if (status == FASTNN_OK)
            status =
                fastnn_parallel_for(v->N * v->groups * it.pieces, backward_data_task, &it,
                                    v->threads, weights * (double)v->N * (double)pixels(v) / 32);
    }
    fastnn_scratch_release(memory);
    return status;
}

/* -- gradient of the filters ----------------------------------------------------------------- */

/* dw[k, tap] = sum over n and pixels of dy[k, pixel] x[tap, pixel]. A task owns some filters and
 * taps of a group. With few such tasks the batch is split too, into parts that follow from the
 * shape alone, and the partial sums are added in order. */
typedef struct {
    const conv *v;
    idx filter_parts, tap_parts, splits;
    T *sums; /* splits x K x taps; dw itself if there is one split */
    char *slots;
    size_t slot_bytes;
} weights;

static void backward_filter_task(void *ctx, idx task, int slot) {
    const weights *it = ctx;
    const conv *v = it->v;
    idx all = taps(v), per_split = v->groups * it->filter_parts * it->tap_parts;
    idx split = task / per_split, rest = task % per_split;
    idx tp = rest % it->tap_parts, fp = rest / it->tap_parts % it->filter_parts;
    idx g = rest / it->tap_parts / it->filter_parts;
    idx f0 = part(filters(v), it->filter_parts, fp),
        m = part(filters(v), it->filter_parts, fp + 1) - f0;
    idx panels = ceil_div(all, NR);
    idx t0 = part(panels, it->tap_parts, tp) * NR;
    idx count = least(part(panels, it->tap_parts, tp + 1) * NR, all) - t0;
    T *a = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    T *b = a + round_up(packed_rows(m, KC), VL);
    T *lines = b + round_up(count, NR) * KC + VL;
    T *sum = it->sums + split * v->K * all + (g * filters(v) + f0) * all + t0;
    idx chunks = ceil_div(pixels(v), KC);
    epilogue e = {0};
    for (idx n = part(v->N, it->splits, split); n < part(v->N, it->splits, split + 1); ++n) {
        const T *x = group_x(v, v->x, n, g), *dy = group_y(v, v->dy, n, g) + f0 * pixels(v);
        for (idx chunk = 0; chunk < chunks && !fastnn_stopped(); ++chunk) {
            idx j0 = part(pixels(v), chunks, chunk), j1 = part(pixels(v), chunks, chunk + 1);
            pack_a(a, dy + j0, m, j1 - j0, pixels(v), 1);
            for (idx t = 0; t < count; t += NR) {
                idx rows = least(count - t, NR);
                for (idx i = 0; i < rows; ++i)
                    gather_line(v, lines + i * KC, x, t0 + t + i, j0, j1);
                pack_lines(b + t * (j1 - j0), panel_width(count, t), lines, rows, KC, j1 - j0);
            }
            multiply(m, count, j1 - j0, a, b, sum, all, e);
            e.accumulate = 1;
        }
    }
}

static void add_splits_task(void *ctx, idx k, int slot) {
    const weights *it = ctx;
    const conv *v = it->v;
    idx all = taps(v);
    T *dw = (T *)v->dw + k * all;
    for (idx t = 0; t < all; ++t) {
        T sum = it->sums[k * all + t];
        for (idx s = 1; s < it->splits; ++s) sum += it->sums[(s * v->K + k) * all + t];
        dw[t] = sum;
    }
    (void)slot;
}

int FN(conv_im2col_backward_filter)(const conv *v) {
    double outputs = (double)v->N * (double)v->K * (double)pixels(v);
    idx all = taps(v), panels = ceil_div(all, NR);
    weights it = {.v = v,
                  .filter_parts = ceil_div(filters(v), FILTERS),
                  .tap_parts = ceil_div(panels, TAP_PANELS)};
    idx tasks = v->groups * it.filter_parts * it.tap_parts;
    it.splits = least(v->N, ceil_div(SPLIT_TASKS, tasks));
    idx count = least(TAP_PANELS, panels) * NR;
    it.slot_bytes = line_bytes(round_up(packed_rows(least(filters(v), FILTERS), KC), VL) +
                               count * KC + VL + NR * KC);
    size_t sums_bytes = it.splits > 1 ? line_bytes(it.splits * v->K * all) : 0;
    char *memory = fastnn_scratch(sums_bytes + (size_t)v->threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it.sums = it.splits > 1 ? (T *)memory : v->dw;
    it.slots = memory + sums_bytes;
    int status = fastnn_parallel_for(it.splits * tasks, backward_filter_task, &it, v->threads,
                                     outputs * (double)all / 32);
    if (status == FASTNN_OK && it.splits > 1)
        status = fastnn_parallel_for(v->K, add_splits_task, &it, v->threads,
                                     (double)it.splits * (double)v->K * (double)all / 4);
    fastnn_scratch_release(memory);
    return status;
}

/* -- gradient of the bias -------------------------------------------------------------------- */

static void bias_task(void *ctx, idx k, int slot) {
    const conv *v = ctx;
    double sum = 0;
    for (idx n = 0; n < v->N; ++n)
        sum += row_sum((const T *)v->dy + (n * v->K + k) * pixels(v), pixels(v));
    ((T *)v->db)[k] = (T)sum;
    (void)slot;
}

int FN(conv_backward_bias)(const conv *v) {
    double outputs = (double)v->N * (double)v->K * (double)pixels(v);
    return fastnn_parallel_for(v->K, bias_task, (void *)v, v->threads, outputs / 8);
}
