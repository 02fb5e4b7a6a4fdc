/* Winograd's weight gradient of 3x3 filters, stride 1, any dilation: dw = G^T [sum over tiles of
 * (A dy A^T) o (B^T x B)] G, that is one product filters x tiles x channels per position.
 *
 * A task has some filters and some channels. It transforms a chunk of tiles of both, multiplies,
 * and goes on to the next chunk: what it writes it reads itself, for a line that another core has
 * written costs more than to transform twice. Where filters and channels are few the tiles are cut
 * into parts too, and sums of parts are added in order. A sum is one chain of multiply-adds per
 * chunk; chunks and parts follow from the shape, so no bit depends on ranges or threads. */
#include "winograd_tiles.h"

enum { CHUNK = 64 };            /* tiles of a chunk, at most */
enum { TALL = 48 };             /* filters that lie together: whole tiles of any height MR */
enum { RANGE = 512 };           /* bytes of filters or channels of a task, at most */
enum { MOST_PARTS = 4 };        /* of the tiles */
enum { PART_SUMS = 320 << 10 }; /* bytes of all parts' sums, at most */

typedef struct {
    images x, dy;
    const conv *v;
    grid tiles;
    idx C, F;                            /* of a group */
    idx some_c, some_f;                  /* of a task, at most */
    idx chunk_bands, chunks, most_tiles; /* of a chunk */
    idx parts;
    idx ldm, part_stride; /* of the parts' sums: elements of a filter's channels, of a part */
    T *part_sums;
    char *slots;
    size_t slot_bytes, x_bytes, dy_bytes, sums_bytes;
} plan;

/* What a task works on. */
typedef struct {
    idx group, c0, C, f0, F; /* channels and filters of the group, the first and how many */
    idx tall;                /* filters that lie together */
    idx x_stride, dy_stride, sums_stride, ldm;
    T *x, *dy, *sums;
    strip s;
} range;

static inline idx chunk_band(const plan *it, idx k) {
    return least(k * it->chunk_bands, bands(&it->tiles));
}
static idx tall(idx F) { return least(TALL, round_up(F, VL)); }

/* -- a chunk --------------------------------------------------------------------------------- */

INLINE void transform_chunk(const plan *it, idx m, range *r, idx b0, idx b1) {
    for (idx c = 0; c < r->C; c += VL)
        transform_bands(m, 0, &it->tiles, &it->x, r->group * it->C + r->c0 + c, least(VL, r->C - c),
                        b0, b1, &r->s, r->x + c / NR * NR * it->most_tiles + c % NR, r->x_stride,
                        NR);
    for (idx f = 0; f < r->F; f += VL)
        transform_bands(m, 1, &it->tiles, &it->dy, r->group * it->F + r->f0 + f,
                        least(VL, r->F - f), b0, b1, &r->s,
                        r->dy + f / r->tall * r->tall * it->most_tiles + f % r->tall, r->dy_stride,
                        r->tall);
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

/* Products of a chunk at position xi, added to the sums but for the first chunk. */
static void multiply_chunk(const plan *it, const range *r, idx xi, idx tiles, int first) {
    epilogue e = {.accumulate = !first};
    const T *x = r->x + xi * r->x_stride, *dy = r->dy + xi * r->dy_stride;
    for (idx f0 = 0; f0 < r->F; f0 += r->tall) {
        idx filters = least(r->tall, r->F - f0), heights = row_panels(filters);
        T *sums = r->sums + xi * r->sums_stride + f0 * r->ldm;
        for (idx c = 0; c < r->C; c += NR)
            for (idx h = 0; h < heights; ++h) {
                idx f = part(filters, heights, h), rows = part(filters, heights, h + 1) - f;
                outers[rows][panel_width(r->C, c) == NR](tiles, dy + f0 * it->most_tiles + f,
                                                         r->tall, x + c * it->most_tiles,
                                                         sums + f * r->ldm + c, r->ldm, &e);
            }
    }
}

/* -- back to taps ---------------------------------------------------------------------------- */

/* dw of C channels of a filter from `parts` sums, added in order. */
INLINE void gather_filter(idx m, const T *sums, idx xi_stride, idx parts, idx part_stride, idx C,
                          T *dw) {
    idx n = m + 2;
    for (idx c = 0; c < C; c += VL) {
        vec half[3][MOST_SIDE], taps[9 + VB / sizeof(T)];
        for (idx j = 0; j < n; ++j) {
            vec t[MOST_SIDE], g[3];
            for (idx i = 0; i < n; ++i) {
                const T *from = sums + (i * n + j) * xi_stride + c;
                t[i] = load(from);
                for (idx p = 1; p < parts; ++p) t[i] += load(from + p * part_stride);
            }
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

static inline T *filter_dw(const plan *it, idx group, idx f, idx c) {
    return (T *)it->v->dw + ((group * it->F + f) * it->C + c) * 9;
}

/* One filter, from the sums of all parts. */
static void gather_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    idx group = task / it->F, f = task % it->F, m = it->tiles.m, xi_stride = it->F * it->ldm;
    const T *sums = it->part_sums + (group * positions(m) * it->F + f) * it->ldm;
    if (m == 2)
        gather_filter(2, sums, xi_stride, it->parts, it->part_stride, it->C,
                      filter_dw(it, group, f, 0));
    else
        gather_filter(4, sums, xi_stride, it->parts, it->part_stride, it->C,
                      filter_dw(it, group, f, 0));
    (void)slot;
}

/* -- a task ---------------------------------------------------------------------------------- */

static inline idx c_ranges(const plan *it) { return ceil_div(it->C, it->some_c); }
static inline idx f_ranges(const plan *it) { return ceil_div(it->F, it->some_f); }

INLINE void range_filters(const plan *it, idx m, idx task, char *memory) {
    idx ci = task % c_ranges(it), fi = task / c_ranges(it) % f_ranges(it);
    idx group = task / c_ranges(it) / f_ranges(it) % it->v->groups;
    idx p = task / c_ranges(it) / f_ranges(it) / it->v->groups;
    range r = {.group = group, .c0 = ci * it->some_c, .f0 = fi * it->some_f};
    r.C = least(it->some_c, it->C - r.c0);
    r.F = least(it->some_f, it->F - r.f0);
    r.tall = tall(r.F);
    r.x_stride = it->most_tiles * round_up(r.C, NR) + LINE;
    r.dy_stride = it->most_tiles * round_up(r.F, r.tall) + LINE;
    r.x = (T *)memory;
    r.dy = (T *)(memory + it->x_bytes);
    r.s = make_strip(&it->tiles, (T *)(memory + it->x_bytes + it->dy_bytes + it->sums_bytes));
    if (it->parts > 1) {
        r.ldm = it->ldm;
        r.sums_stride = it->F * it->ldm;
        r.sums = it->part_sums + p * it->part_stride +
                 (group * positions(m) * it->F + r.f0) * it->ldm + r.c0;
    } else {
        r.ldm = odd_lines(r.C);
        r.sums_stride = r.F * r.ldm;
        r.sums = (T *)(memory + it->x_bytes + it->dy_bytes);
    }
    idx k0 = part(it->chunks, it->parts, p), k1 = part(it->chunks, it->parts, p + 1);
    for (idx k = k0; k < k1 && !fastnn_stopped(); ++k) {
        idx b0 = chunk_band(it, k), b1 = chunk_band(it, k + 1);
        idx tiles = tiles_before(&it->tiles, b1) - tiles_before(&it->tiles, b0);
        transform_chunk(it, m, &r, b0, b1);
        for (idx xi = 0; xi < positions(m); ++xi) multiply_chunk(it, &r, xi, tiles, k == k0);
    }
    for (idx f = 0; it->parts == 1 && f < r.F; ++f)
        gather_filter(m, r.sums + f * r.ldm, r.sums_stride, 1, 0, r.C,
                      filter_dw(it, group, r.f0 + f, r.c0));
}

static void range_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    char *memory = it->slots + (size_t)slot * it->slot_bytes;
    if (it->tiles.m == 2)
        range_filters(it, 2, task, memory);
    else
        range_filters(it, 4, task, memory);
}

/* -- the whole ------------------------------------------------------------------------------- */

/* Scratch memory of a task of C channels and F filters. */
static void size_task(plan *it, idx C, idx F) {
    idx xi = positions(it->tiles.m);
    it->some_c = C;
    it->some_f = F;
    it->x_bytes = line_bytes(xi * (it->most_tiles * round_up(C, NR) + LINE));
    it->dy_bytes = line_bytes(xi * (it->most_tiles * round_up(F, tall(F)) + LINE));
    it->sums_bytes = it->parts > 1 ? 0 : line_bytes(xi * F * odd_lines(C));
    it->slot_bytes =
        it->x_bytes + it->dy_bytes + it->sums_bytes + line_bytes(strip_size(&it->tiles));
}

static void halve_task(plan *it) {
    if (it->some_c > it->some_f)
        size_task(it, round_up(ceil_div(it->some_c, 2), VL), it->some_f);
    else
        size_task(it, it->some_c, round_up(ceil_div(it->some_f, 2), VL));
}

static inline idx tasks(const plan *it) {
    return c_ranges(it) * f_ranges(it) * it->v->groups * it->parts;
}
static inline idx larger(const plan *it) { return most(it->some_c, it->some_f); }

int FN(conv_winograd_backward_filter)(const conv *v) {
    const T *x = v->x, *dy = v->dy;
    idx xi = positions(v->tile), threads = v->threads, across = RANGE / (idx)sizeof(T);
    plan it = {.x = {x, x + v->N * v->C * v->H * v->W, v->C, v->H, v->W, v->top, v->left},
               .dy = {dy, dy + v->N * v->K * v->P * v->Q, v->K, v->P, v->Q, 0, 0},
               .v = v,
               .tiles = make_grid(v->tile, v, v->P, v->Q, CHUNK),
               .C = v->C / v->groups,
               .F = v->K / v->groups};
    idx all = bands(&it.tiles), widest = widest_band(&it.tiles);
    it.chunk_bands = least(all, most(1, CHUNK / widest));
    it.chunks = ceil_div(all, it.chunk_bands);
    it.most_tiles = it.chunk_bands * widest;
    it.ldm = odd_lines(it.C);
    it.part_stride = v->groups * xi * it.F * it.ldm;
    idx sums = (idx)line_bytes(it.part_stride);
    it.parts = most(1, least(least(MOST_PARTS, it.chunks), PART_SUMS / sums));
    if (it.parts == 3) it.parts = 2; /* an even number for two threads */
    idx shared = it.parts > 1 ? it.parts * sums : 0;
    size_task(&it, least(it.C, across), least(it.F, across));
    while (tasks(&it) < threads && larger(&it) > VL) halve_task(&it);
    while ((idx)it.slot_bytes * threads > v->workspace - shared) {
        if (larger(&it) > across / 2 || (threads == 1 && larger(&it) > VL))
            halve_task(&it);
        else if (threads > 1)
            --threads;
        else
            break;
    }
    char *memory = fastnn_scratch((size_t)shared + (size_t)threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it.part_sums = (T *)memory;
    it.slots = memory + shared;
    double work = (double)(v->groups * it.C) * (double)(it.F * xi);
    int status = fastnn_parallel_for(tasks(&it), range_task, &it, (int)threads,
                                     work * (double)(all * widest) / 32);
    if (status == FASTNN_OK && it.parts > 1)
        status = fastnn_parallel_for(v->groups * it.F, gather_task, &it, (int)threads, work / 8);
    fastnn_scratch_release(memory);
    return status;
}
