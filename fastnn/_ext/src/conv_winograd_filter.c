/* Winograd's weight gradient of 3x3 filters, stride 1: dw = G^T [sum over tiles of
 * (A dy A^T) o (B^T x B)] G, that is one product filters x tiles x channels per position.
 *
 * Both sides lie as [position][tile][channels], as the transforms write them, and the product
 * reads them in place. Threads share the positions, never the tiles: a sum over tiles is one chain
 * of multiply-adds per chunk, chunks are added in order, and both follow from the shape. */
#include "winograd_tiles.h"

enum { CHUNK = 96 };            /* tiles of a chunk, at most: 48 KiB of 128 channels per position */
enum { TALL = 48 };             /* filters that lie together: whole tiles of any height MR */
enum { SUMS = 10 << 20 };       /* bytes of sums, in the third level too */
enum { TRANSFORMED = 4 << 20 }; /* bytes of transforms at a time, in the third level */

typedef struct {
    images x, dy;
    const conv *v;
    grid tiles;
    idx C, F, c0, c1, f0, f1, group; /* of a group, and those in work now */
    idx chunk_bands, chunks, most_tiles;
    idx k0, k1;              /* the chunks that are transformed now */
    idx tall;                /* filters that lie together */
    idx most_tiles_now;      /* room for tiles of the chunks that are transformed now */
    idx x_stride, dy_stride; /* from one position to the next */
    idx ldm;                 /* elements of a filter's channels in the sums */
    T *tx, *tdy, *sums;
    char *slots;
    size_t slot_bytes;
} plan;

static inline idx chunk_band(const plan *it, idx k) {
    return least(k * it->chunk_bands, bands(&it->tiles));
}
static inline idx chunk_tile(const plan *it, idx k) {
    return tiles_before(&it->tiles, chunk_band(it, k));
}

/* -- transforms ------------------------------------------------------------------------------ */

INLINE void transform_chunk(const plan *it, idx m, idx k, idx lane_group, char *memory) {
    strip s = make_strip(&it->tiles, (T *)memory);
    idx b0 = chunk_band(it, k), b1 = chunk_band(it, k + 1);
    idx tile = chunk_tile(it, k) - chunk_tile(it, it->k0);
    idx x_groups = ceil_div(it->c1 - it->c0, VL);
    if (lane_group < x_groups) {
        idx c = lane_group * VL;
        transform_bands(m, 0, &it->tiles, &it->x, it->group * it->C + it->c0 + c,
                        least(VL, it->c1 - it->c0 - c), b0, b1, &s,
                        it->tx + c / NR * NR * it->most_tiles_now + tile * NR + c % NR,
                        it->x_stride, NR);
    } else {
        idx f = (lane_group - x_groups) * VL;
        transform_bands(m, 1, &it->tiles, &it->dy, it->group * it->F + it->f0 + f,
                        least(VL, it->f1 - it->f0 - f), b0, b1, &s,
                        it->tdy + f / it->tall * it->tall * it->most_tiles_now + tile * it->tall +
                            f % it->tall,
                        it->dy_stride, it->tall);
    }
}

static inline idx lane_groups(const plan *it) {
    return ceil_div(it->c1 - it->c0, VL) + ceil_div(it->f1 - it->f0, VL);
}

static void transform_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    char *memory = it->slots + (size_t)slot * it->slot_bytes;
    idx k = it->k0 + task / lane_groups(it), lanes = task % lane_groups(it);
    if (it->tiles.m == 2)
        transform_chunk(it, 2, k, lanes, memory);
    else
        transform_chunk(it, 4, k, lanes, memory);
}

/* -- products -------------------------------------------------------------------------------- */

typedef void outer(idx k, const T *a, idx lda, const T *b, T *c, idx ldc, const epilogue *e);

/* c[i][2 or 1 vectors] (+)= sum over k of a[k][i] b[k]. */
#define OUTER(m)                                                                                   \
    static void outer_##m(idx k, const T *restrict a, idx lda, const T *restrict b, T *c, idx ldc, \
                          const epilogue *e) {                                                     \
        ROWS_##m(ZERO);                                                                            \
        for (; k > 0; --k, a += lda, b += NR) {                                                    \
            vec b0 = load(b), b1 = load(b + VL);                                                   \
            ROWS_##m(STEP);                                                                        \
        }                                                                                          \
        ROWS_##m(PUT);                                                                             \
    }                                                                                              \
    static void slim_##m(idx k, const T *restrict a, idx lda, const T *restrict b, T *c, idx ldc,  \
                         const epilogue *e) {                                                      \
        ROWS_##m(ZERO_NARROW);                                                                     \
        for (; k > 0; --k, a += lda, b += NR) {                                                    \
            vec b0 = load(b);                                                                      \
            ROWS_##m(STEP_NARROW);                                                                 \
        }                                                                                          \
        ROWS_##m(PUT_NARROW);                                                                      \
    }
EACH_HEIGHT(OUTER)
#define ENTRY(m) {slim_##m, outer_##m},
static outer *const outers[MR + 1][2] = {{0, 0}, EACH_HEIGHT(ENTRY)};

/* A task: one position of the filters that lie together. */
static void product_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    idx F = it->f1 - it->f0, C = it->c1 - it->c0, groups = ceil_div(F, it->tall);
    idx xi = task / groups, f0 = task % groups * it->tall, filters = least(it->tall, F - f0);
    idx heights = row_panels(filters), base = chunk_tile(it, it->k0);
    const T *dy = it->tdy + xi * it->dy_stride + f0 * it->most_tiles_now;
    const T *x = it->tx + xi * it->x_stride;
    T *sums = it->sums + (xi * F + f0) * it->ldm;
    for (idx k = it->k0; k < it->k1; ++k) {
        idx tile = chunk_tile(it, k) - base, tiles = chunk_tile(it, k + 1) - base - tile;
        epilogue e = {.accumulate = k > 0};
        for (idx c = 0; c < C; c += NR)
            for (idx h = 0; h < heights; ++h) {
                idx f = part(filters, heights, h), rows = part(filters, heights, h + 1) - f;
                outers[rows][panel_width(C, c) == NR](tiles, dy + tile * it->tall + f, it->tall,
                                                      x + c * it->most_tiles_now + tile * NR,
                                                      sums + f * it->ldm + c, it->ldm, &e);
            }
    }
    (void)slot;
}

/* -- back to taps ---------------------------------------------------------------------------- */

INLINE void gather_filter(const plan *it, idx m, idx f) {
    idx n = m + 2, F = it->f1 - it->f0, C = it->c1 - it->c0;
    T *dw = (T *)it->v->dw + ((it->group * it->F + it->f0 + f) * it->C + it->c0) * 9;
    for (idx c = 0; c < C; c += VL) {
        const T *from = it->sums + f * it->ldm + c;
        vec half[3][MOST_SIDE], taps[9 + VB / sizeof(T)];
        for (idx j = 0; j < n; ++j) {
            vec t[MOST_SIDE], g[3];
            for (idx i = 0; i < n; ++i) t[i] = load(from + (i * n + j) * F * it->ldm);
            winograd_gather(m, t, g);
            for (idx i = 0; i < 3; ++i) half[i][j] = g[i];
        }
        for (idx i = 0; i < 3; ++i) winograd_gather(m, half[i], taps + 3 * i);
        for (int i = 9; i < 9 + (int)VL; ++i) taps[i] = (vec){0};
        for (int first = 0; first < 9; first += VL) {
            transpose(taps + first);
            int some = least(VL, 9 - first);
            for (idx i = 0; i < least(VL, C - c); ++i)
                memcpy(dw + (c + i) * 9 + first, taps + first + i, (size_t)some * sizeof(T));
        }
    }
}

static void gather_task(void *ctx, idx f, int slot) {
    const plan *it = ctx;
    if (it->tiles.m == 2)
        gather_filter(it, 2, f);
    else
        gather_filter(it, 4, f);
    (void)slot;
}

/* -- the whole ------------------------------------------------------------------------------- */

/* Bytes of sums and of a chunk's transforms for F filters of C channels. */
static size_t sums_bytes(const plan *it, idx C, idx F) {
    return line_bytes(positions(it->tiles.m) * F * odd_lines(C));
}
static size_t side_bytes(const plan *it, idx channels, idx together, idx tiles) {
    return line_bytes(positions(it->tiles.m) * (tiles * round_up(channels, together) + LINE));
}
static idx tall(idx F) { return least(TALL, round_up(F, VL)); }

static int add_up(plan *it, idx threads, double work) {
    idx F = it->f1 - it->f0, C = it->c1 - it->c0, xi = positions(it->tiles.m);
    double transforms = (double)xi * (double)(it->tiles.N * it->tiles.TP * it->tiles.TQ);
    int status = FASTNN_OK;
    idx chunks_at_a_time = it->k1;
    for (it->k0 = 0; it->k0 < it->chunks && status == FASTNN_OK; it->k0 = it->k1) {
        it->k1 = least(it->chunks, it->k0 + chunks_at_a_time);
        double share = (double)(it->k1 - it->k0) / (double)it->chunks;
        status = fastnn_parallel_for((it->k1 - it->k0) * lane_groups(it), transform_task, it,
                                     (int)threads, transforms * share * (double)(C + F) / 8);
        if (status == FASTNN_OK)
            status = fastnn_parallel_for(xi * ceil_div(F, it->tall), product_task, it, (int)threads,
                                         work * share);
    }
    if (status == FASTNN_OK)
        status = fastnn_parallel_for(F, gather_task, it, (int)threads,
                                     (double)xi * (double)F * (double)C / 8);
    return status;
}

int FN(conv_winograd_backward_filter)(const conv *v) {
    const T *x = v->x, *dy = v->dy;
    idx xi = positions(v->tile), threads = v->threads;
    plan it = {.x = {x, x + v->N * v->C * v->H * v->W, v->C, v->H, v->W, v->top, v->left},
               .dy = {dy, dy + v->N * v->K * v->P * v->Q, v->K, v->P, v->Q, 0, 0},
               .v = v,
               .tiles = make_grid(v->tile, v->N, v->P, v->Q, CHUNK),
               .C = v->C / v->groups,
               .F = v->K / v->groups};
    idx all = bands(&it.tiles), widest = widest_band(&it.tiles);
    it.chunk_bands = least(all, most(1, CHUNK / widest));
    it.chunks = ceil_div(all, it.chunk_bands);
    it.most_tiles = it.chunk_bands * widest;
    it.slot_bytes = line_bytes(strip_size(&it.tiles));
    threads = most(1, least(threads, v->workspace / 4 / (idx)it.slot_bytes));
    /* All filters and channels at once if sums and a chunk fit, else some of them. */
    idx room = v->workspace - threads * (idx)it.slot_bytes, c = it.C, f = it.F;
    while ((sums_bytes(&it, c, f) > SUMS ||
            (idx)(sums_bytes(&it, c, f) + side_bytes(&it, c, NR, it.most_tiles) +
                  side_bytes(&it, f, tall(f), it.most_tiles)) > room) &&
           most(c, f) > VL) {
        if (c > f)
            c = round_up(ceil_div(c, 2), VL);
        else
            f = round_up(ceil_div(f, 2), VL);
    }
    idx one =
        (idx)(side_bytes(&it, c, NR, it.most_tiles) + side_bytes(&it, f, tall(f), it.most_tiles));
    idx chunks = most(1, least(room - (idx)sums_bytes(&it, c, f), TRANSFORMED) / one);
    chunks = ceil_div(it.chunks, ceil_div(it.chunks, chunks));
    idx tiles = chunks * it.most_tiles;
    size_t tx_bytes = side_bytes(&it, c, NR, tiles), tdy_bytes = side_bytes(&it, f, tall(f), tiles);
    char *memory = fastnn_scratch(sums_bytes(&it, c, f) + tx_bytes + tdy_bytes +
                                  (size_t)threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it.tx = (T *)memory;
    it.tdy = (T *)(memory + tx_bytes);
    it.sums = (T *)(memory + tx_bytes + tdy_bytes);
    it.slots = memory + tx_bytes + tdy_bytes + sums_bytes(&it, c, f);
    int status = FASTNN_OK;
    for (it.group = 0; it.group < v->groups; ++it.group)
        for (it.f0 = 0; it.f0 < it.F; it.f0 = it.f1)
            for (it.c0 = 0, it.f1 = least(it.F, it.f0 + f); it.c0 < it.C; it.c0 = it.c1) {
                it.c1 = least(it.C, it.c0 + c);
                idx C = it.c1 - it.c0, F = it.f1 - it.f0;
                it.tall = tall(F);
                it.ldm = odd_lines(C);
                it.most_tiles_now = tiles;
                it.x_stride = tiles * round_up(C, NR) + LINE;
                it.dy_stride = tiles * round_up(F, it.tall) + LINE;
                it.k1 = chunks;
                double products = (double)C * (double)F;
                if (status == FASTNN_OK)
                    status =
                        add_up(&it, threads, products * (double)xi * (double)(all * widest) / 32);
            }
    fastnn_scratch_release(memory);
    return status;
}
