/* Convolution as a matrix product that never sees a column matrix (implicit GEMM).
 *
 * Pixels of the output are the columns of the product, counted on over rows and images, so that
 * small images fill whole panels too. A task copies the image rows that a chunk of pixels sees into
 * a padded strip, one line per phase of the stride, so that a tap is the same shift for every
 * pixel; a panel is then a few overlapping vector copies per tap, is used at once for all filters
 * and never leaves the first cache level. The gradient of the image is the same product with
 * filters turned and roles swapped, one pass per phase of the stride. Taps are added in the order
 * c, r, s in blocks of at most KC: an output is one chain, whatever chunk or panel it is in. */
#include "conv_taps.h"
#include "gemm.h"

enum { PANELS = 16 };     /* of a chunk, at most: their halo of rows is shared */
enum { ASIDE = 1 << 16 }; /* elements of a chunk's results kept aside, at most */

/* A convolution of x[N, groups*C, H, W] with filters w. Its results, at (p, q) of a grid P Q, are
 * the cells (p*up + row, q*across + col) of y[N, groups*F, OH, OW], where there are such. */
typedef struct {
    const T *x, *w, *bias;
    T *y;
    idx N, groups, C, H, W, F, R, S;
    idx sh, sw, dh, dw, top, left;
    idx P, Q, OH, OW, up, across, row, col;
    idx w_group, w_filter, w_channel, w_row, w_column; /* strides of the filters */
    idx workspace;
    int threads;
} product;

/* How an axis of the strip is laid out: a phase of the stride after the other, which all taps
 * share, or, if that is more to copy, what each tap sees after the other. */
typedef struct {
    int shared;
    idx lines, size; /* phases or taps, and cells of each */
} layout;

/* A line of a strip's row: where it begins in x, and what part of it is inside. */
typedef struct {
    idx shift, first, last;
} line;

typedef struct {
    const product *c;
    idx chunks, pieces; /* chunks in all; pieces > 1: each is a part of one row */
    idx panels;         /* of a chunk, at most */
    idx parts;          /* filters are cut into */
    int in_place;       /* taps are read from x itself: no strip */
    layout rows, columns;
    idx pitch, plane; /* of the strip */
    idx f0, filters;  /* that are packed now, and their */
    idx slab;         /* elements per group and block of taps */
    idx *place;       /* of each tap in the strip */
    idx *steps;       /* of each tap in a column that is blended */
    T *packed;
    char *slots;
    size_t slot_bytes, strip_bytes, panel_bytes, aside_bytes;
    idx aside_pitch;
} plan;

static inline idx taps(const product *c) { return c->C * c->R * c->S; }
static inline idx grid(const product *c) { return c->P * c->Q; }

/* Pixels [*first, *last) of a chunk, counted over all images. */
static inline void chunk_pixels(const plan *it, idx chunk, idx *first, idx *last) {
    const product *c = it->c;
    if (it->pieces > 1) {
        idx row = chunk / it->pieces * c->Q, i = chunk % it->pieces, panels = ceil_div(c->Q, NR);
        *first = row + part(panels, it->pieces, i) * NR;
        *last = row + least(part(panels, it->pieces, i + 1) * NR, c->Q);
        return;
    }
    idx all = c->N * grid(c), panels = ceil_div(all, NR);
    *first = part(panels, it->chunks, chunk) * NR;
    *last = least(part(panels, it->chunks, chunk + 1) * NR, all);
}

/* -- filters --------------------------------------------------------------------------------- */

static void pack_filters_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const product *c = it->c;
    idx all = taps(c), blocks = k_blocks(all), g = task / blocks, b = task % blocks;
    idx t0 = part(all, blocks, b), depth = part(all, blocks, b + 1) - t0;
    const T *w = c->w + g * c->w_group + it->f0 * c->w_filter;
    T *to = it->packed + task * it->slab;
    (void)slot;
    if (c->w_column == 1 && c->w_row == c->S && c->w_channel == c->R * c->S) {
        pack_a(to, w + t0, it->filters, depth, c->w_filter, 1);
        return;
    }
    for (idx p = 0, panels = row_panels(it->filters); p < panels; ++p) {
        idx first = part(it->filters, panels, p), height = part(it->filters, panels, p + 1) - first;
        idx s = t0 % c->S, r = t0 / c->S % c->R, channel = t0 / c->S / c->R;
        const T *from = w + first * c->w_filter;
        for (idx t = 0; t < depth; ++t, to += height) {
            const T *tap = from + channel * c->w_channel + r * c->w_row + s * c->w_column;
            for (idx i = 0; i < height; ++i) to[i] = tap[i * c->w_filter];
            if (++s == c->S) {
                s = 0;
                if (++r == c->R) r = 0, ++channel;
            }
        }
    }
}

/* -- strip ----------------------------------------------------------------------------------- */

/* Where the lines of a row begin in x, and which of their cells are inside. */
static void find_lines(const plan *it, line *lines, ivec *inside, idx q0) {
    const product *c = it->c;
    idx size = it->columns.size;
    ivec count = {0};
    for (int i = 0; i < (int)VL; ++i) count[i] = i;
    for (idx m = 0; m < it->columns.lines; ++m, ++lines) {
        lines->shift = q0 * c->sw - c->left + (it->columns.shared ? m : m * c->dw);
        steps_inside(lines->shift, c->sw, c->W, size, &lines->first, &lines->last);
        for (idx i = 0; i < size; i += VL, ++inside) {
            I first = (I)most(0, lines->first - i), last = (I)most(0, least(VL, lines->last - i));
            *inside = (count >= first) & (count < last);
        }
    }
}

/* A line of a row: cells of x, in steps, that are inside, and zeros. */
static inline __attribute__((always_inline)) void
copy_line(T *to, idx size, const T *from, const ivec *inside, idx step, idx ahead) {
    for (idx i = 0; i < size; i += VL, ++inside) {
        vec v;
        if (step == 4)
            v = SHUFFLE(evens(from + 4 * i), evens(from + 4 * i + 2 * VL), EVENS);
        else
            v = step == 1 ? load(from + i) : evens(from + 2 * i);
        __builtin_prefetch(from + step * i + ahead, 0, 2);
        store(to + i, (vec)((ivec)v & *inside));
    }
}

/* The same where a vector would reach out of x, or steps are longer. */
static void copy_cells(T *to, idx size, const T *from, const line *at, idx step) {
    for (idx i = 0; i < at->first; ++i) to[i] = 0;
    for (idx i = at->first; i < at->last; ++i) to[i] = from[i * step];
    for (idx i = at->last; i < size; ++i) to[i] = 0;
}

/* `rows` rows of a plane from row h on, zeros outside the image. Whole vectors are stored in
 * ascending order, and what is too much is mended by the next. */
static inline void copy_rows(const plan *it, T *to, const T *plane, idx h, idx rows,
                             const line *lines, const ivec *inside, idx ahead) {
    const product *c = it->c;
    const T *end = c->x + c->N * c->groups * c->C * c->H * c->W, *from = plane + h * c->W;
    idx size = it->columns.size, vectors = ceil_div(size, VL), count = it->columns.lines;
    for (idx last = h + rows; h < last; ++h, from += c->W, to += it->pitch) {
        if (h < 0 || h >= c->H) {
            for (idx i = 0; i < it->pitch; i += VL) store(to + i, (vec){0});
        } else if (c->sw == 3 || c->sw > 4 || from + lines->shift < c->x ||
                   end - (from + lines[count - 1].shift) < c->sw * (size + VL)) {
            for (idx m = 0; m < count; ++m)
                copy_cells(to + m * size, size, from + lines[m].shift, lines + m, c->sw);
        } else if (c->sw == 1) {
            for (idx m = 0; m < count; ++m)
                copy_line(to + m * size, size, from + lines[m].shift, inside + m * vectors, 1,
                          ahead);
        } else if (c->sw == 2) {
            for (idx m = 0; m < count; ++m)
                copy_line(to + m * size, size, from + lines[m].shift, inside + m * vectors, 2,
                          ahead);
        } else {
            for (idx m = 0; m < count; ++m)
                copy_line(to + m * size, size, from + lines[m].shift, inside + m * vectors, 4,
                          ahead);
        }
    }
}

/* Channels [c0, c1) of group g as the pixels from `first` to before `last` see them. */
static void fill_strip(const plan *it, T *strip, const line *lines, const ivec *inside, idx g,
                       idx c0, idx c1, idx first, idx last) {
    const product *c = it->c;
    idx a = first / c->Q, b = (last - 1) / c->Q + 1, plane = c->H * c->W;
    idx image = c->groups * c->C * plane;
    for (idx channel = c0; channel < c1; ++channel, strip += it->plane) {
        const T *x = c->x + (g * c->C + channel) * plane;
        /* Rows are too short for the hardware to see a stream: ask for those of the next block of
         * taps, which may be those of the next chunk. */
        idx ahead = (c1 - c0) * plane;
        if (channel + c1 - c0 >= c->C) ahead += (b - a) * c->sh * c->W - c->C * plane;
        T *to = strip;
        for (idx i = a, count; i < b && it->rows.shared; i += count) {
            idx p = i % c->P, rows;
            count = least(c->P - p, b - i);
            rows = (count - 1) * c->sh + (c->R - 1) * c->dh + 1;
            copy_rows(it, to, x + i / c->P * image, p * c->sh - c->top, rows, lines, inside, ahead);
            to += rows * it->pitch;
        }
        for (idx r = 0; r < c->R && !it->rows.shared; ++r)
            for (idx i = a; i < b; ++i)
                copy_rows(it, strip + (r * it->rows.size + i - a) * it->pitch, x + i / c->P * image,
                          i % c->P * c->sh - c->top + r * c->dh, 1, lines, inside, ahead);
    }
}

/* The strip's place of the first tap of pixel row i, if the chunk starts with row a; x's own if
 * that is read in place. */
static inline idx row_place(const plan *it, idx a, idx i) {
    const product *c = it->c;
    if (it->in_place) return (i / c->P * c->groups * c->C * c->H + i % c->P * c->sh) * c->W;
    if (!it->rows.shared) return (i - a) * it->pitch;
    idx more = (c->R - 1) * c->dh + 1 - c->sh; /* rows of an image above `sh` for each of pixels */
    return ((i - a) * c->sh + (i / c->P - a / c->P) * more) * it->pitch;
}

/* -- columns --------------------------------------------------------------------------------- */

/* A vector of pixels that lie side by side is read where it is, tap by tap; one that crosses rows
 * or images is blended of its pieces first, once for all filters. */
typedef struct {
    idx from[VB / sizeof(T)], start[VB / sizeof(T)]; /* piece i holds lanes from start[i] on */
    int count;
} column;

/* The pixels [first, last), at most VL, of a chunk. Pieces lie in the strip in ascending order, so
 * that a whole vector is there to be read around each. */
static void find_pieces(const plan *it, column *to, idx chunk_first, idx first, idx last) {
    const product *c = it->c;
    idx a = chunk_first / c->Q, i = first / c->Q, q = first % c->Q;
    idx q0 = it->pieces > 1 && !it->in_place ? chunk_first % c->Q : 0, next = -1;
    to->count = 0;
    for (idx lane = 0; lane < last - first; ++i, q = 0) {
        idx from = row_place(it, a, i) + q - q0, run = least(c->Q - q, last - first - lane);
        if (from != next) { /* rows that follow each other in memory are one piece */
            to->from[to->count] = from - lane;
            to->start[to->count++] = lane;
        }
        lane += run;
        next = from + run;
    }
}

/* to[depth][VL] = the pieces, blended. */
static inline __attribute__((always_inline)) void
blend_pieces(T *to, const T *from, const idx *place, idx depth, const column *of, int count) {
    ivec lane = {0}, mask[VB / sizeof(T)];
    for (int i = 0; i < (int)VL; ++i) lane[i] = i;
    for (int i = 1; i < count; ++i) mask[i] = lane >= (I)of->start[i];
    for (idx t = 0; t < depth; ++t, to += VL) {
        const T *tap = from + place[t];
        vec v = load(tap + of->from[0]);
        for (int i = 1; i < count; ++i) v = select(mask[i], load(tap + of->from[i]), v);
        store(to, v);
    }
}

static void blend(T *to, const T *from, const idx *place, idx depth, const column *of) {
    if (of->count == 1)
        blend_pieces(to, from, place, depth, of, 1);
    else if (of->count == 2)
        blend_pieces(to, from, place, depth, of, 2);
    else if (of->count == 3 && VL > 2)
        blend_pieces(to, from, place, depth, of, 3);
    else
        blend_pieces(to, from, place, depth, of, of->count);
}

/* The same, lane by lane: at the very end of x, where there is no whole vector to be read. */
static void pick(T *to, const T *from, const idx *place, idx depth, const column *of, idx lanes) {
    for (idx t = 0; t < depth; ++t, to += VL)
        for (int i = 0; i < of->count; ++i)
            for (idx j = of->start[i]; j < (i + 1 < of->count ? of->start[i + 1] : lanes); ++j)
                to[j] = from[place[t] + of->from[i] + j];
}

/* -- tiles: those of gemm.h, but each vector of b has places of its own ----------------------- */

typedef struct {
    const T *from;
    const idx *place; /* of each tap */
} lane;

/* What is added to comes from further away than taps: asked for now it is there after the loop. */
#define FETCH(i)                                                                                   \
    __builtin_prefetch(c + i * ldc, 1);                                                            \
    __builtin_prefetch(c + i * ldc + VL, 1);

typedef void strip_tile(idx k, const T *a, const lane *b, T *c, idx ldc, const epilogue *e);

#define STRIP_TILE(m)                                                                              \
    static void strip_##m(idx k, const T *restrict a, const lane *b, T *c, idx ldc,                \
                          const epilogue *e) {                                                     \
        const T *from0 = b[0].from, *from1 = b[1].from;                                            \
        const idx *place0 = b[0].place, *place1 = b[1].place;                                      \
        if (e->accumulate) {                                                                       \
            ROWS_##m(FETCH)                                                                        \
        }                                                                                          \
        ROWS_##m(ZERO);                                                                            \
        for (idx t = 0; t < k; ++t, a += m) {                                                      \
            vec b0 = load(from0 + place0[t]), b1 = load(from1 + place1[t]);                        \
            ROWS_##m(STEP);                                                                        \
        }                                                                                          \
        ROWS_##m(PUT);                                                                             \
    }                                                                                              \
    static void strip_narrow_##m(idx k, const T *restrict a, const lane *b, T *c, idx ldc,         \
                                 const epilogue *e) {                                              \
        const T *from0 = b[0].from;                                                                \
        const idx *place0 = b[0].place;                                                            \
        ROWS_##m(ZERO_NARROW);                                                                     \
        for (idx t = 0; t < k; ++t, a += m) {                                                      \
            vec b0 = load(from0 + place0[t]);                                                      \
            ROWS_##m(STEP_NARROW);                                                                 \
        }                                                                                          \
        ROWS_##m(PUT_NARROW);                                                                      \
    }

/* Few filters: four vectors of pixels, all read in place, keep the FMA units as busy. */
#define ZERO_WIDE(i) vec x##i = {0}, y##i = {0}, z##i = {0}, u##i = {0};
#define STEP_X(i) x##i += a[i] * v;
#define STEP_Y(i) y##i += a[i] * v;
#define STEP_Z(i) z##i += a[i] * v;
#define STEP_U(i) u##i += a[i] * v;
#define PUT_WIDE(i)                                                                                \
    finish(c + i * ldc, x##i, e, i, 0);                                                            \
    finish(c + i * ldc + VL, y##i, e, i, VL);                                                      \
    finish(c + i * ldc + 2 * VL, z##i, e, i, 2 * VL);                                              \
    finish(c + i * ldc + 3 * VL, u##i, e, i, 3 * VL);
#define WIDE_TILE(m)                                                                               \
    static void wide_##m(idx k, const T *restrict a, const lane *b, T *c, idx ldc,                 \
                         const epilogue *e) {                                                      \
        const T *from0 = b[0].from, *from1 = b[1].from, *from2 = b[2].from, *from3 = b[3].from;    \
        const idx *place = b[0].place;                                                             \
        ROWS_##m(ZERO_WIDE);                                                                       \
        for (idx t = 0; t < k; ++t, a += m) {                                                      \
            idx p = place[t];                                                                      \
            vec v = load(from0 + p);                                                               \
            ROWS_##m(STEP_X);                                                                      \
            v = load(from1 + p);                                                                   \
            ROWS_##m(STEP_Y);                                                                      \
            v = load(from2 + p);                                                                   \
            ROWS_##m(STEP_Z);                                                                      \
            v = load(from3 + p);                                                                   \
            ROWS_##m(STEP_U);                                                                      \
        }                                                                                          \
        ROWS_##m(PUT_WIDE);                                                                        \
    }

enum { WIDE = MR / 2 }; /* as many accumulators in 4 vectors as MR rows have in 2 */

STRIP_TILE(1)
STRIP_TILE(2)
STRIP_TILE(3)
STRIP_TILE(4)
WIDE_TILE(1)
WIDE_TILE(2)
#if MR > 4
STRIP_TILE(5)
STRIP_TILE(6)
WIDE_TILE(3)
#endif
#if MR > 6
STRIP_TILE(7)
STRIP_TILE(8)
WIDE_TILE(4)
#endif
#if MR > 8
STRIP_TILE(9)
STRIP_TILE(10)
STRIP_TILE(11)
STRIP_TILE(12)
WIDE_TILE(5)
WIDE_TILE(6)
#endif

#undef BOTH
#define BOTH(m) {strip_narrow_##m, strip_##m, 0}
#define ALL(m) {strip_narrow_##m, strip_##m, wide_##m}
static strip_tile *const strip_tiles[MR + 1][3] = {
    {0, 0, 0}, ALL(1),  ALL(2),
#if MR == 4
    BOTH(3),   BOTH(4),
#elif MR == 6
    ALL(3),    BOTH(4), BOTH(5), BOTH(6),
#elif MR == 8
    ALL(3),    ALL(4), BOTH(5), BOTH(6), BOTH(7), BOTH(8),
#else
    ALL(3),    ALL(4), ALL(5), ALL(6), BOTH(7), BOTH(8), BOTH(9), BOTH(10), BOTH(11), BOTH(12),
#endif
};

/* -- results --------------------------------------------------------------------------------- */

/* `count` results to every `across`th cell of a row, of which `room` are left. */
static inline void put_run(T *to, const T *from, idx count, idx across, idx room) {
    idx i = 0;
    count = least(count, ceil_div(room, across));
    if (across == 1)
        for (; i + VL <= count; i += VL) store(to + i, load(from + i));
    if (across == 2) {
        ivec even = {0};
        for (int j = 0; j < (int)VL; j += 2) even[j] = -1;
        for (; 2 * (i + VL) <= least(2 * count, room); i += VL) {
            vec v = load(from + i);
            T *cell = to + 2 * i;
            store(cell, select(even, SHUFFLE(v, v, ZIP_LOW), load(cell)));
            store(cell + VL, select(even, SHUFFLE(v, v, ZIP_HIGH), load(cell + VL)));
        }
    }
    for (; i < count; ++i) to[i * across] = from[i];
}

/* The results aside[filter][pitch] of pixels [first, last). */
static void put_aside(const product *c, T *y, const T *aside, idx pitch, idx filters, idx first,
                      idx last) {
    idx plane = c->OH * c->OW, image = c->groups * c->F * plane;
    if (c->up == 1 && c->across == 1) { /* images are runs of pixels */
        for (idx j = first; j < last;) {
            idx run = least(plane - j % plane, last - j);
            T *to = y + j / plane * image + j % plane;
            for (idx f = 0; f < filters; ++f)
                put_run(to + f * plane, aside + f * pitch + (j - first), run, 1, run);
            j += run;
        }
        return;
    }
    for (idx j = first; j < last;) {
        idx i = j / c->Q, q = j % c->Q, run = least(c->Q - q, last - j);
        idx h = i % c->P * c->up + c->row, column = q * c->across + c->col;
        T *to = y + i / c->P * image + h * c->OW + column;
        for (idx f = 0; f < filters; ++f)
            put_run(to + f * plane, aside + f * pitch + (j - first), run, c->across,
                    c->OW - column);
        j += run;
    }
}

/* -- a task: some filters of a group at a chunk of pixels ------------------------------------ */

static void multiply_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const product *c = it->c;
    idx fp = task % it->parts, g = task / it->parts % c->groups,
        chunk = task / it->parts / c->groups;
    idx rows = row_panels(it->filters), r0 = part(rows, it->parts, fp),
        r1 = part(rows, it->parts, fp + 1);
    idx own0 = part(it->filters, rows, r0), own = part(it->filters, rows, r1) - own0;
    idx first, last;
    chunk_pixels(it, chunk, &first, &last);
    idx panels = ceil_div(last - first, NR), all = taps(c), blocks = k_blocks(all);
    idx plane = c->OH * c->OW, whole = c->up == 1 && c->across == 1 ? grid(c) : 0;
    T *strip = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    T *panel = (T *)((char *)strip + it->strip_bytes);
    T *aside = (T *)((char *)panel + it->panel_bytes);
    ivec *inside = (ivec *)((char *)aside + it->aside_bytes);
    line *lines = (line *)(inside + it->columns.lines * ceil_div(it->columns.size, VL));
    T *y = c->y + (g * c->F + it->f0 + own0) * plane;
    const T *bias = c->bias ? c->bias + g * c->F + it->f0 + own0 : NULL;
    const T *end = c->x + c->N * c->groups * c->C * c->H * c->W;
    column columns[2 * PANELS];
    for (idx j = 0; first + j * VL < last; ++j)
        find_pieces(it, columns + j, first, first + j * VL, least(first + j * VL + VL, last));
    find_lines(it, lines, inside, it->pieces > 1 ? first % c->Q : 0);
    for (idx b = 0; b < blocks && !fastnn_stopped(); ++b) {
        idx t0 = part(all, blocks, b), depth = part(all, blocks, b + 1) - t0;
        idx c0 = t0 / (c->R * c->S), c1 = (t0 + depth - 1) / (c->R * c->S) + 1;
        const T *from = c->x + g * c->C * c->H * c->W,
                *a = it->packed + (g * blocks + b) * it->slab;
        const idx *place = it->place + t0;
        if (!it->in_place) {
            fill_strip(it, strip, lines, inside, g, c0, c1, first, last);
            from = strip - c0 * it->plane;
        }
        for (idx j = 0, step; j < panels; j += step) {
            idx j0 = first + j * NR, left = last - j0, vectors = least(ceil_div(left, VL), 4);
            lane lanes[4];
            int in_strip = 1;
            /* Four vectors of pixels at a time where filters are few and none crosses a row. */
            if (vectors < 4 || rows > 1 || it->filters > WIDE) vectors = least(vectors, 2);
            if (vectors == 4)
                for (int v = 0; v < 4; ++v) in_strip &= columns[2 * j + v].count == 1;
            if (it->in_place || !in_strip) vectors = least(vectors, 2);
            for (int v = 0; v < vectors; ++v) {
                const column *of = columns + 2 * j + v;
                lanes[v] = (lane){from + of->from[0], place};
                if (of->count == 1 && !it->in_place) continue;
                T *to = panel + v * depth * VL;
                lanes[v] = (lane){to, it->steps};
                if (it->in_place && end - from < of->from[of->count - 1] + place[depth - 1] + VL)
                    pick(to, from, place, depth, of, least(VL, left - v * VL));
                else
                    blend(to, from, place, depth, of);
            }
            step = vectors == 4 ? 2 : 1;
            idx width = vectors * VL, used = least(width, left);
            /* Straight to y where the tile is full and in one image. */
            T *to = aside + j * NR;
            idx pitch = it->aside_pitch;
            int direct = whole && used == width && j0 / whole == (j0 + used - 1) / whole;
            if (direct) {
                to = y + j0 / whole * c->groups * c->F * plane + j0 % whole;
                pitch = plane;
            }
            for (idx r = r0; r < r1; ++r) {
                idx f = part(it->filters, rows, r), height = part(it->filters, rows, r + 1) - f;
                epilogue e = {.accumulate = b > 0};
                if (bias && b + 1 == blocks) e.row_bias = bias + f - own0;
                strip_tiles[height][vectors / 2](depth, a + f * depth, lanes,
                                                 to + (f - own0) * pitch, pitch, &e);
            }
            if (!direct && b + 1 == blocks) put_aside(c, y, to, pitch, own, j0, j0 + used);
        }
    }
}

/* -- plans ----------------------------------------------------------------------------------- */

/* The strip's layout along an axis of `steps` results of a chunk. */
static layout lay_out(idx steps, idx stride, idx count, idx dilation) {
    idx reach = (steps - 1) * stride + (count - 1) * dilation + 1;
    if (reach > steps * count) return (layout){0, count, steps};
    return (layout){1, least(stride, reach), ceil_div(reach, stride)};
}

static inline idx tap_place(const layout *l, idx tap, idx stride, idx dilation) {
    if (!l->shared) return tap * l->size;
    return tap * dilation % stride * l->size + tap * dilation / stride;
}

static void cut_chunks(plan *it) {
    const product *c = it->c;
    idx most_panels = most(1, least(PANELS, ASIDE / (it->filters * NR)));
    idx wanted = 4 * c->threads, all;
    it->pieces = c->Q > most_panels * NR ? ceil_div(ceil_div(c->Q, NR), most_panels) : 1;
    if (it->pieces > 1) {
        it->chunks = c->N * c->P * it->pieces;
        it->panels = ceil_div(ceil_div(c->Q, NR), it->pieces);
    } else {
        all = ceil_div(c->N * grid(c), NR);
        it->chunks = round_up(ceil_div(all, most_panels), c->threads);
        if (it->chunks * c->groups < wanted) it->chunks = ceil_div(wanted, c->groups);
        it->chunks = least(it->chunks, all);
        it->panels = ceil_div(all, it->chunks);
    }
    it->parts = 1;
    if (c->threads > 1 && it->chunks * c->groups < wanted)
        it->parts = least(row_panels(it->filters), ceil_div(wanted, it->chunks * c->groups));
}

/* Everything about the strip; its elements for a block of taps. */
static idx plan_strip(plan *it) {
    const product *c = it->c;
    it->in_place = c->sw == 1 && c->top == 0 && c->left == 0 &&
                   c->Q - 1 + (c->S - 1) * c->dw < c->W &&
                   (c->P - 1) * c->sh + (c->R - 1) * c->dh < c->H;
    idx pixels = it->panels * NR, images = 1, rows = 1, columns = c->Q;
    if (it->pieces > 1) {
        columns = least(pixels, c->Q);
    } else {
        rows = least((pixels - 1 + c->Q - 1) / c->Q + 1, c->N * c->P);
        images = least((rows - 1 + c->P - 1) / c->P + 1, c->N);
    }
    it->columns = lay_out(columns, c->sw, c->S, c->dw);
    it->rows = lay_out(least(rows, c->P), c->sh, c->R, c->dh);
    it->pitch = it->columns.lines * it->columns.size;
    idx strip_rows = c->R * rows;
    if (it->rows.shared)
        strip_rows = rows * c->sh + images * most(0, (c->R - 1) * c->dh + 1 - c->sh);
    else
        it->rows.size = rows;
    it->plane = strip_rows * it->pitch;
    /* Channels a multiple of 2 KiB apart would meet in a few sets of the first cache level. */
    if (it->plane * (idx)sizeof(T) % 2048 == 0) it->plane += VL;
    idx all = taps(c), depth = ceil_div(all, k_blocks(all));
    idx channels = least(c->C, (depth - 1) / (c->R * c->S) + 2);
    return it->in_place ? 0 : channels * it->plane + 4 * VL;
}

static void plan_places(plan *it) {
    const product *c = it->c;
    idx *to = it->place;
    for (idx t = 0; t < KC; ++t) it->steps[t] = t * VL;
    for (idx channel = 0; channel < c->C; ++channel)
        for (idx r = 0; r < c->R; ++r)
            for (idx s = 0; s < c->S; ++s) {
                if (it->in_place)
                    *to++ = (channel * c->H + r * c->dh) * c->W + s * c->dw;
                else
                    *to++ = channel * it->plane + tap_place(&it->columns, s, c->sw, c->dw) +
                            (it->rows.shared ? r * c->dh : r * it->rows.size) * it->pitch;
            }
}

static int multiply_all(const product *c) {
    idx all = taps(c), blocks = k_blocks(all), depth = ceil_div(all, blocks);
    /* Filters are packed at once unless that breaks the workspace, then in blocks. */
    idx limit = c->workspace / 2 / (idx)sizeof(T) / (c->groups * blocks * depth);
    idx block = least(c->F, most(1, limit));
    plan it = {.c = c, .filters = block, .slab = packed_rows(block, depth)};
    cut_chunks(&it);
    it.strip_bytes = line_bytes(plan_strip(&it));
    it.panel_bytes = line_bytes(depth * NR + VL);
    it.aside_pitch = it.panels * NR + VL;
    it.aside_bytes = line_bytes(it.aside_pitch * block);
    it.slot_bytes = it.strip_bytes + it.panel_bytes + it.aside_bytes +
                    line_bytes(it.columns.lines *
                               (round_up(it.columns.size, VL) + (idx)(sizeof(line) / sizeof(T))));
    size_t packed_bytes = line_bytes(c->groups * blocks * it.slab);
    size_t shift_bytes = ((size_t)(all + KC) * sizeof(idx) + 63) / 64 * 64;
    char *memory = fastnn_scratch(packed_bytes + shift_bytes + (size_t)c->threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it.packed = (T *)memory;
    it.steps = (idx *)(memory + packed_bytes);
    it.place = it.steps + KC;
    it.slots = memory + packed_bytes + shift_bytes;
    plan_places(&it);
    int status = FASTNN_OK;
    for (; it.f0 < c->F && status == FASTNN_OK; it.f0 += block) {
        it.filters = least(block, c->F - it.f0);
        it.parts = least(it.parts, row_panels(it.filters));
        double weights = (double)c->groups * (double)it.filters * (double)all;
        status = fastnn_parallel_for(c->groups * blocks, pack_filters_task, &it, c->threads,
                                     weights / 2);
        if (status == FASTNN_OK)
            status = fastnn_parallel_for(it.chunks * c->groups * it.parts, multiply_task, &it,
                                         c->threads, weights * (double)c->N * (double)grid(c) / 64);
    }
    fastnn_scratch_release(memory);
    return status;
}

/* -- forward and the gradient of the image --------------------------------------------------- */

int FN(conv_im2col_forward)(const conv *v);
int FN(conv_im2col_backward_data)(const conv *v);

/* Whether im2col's product is less work: where a column has a tap or a few, it gathers as quickly
 * as a strip is made and multiplies a row of filters at a time, so that y is written in long runs.
 * Of 400 random shapes this left 20 of 53 that were more than a tenth slower. It adds in the same
 * order, so that N and threads may count: it needs chunks enough to share. */
static int gathering_is_better(const conv *v) {
    idx F = v->K / v->groups, window = v->R * v->S, pixels = v->P * v->Q;
    if (v->threads > 1 && v->N * v->groups * (pixels / 256) < 4 * v->threads) return 0;
    if (window == 1 && pixels >= (v->sh * v->sw > 1 ? 32 : 1000)) return 1;
    return pixels >= 32 && v->C / v->groups * window <= 48 && F > 64;
}

int FN(conv_direct_forward)(const conv *v) {
    if (gathering_is_better(v)) return FN(conv_im2col_forward)(v);
    idx C = v->C / v->groups, F = v->K / v->groups, window = v->R * v->S;
    product c = {
        .x = v->x,
        .w = v->w,
        .bias = v->b,
        .y = v->y,
        .N = v->N,
        .groups = v->groups,
        .C = C,
        .H = v->H,
        .W = v->W,
        .F = F,
        .R = v->R,
        .S = v->S,
        .sh = v->sh,
        .sw = v->sw,
        .dh = v->dh,
        .dw = v->dw_step,
        .top = v->top,
        .left = v->left,
        .P = v->P,
        .Q = v->Q,
        .OH = v->P,
        .OW = v->Q,
        .up = 1,
        .across = 1,
        .w_group = F * C * window,
        .w_filter = C * window,
        .w_channel = window,
        .w_row = v->S,
        .w_column = 1,
        .workspace = v->workspace,
        .threads = v->threads,
    };
    return multiply_all(&c);
}

/* Of the cells i*stride + phase: which taps reach them, the last of those first. Tap last - m*step
 * sees result i + m*dilation - before. */
typedef struct {
    idx last, count, step, dilation, before;
} phase_taps;

static phase_taps taps_of_phase(idx phase, idx taps, idx stride, idx dilation, idx pad) {
    phase_taps found = {.count = 0, .step = 1, .dilation = 1};
    idx second = -1;
    for (idx t = taps - 1; t >= 0; --t) {
        if ((phase + pad - t * dilation) % stride) continue;
        if (!found.count++)
            found.last = t, found.before = (t * dilation - phase - pad) / stride;
        else if (second < 0)
            second = t;
    }
    if (second >= 0) {
        found.step = found.last - second;
        found.dilation = found.step * dilation / stride;
    }
    return found;
}

/* Cells that no tap reaches. */
static void fill_phase(const product *c) {
    for (idx n = 0; n < c->N * c->groups * c->F; ++n)
        for (idx h = c->row; h < c->OH; h += c->up)
            for (idx w = c->col; w < c->OW; w += c->across)
                c->y[(n * c->OH + h) * c->OW + w] = c->bias ? c->bias[n % (c->groups * c->F)] : 0;
}

/* Whether im2col's product, w^T dy and the sums of its rows, is less work. It computes only what dy
 * holds and keeps its tile full with one channel, but adds up C R S rows. Cycles for a vector of
 * pixels, per group, measured on Zen 5; neither N nor threads count, for the order of sums differs.
 */
static int columns_are_better(const conv *v) {
    double K = (double)(v->K / v->groups), C = (double)(v->C / v->groups);
    double window = (double)(v->R * v->S), used = window / (double)(v->sh * v->sw);
    double tap = C > 3 ? C / 2 : 1.5;
    double direct = (double)(v->H * v->W) * K * (3 + used * tap);
    return (double)(v->P * v->Q) * (window * C * (K / 2 + 4) + K) < direct;
}

int FN(conv_direct_backward_data)(const conv *v) {
    if (columns_are_better(v)) return FN(conv_im2col_backward_data)(v);
    idx C = v->K / v->groups, F = v->C / v->groups, window = v->R * v->S;
    for (idx a = 0; a < least(v->sh, v->H); ++a) {
        phase_taps rows = taps_of_phase(a, v->R, v->sh, v->dh, v->top);
        for (idx b = 0; b < least(v->sw, v->W); ++b) {
            phase_taps columns = taps_of_phase(b, v->S, v->sw, v->dw_step, v->left);
            product c = {
                .x = v->dy,
                .bias = v->b,
                .y = v->dx,
                .N = v->N,
                .groups = v->groups,
                .C = C,
                .H = v->P,
                .W = v->Q,
                .F = F,
                .R = rows.count,
                .S = columns.count,
                .sh = 1,
                .sw = 1,
                .dh = rows.dilation,
                .dw = columns.dilation,
                .top = rows.before,
                .left = columns.before,
                .P = ceil_div(v->H - a, v->sh),
                .Q = ceil_div(v->W - b, v->sw),
                .OH = v->H,
                .OW = v->W,
                .up = v->sh,
                .across = v->sw,
                .row = a,
                .col = b,
                .w_group = C * F * window,
                .w_filter = window,
                .w_channel = F * window,
                .w_row = -rows.step * v->S,
                .w_column = -columns.step,
                .workspace = v->workspace,
                .threads = v->threads,
            };
            if (!rows.count || !columns.count) {
                fill_phase(&c);
                continue;
            }
            c.w = (const T *)v->w + rows.last * v->S + columns.last;
            int status = multiply_all(&c);
            if (status != FASTNN_OK) return status;
        }
    }
    return FASTNN_OK;
}
