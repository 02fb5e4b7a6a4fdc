/* Convolution as a matrix product that never sees a column matrix (implicit GEMM).
 *
 * Pixels of the output are the columns of the product, counted on over rows and images, so that
 * small images fill whole panels too. A task copies the image rows that a chunk of pixels sees into
 * a padded strip, one line per phase of the stride, so that a tap is the same shift for every
 * pixel; a panel is then a few overlapping vector copies per tap, is used at once for all filters
 * and never leaves the first cache level. The gradient of the image is the same product with
 * filters turned and roles swapped; the phases of its stride share a strip. Taps are added in the
 * order c, r, s in blocks of at most KC: an output is one chain, whatever chunk or panel it is in.
 */
#include "conv_taps.h"
#include "conv_window.h"
#include "strip_tiles.h"

enum { PANELS = 16 };     /* of a chunk, at most: their halo of rows is shared */
enum { ASIDE = 1 << 16 }; /* elements of a chunk's results kept aside, at most */

/* A convolution of x[N, groups*C, H, W] with F filters for each phase of the window. */
typedef struct {
    const T *x, *w, *bias;
    T *y;
    idx N, groups, C, H, W, F;
    axis rows, columns;
    int together;                     /* phases share tiles, not only the strip */
    idx P, Q;                         /* pixels of a phase */
    idx real;                         /* of Q, that are cells of y */
    idx OH, OW;                       /* cells of y */
    idx w_group, w_filter, w_channel; /* strides of the filters */
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
    idx f0, filters;  /* that are packed now */
    idx blocks;       /* of taps */
    share *shares;
    idx count;
    idx *steps;  /* of each tap in a column that is blended */
    idx *cells;  /* of all positions in the strip, */
    int blended; /* if columns are blended once for all shares */
    T *biases;   /* of all phases, where they share tiles */
    char *slots;
    size_t slot_bytes, strip_bytes, panel_bytes, aside_bytes;
    idx aside_pitch;
} plan;

static inline idx phases(const product *c) { return c->rows.phases * c->columns.phases; }
static inline idx grid(const product *c) { return c->P * c->Q; }

/* Whether taps are read from x itself: no stride along rows, and every tap inside or none at all.
 */
static inline int reads_in_place(const product *c) {
    const axis *rows = &c->rows, *columns = &c->columns;
    if (!rows->count || !columns->count) return 1;
    return columns->step == 1 && rows->before == 0 && columns->before == 0 &&
           c->real - 1 + axis_span(columns) <= c->W &&
           (c->P - 1) * rows->step + axis_span(rows) <= c->H && c->Q <= c->real;
}

/* Whether `used` results from pixel j on are a run of y. */
static inline int runs_straight(const product *c, idx j, idx used) {
    idx plane = c->OH * c->OW;
    return c->rows.up == 1 && c->columns.up == 1 && c->Q == c->real &&
           j / plane == (j + used - 1) / plane;
}

/* Rows of the product that a share has for `filters`. */
static inline idx share_rows(const share *s, idx filters) { return s->phases * filters; }

/* Taps [*t0, *t0 + depth) of a share are in a block, the same channels of every share. */
static inline idx block_depth(const plan *it, const share *s, idx block, idx *t0) {
    idx all = it->c->C * s->taps;
    *t0 = part(all, it->blocks, block);
    return part(all, it->blocks, block + 1) - *t0;
}

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

/* A block of a group's taps, for all filters and phases of a share. */
static void pack_share(const plan *it, const share *s, idx group, idx block) {
    const product *c = it->c;
    idx t0, depth = block_depth(it, s, block, &t0);
    const T *w = c->w + group * c->w_group + it->f0 * c->w_filter;
    T *to = s->packed + (group * it->blocks + block) * s->slab;
    if (!c->rows.adjoint && phases(c) == 1) { /* filters as they are */
        pack_a(to, w + t0, it->filters, depth, c->w_filter, 1);
        return;
    }
    idx all = share_rows(s, it->filters), panels = row_panels(all);
    for (idx p = 0; p < panels && s->taps; ++p) {
        idx first = part(all, panels, p), height = part(all, panels, p + 1) - first;
        idx k = t0 % s->taps, shift = t0 / s->taps * c->w_channel;
        for (idx t = 0; t < depth; ++t, to += height) {
            for (idx i = 0, run; i < height; i += run) { /* the filters of a phase at a time */
                idx phase = (first + i) / it->filters, f = (first + i) % it->filters;
                const T *from = w + f * c->w_filter + shift + s->weights[phase * s->taps + k];
                run = least(height - i, it->filters - f);
                for (idx m = 0; m < run; ++m) to[i + m] = from[m * c->w_filter];
            }
            if (++k == s->taps) k = 0, shift += c->w_channel;
        }
    }
}

static void pack_filters_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    for (idx i = 0; i < it->count; ++i)
        pack_share(it, it->shares + i, task / it->blocks, task % it->blocks);
    (void)slot;
}

/* -- strip ----------------------------------------------------------------------------------- */

/* Where the lines of a row begin in x, and which of their cells are inside. */
static void find_lines(const plan *it, line *lines, ivec *inside, idx q0) {
    const product *c = it->c;
    idx size = it->columns.size;
    ivec count = {0};
    for (int i = 0; i < (int)VL; ++i) count[i] = i;
    for (idx m = 0; m < it->columns.lines; ++m, ++lines) {
        lines->shift =
            q0 * c->columns.step - c->columns.before + (it->columns.shared ? m : c->columns.at[m]);
        steps_inside(lines->shift, c->columns.step, c->W, size, &lines->first, &lines->last);
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
    idx step = c->columns.step;
    for (idx last = h + rows; h < last; ++h, from += c->W, to += it->pitch) {
        if (h < 0 || h >= c->H) {
            for (idx i = 0; i < it->pitch; i += VL) store(to + i, (vec){0});
        } else if (step == 3 || step > 4 || from + lines->shift < c->x ||
                   end - (from + lines[count - 1].shift) < step * (size + VL)) {
            for (idx m = 0; m < count; ++m)
                copy_cells(to + m * size, size, from + lines[m].shift, lines + m, step);
        } else if (step == 1) {
            for (idx m = 0; m < count; ++m)
                copy_line(to + m * size, size, from + lines[m].shift, inside + m * vectors, 1,
                          ahead);
        } else if (step == 2) {
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
        if (channel + c1 - c0 >= c->C) ahead += (b - a) * c->rows.step * c->W - c->C * plane;
        T *to = strip;
        for (idx i = a, count; i < b && it->rows.shared; i += count) {
            idx p = i % c->P, rows;
            count = least(c->P - p, b - i);
            rows = (count - 1) * c->rows.step + axis_span(&c->rows);
            copy_rows(it, to, x + i / c->P * image, p * c->rows.step - c->rows.before, rows, lines,
                      inside, ahead);
            to += rows * it->pitch;
        }
        for (idx m = 0; m < c->rows.count && !it->rows.shared; ++m)
            for (idx i = a; i < b; ++i)
                copy_rows(it, strip + (m * it->rows.size + i - a) * it->pitch, x + i / c->P * image,
                          i % c->P * c->rows.step - c->rows.before + c->rows.at[m], 1, lines,
                          inside, ahead);
    }
}

/* The strip's place of the first tap of pixel row i, if the chunk starts with row a; x's own if
 * that is read in place. */
static inline idx row_place(const plan *it, idx a, idx i) {
    const product *c = it->c;
    idx step = c->rows.step;
    if (it->in_place) return (i / c->P * c->groups * c->C * c->H + i % c->P * step) * c->W;
    if (!it->rows.shared) return (i - a) * it->pitch;
    idx more = axis_span(&c->rows) - step; /* rows of an image above `step` for each of pixels */
    return ((i - a) * step + (i / c->P - a / c->P) * more) * it->pitch;
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

/* -- results --------------------------------------------------------------------------------- */

/* to[0 .. n) = from, where a call of memcpy would take longer: two copies that overlap. */
static inline void copy_run(T *to, const T *from, idx n) {
    enum { SIZE = VB / sizeof(T) };
    if (n >= SIZE) {
        for (idx i = 0; i + SIZE < n; i += SIZE) store(to + i, load(from + i));
        store(to + n - SIZE, load(from + n - SIZE));
    } else if (n >= SIZE / 2) { /* n > 0, for a vector holds two at least */
        memcpy(to, from, VB / 2);
        memcpy(to + n - SIZE / 2, from + n - SIZE / 2, VB / 2);
    } else if (SIZE >= 4 && n >= SIZE / 4) {
        memcpy(to, from, VB / 4);
        memcpy(to + n - SIZE / 4, from + n - SIZE / 4, VB / 4);
    } else {
        for (idx i = 0; i < n; ++i) to[i] = from[i];
    }
}

/* VL cells of each of `count` = 2 or 4 phases, interleaved. */
static inline void interleave_phases(T *to, const T *from, idx gap, idx count) {
    if (count == 2) {
        interleave(to, load(from), load(from + gap));
        return;
    }
    vec a = load(from), b = load(from + gap), c = load(from + 2 * gap), d = load(from + 3 * gap);
    interleave(to, SHUFFLE(a, c, ZIP_LOW), SHUFFLE(b, d, ZIP_LOW));
    interleave(to + 2 * VL, SHUFFLE(a, c, ZIP_HIGH), SHUFFLE(b, d, ZIP_HIGH));
}

/* `n` results of each phase of a row, `gap` apart, to its cells, of which `room` are left. */
static inline void put_run(const axis *v, T *to, const T *from, idx gap, idx n, idx room) {
    if (v->up == 1) {
        copy_run(to, from, n);
        return;
    }
    idx i = 0, count = v->phases;
    if (count == v->up && (count == 2 || count == 4)) {
        T last[4 * (VB / sizeof(T))] __attribute__((aligned(VB)));
        for (; (i + VL) * count <= least(n * count, room); i += VL)
            interleave_phases(to + i * count, from + i, gap, count);
        if (i < n) {
            interleave_phases(last, from + i, gap, count);
            idx cells = least(n * count, room) - i * count, j = 0;
            for (; j + VL <= cells; j += VL) store(to + i * count + j, load(last + j));
            copy_run(to + i * count + j, last + j, cells - j); /* within what one store wrote */
        }
        return;
    }
    for (; i < n; ++i)
        for (idx b = 0; b < least(count, room - i * v->up); ++b)
            to[i * v->up + b] = from[b * gap + i];
}

/* The results aside[phase][filter][pitch] of pixels [first, last). */
static void put_aside(const product *c, T *y, const T *aside, idx pitch, idx filters, idx first,
                      idx last) {
    idx plane = c->OH * c->OW, image = c->groups * c->F * plane;
    if (c->rows.up == 1 && c->columns.up == 1 && c->Q == c->real) { /* images are runs of pixels */
        for (idx j = first; j < last;) {
            idx run = least(plane - j % plane, last - j);
            T *to = y + j / plane * image + j % plane;
            for (idx f = 0; f < filters; ++f)
                copy_run(to + f * plane, aside + f * pitch + (j - first), run);
            j += run;
        }
        return;
    }
    idx gap = filters * pitch;
    for (idx j = first, run; j < last; j += run) {
        idx i = j / c->Q, q = j % c->Q, n = c->real - q;
        run = least(c->Q - q, last - j);
        idx h = i % c->P * c->rows.up + c->rows.first, w = q * c->columns.up + c->columns.first;
        T *to = y + i / c->P * image + h * c->OW + w;
        const T *from = aside + (j - first);
        for (idx a = 0; a < least(c->rows.phases, c->OH - h) && n > 0; ++a)
            for (idx f = 0; f < filters; ++f)
                put_run(&c->columns, to + f * plane + a * c->OW,
                        from + a * c->columns.phases * gap + f * pitch, gap, least(run, n),
                        c->OW - w);
    }
}

/* -- a task: some filters of a group at a chunk of pixels ------------------------------------ */

typedef struct {
    idx group, own0, own, r0, r1; /* filters and, of each share, panels of rows */
    idx first, last;              /* pixels */
    T *strip, *panel, *aside, *y;
    ivec *inside;
    line *lines;
    const T *bias;
    column *columns;
} work;

/* A block of taps: where x or its strip begins, and its channels. */
typedef struct {
    const T *from;
    idx number, c0, c1;
} block;

/* Vector v of the chunk at taps that lie at place[depth]. */
static void blend_column(const plan *it, const work *now, const T *from, const idx *place,
                         idx depth, idx v, T *to) {
    const product *c = it->c;
    const T *end = c->x + c->N * c->groups * c->C * c->H * c->W;
    const column *of = now->columns + v;
    if (!depth) return;
    if (it->in_place && end - from < of->from[of->count - 1] + place[depth - 1] + VL)
        pick(to, from, place, depth, of, least(VL, now->last - now->first - v * VL));
    else
        blend(to, from, place, depth, of);
}

static inline int needs_blending(const plan *it, const work *now, idx v) {
    return now->columns[v].count > 1 || it->in_place;
}

static inline idx positions(const plan *it) { return it->c->rows.count * it->c->columns.count; }

/* The panel of vector v of the chunk, where columns are blended for all shares. */
static inline T *common_panel(const plan *it, const work *now, const block *b, idx v) {
    return now->panel + v % 4 * (b->c1 - b->c0) * positions(it) * VL;
}

static void blend_for_all(const plan *it, const work *now, const block *b, idx v, idx count) {
    idx all = positions(it);
    for (idx end = v + count; v < end; ++v)
        if (needs_blending(it, now, v))
            blend_column(it, now, b->from, it->cells + b->c0 * all, (b->c1 - b->c0) * all, v,
                         common_panel(it, now, b, v));
}

/* Where the vectors [v, v + count) of the chunk see the taps of a share from t0 on: in the strip or
 * in x itself, or blended. */
static void find_lanes(const plan *it, const work *now, const share *s, const block *b, idx t0,
                       idx depth, idx v, idx count, lane *lanes) {
    for (idx i = 0; i < count; ++i) {
        T *to = now->panel + i * depth * VL;
        if (!needs_blending(it, now, v + i)) {
            lanes[i] = (lane){b->from + now->columns[v + i].from[0], s->place + t0};
        } else if (it->blended) {
            const T *panel = common_panel(it, now, b, v + i);
            lanes[i] = (lane){panel - b->c0 * positions(it) * VL, s->blended + t0};
        } else {
            blend_column(it, now, b->from, s->place + t0, depth, v + i, to);
            lanes[i] = (lane){to, it->steps};
        }
    }
}

/* Vectors from v on that a tile of a share takes: four where rows are few and none crosses a row of
 * pixels. */
static idx vectors_at_once(const plan *it, const work *now, const share *s, idx v) {
    idx rows = share_rows(s, it->filters), count = ceil_div(now->last - now->first, VL) - v;
    if (rows > WIDE || it->in_place || count < 4) return 2;
    for (idx i = 0; i < 4; ++i)
        if (now->columns[v + i].count > 1) return 2;
    return 4;
}

/* Whether the results of vectors [v, v + count) go straight to y. */
static inline int goes_straight(const plan *it, const work *now, idx v, idx count) {
    idx j = now->first + v * VL, width = count * VL;
    return now->last - j >= width && runs_straight(it->c, j, width);
}

/* Vectors [v, v + 4) of the chunk, a block of a share's taps. */
static void multiply_share(const plan *it, const work *now, const share *s, const block *b, idx v) {
    const product *c = it->c;
    idx rows = share_rows(s, it->filters), panels = row_panels(rows), plane = c->OH * c->OW;
    idx t0, depth = block_depth(it, s, b->number, &t0);
    const T *a = s->packed + (now->group * it->blocks + b->number) * s->slab;
    idx r0 = it->parts == 1 ? 0 : now->r0, r1 = it->parts == 1 ? panels : now->r1;
    idx step = vectors_at_once(it, now, s, v);
    for (idx end = least(v + 4, ceil_div(now->last - now->first, VL)); v < end; v += step) {
        idx vectors = least(step, end - v), pitch = it->aside_pitch;
        T *to = now->aside + v * VL;
        lane lanes[4];
        find_lanes(it, now, s, b, t0, depth, v, vectors, lanes);
        if (goes_straight(it, now, v, vectors)) {
            idx j = now->first + v * VL;
            to = now->y + j / plane * c->groups * c->F * plane + j % plane;
            pitch = plane;
        }
        for (idx r = r0; r < r1; ++r) {
            idx f = part(rows, panels, r), height = part(rows, panels, r + 1) - f;
            epilogue e = {.accumulate = !s->fresh || b->number > 0};
            if (now->bias && s->fresh && b->number + 1 == it->blocks) e.row_bias = now->bias + f;
            strip_tiles[height][vectors / 2](depth, a + f * depth, lanes,
                                             to + (s->first * now->own + f - now->own0) * pitch,
                                             pitch, &e);
        }
    }
}

/* What of vectors [v, v + count) did not go straight to y. */
static void put_vectors(const plan *it, const work *now, idx v, idx count) {
    idx step = it->count > 1 ? 4 : vectors_at_once(it, now, it->shares, v);
    for (idx end = v + count; v < end; v += step) {
        idx j = now->first + v * VL, vectors = least(step, end - v);
        if (!goes_straight(it, now, v, vectors))
            put_aside(it->c, now->y, now->aside + v * VL, it->aside_pitch, now->own, j,
                      least(j + vectors * VL, now->last));
    }
}

static void multiply_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const product *c = it->c;
    idx part_of = task % it->parts, chunk = task / it->parts / c->groups;
    idx panels = row_panels(it->filters), all = phases(c);
    column columns[2 * PANELS + 2]; /* not in `now`, for that is set to 0 */
    work now = {.columns = columns,
                .group = task / it->parts % c->groups,
                .r0 = part(panels, it->parts, part_of),
                .r1 = part(panels, it->parts, part_of + 1)};
    now.own0 = part(it->filters, panels, now.r0);
    now.own = part(it->filters, panels, now.r1) - now.own0;
    chunk_pixels(it, chunk, &now.first, &now.last);
    now.strip = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    now.panel = (T *)((char *)now.strip + it->strip_bytes);
    now.aside = (T *)((char *)now.panel + it->panel_bytes);
    now.inside = (ivec *)((char *)now.aside + it->aside_bytes);
    now.lines = (line *)(now.inside + it->columns.lines * ceil_div(it->columns.size, VL));
    now.y = c->y + (now.group * c->F + it->f0 + now.own0) * c->OH * c->OW;
    if (c->bias)
        now.bias =
            it->biases ? it->biases + now.group * all * c->F : c->bias + now.group * c->F + it->f0;
    idx vectors = ceil_div(now.last - now.first, VL);
    for (idx v = 0; v < vectors; ++v)
        find_pieces(it, now.columns + v, now.first, now.first + v * VL,
                    least(now.first + v * VL + VL, now.last));
    find_lines(it, now.lines, now.inside, it->pieces > 1 ? now.first % c->Q : 0);
    for (idx i = 0; i < it->blocks && !fastnn_stopped(); ++i) {
        block b = {c->x + now.group * c->C * c->H * c->W, i, c->C * i / it->blocks,
                   ceil_div(c->C * (i + 1), it->blocks)};
        if (!it->in_place) {
            fill_strip(it, now.strip, now.lines, now.inside, now.group, b.c0, b.c1, now.first,
                       now.last);
            b.from = now.strip - b.c0 * it->plane;
        }
        for (idx v = 0; v < vectors; v += 4) {
            idx count = least(4, vectors - v);
            if (it->blended) blend_for_all(it, &now, &b, v, count);
            for (idx k = 0; k < it->count; ++k) multiply_share(it, &now, it->shares + k, &b, v);
            if (i + 1 == it->blocks) put_vectors(it, &now, v, count);
        }
    }
}

/* -- plans ----------------------------------------------------------------------------------- */

/* The strip's layout along an axis of `steps` pixels of a chunk. */
static layout lay_out(const axis *v, idx steps) {
    idx reach = (steps - 1) * v->step + axis_span(v);
    if (reach > steps * v->count) return (layout){0, v->count, steps};
    return (layout){1, least(v->step, reach), ceil_div(reach, v->step)};
}

static inline idx line_place(const layout *l, const axis *v, idx position) {
    if (!l->shared) return position * l->size;
    return v->at[position] % v->step * l->size + v->at[position] / v->step;
}

static void cut_chunks(plan *it) {
    const product *c = it->c;
    idx panels = row_panels(it->filters), rows = phases(c) * it->filters;
    /* Filters are cut so that what is read of them serves some panels of pixels. */
    it->parts = c->together ? 1 : least(panels, ceil_div(rows * 4 * NR, ASIDE));
    idx most_panels = most(1, least(PANELS, ASIDE / (ceil_div(rows, it->parts) * NR)));
    idx wanted = ceil_div(4 * c->threads, c->groups), all;
    it->pieces = c->Q > most_panels * NR ? ceil_div(ceil_div(c->Q, NR), most_panels) : 1;
    if (it->pieces > 1) {
        it->chunks = c->N * c->P * it->pieces;
        it->panels = ceil_div(ceil_div(c->Q, NR), it->pieces);
    } else {
        all = ceil_div(c->N * grid(c), NR);
        it->chunks = round_up(ceil_div(all, most_panels), c->threads);
        if (it->chunks * it->parts < wanted) it->chunks = ceil_div(wanted, it->parts);
        it->chunks = least(it->chunks, all);
        it->panels = ceil_div(all, it->chunks);
    }
    if (c->threads > 1 && it->chunks * it->parts < wanted && !c->together)
        it->parts = least(panels, ceil_div(wanted, it->chunks));
}

/* Everything about the strip; its elements for a block of taps. */
static idx plan_strip(plan *it) {
    const product *c = it->c;
    const axis *rows = &c->rows, *columns = &c->columns;
    it->in_place = reads_in_place(c);
    idx pixels = it->panels * NR, images = 1, lines = 1, steps = c->Q;
    if (it->pieces > 1) {
        steps = least(pixels, c->Q);
    } else {
        lines = least((pixels - 1 + c->Q - 1) / c->Q + 1, c->N * c->P);
        images = least((lines - 1 + c->P - 1) / c->P + 1, c->N);
    }
    it->columns = lay_out(columns, steps);
    it->rows = lay_out(rows, least(lines, c->P));
    it->pitch = it->columns.lines * it->columns.size;
    idx strip_rows = rows->count * lines;
    if (it->rows.shared)
        strip_rows = lines * rows->step + images * most(0, axis_span(rows) - rows->step);
    else
        it->rows.size = lines;
    it->plane = strip_rows * it->pitch;
    /* Channels a multiple of 2 KiB apart would meet in a few sets of the first cache level. */
    if (it->plane * (idx)sizeof(T) % 2048 == 0) it->plane += VL;
    idx channels = least(c->C, ceil_div(c->C, it->blocks) + 1);
    return it->in_place ? 0 : channels * it->plane + 4 * VL;
}

static inline idx strip_place(const plan *it, idx channel, idx cell) {
    const product *c = it->c;
    const axis *rows = &c->rows, *columns = &c->columns;
    idx m = cell / columns->count, n = cell % columns->count;
    if (it->in_place) return (channel * c->H + rows->at[m]) * c->W + columns->at[n];
    return channel * it->plane + line_place(&it->columns, columns, n) +
           (it->rows.shared ? rows->at[m] : m * it->rows.size) * it->pitch;
}

static void plan_places(plan *it, idx *to) {
    idx C = it->c->C, all = positions(it);
    for (idx t = 0; t < KC; ++t) it->steps[t] = t * VL;
    for (idx i = 0; i < it->count; ++i) {
        share *s = it->shares + i;
        s->place = to;
        for (idx channel = 0; channel < C; ++channel)
            for (idx t = 0; t < s->taps; ++t) *to++ = strip_place(it, channel, s->cell[t]);
        s->blended = to;
        for (idx channel = 0; channel < C && it->blended; ++channel)
            for (idx t = 0; t < s->taps; ++t) *to++ = (channel * all + s->cell[t]) * VL;
    }
    it->cells = to;
    for (idx channel = 0; channel < C && it->blended; ++channel)
        for (idx cell = 0; cell < all; ++cell) *to++ = strip_place(it, channel, cell);
}

/* What a plan packs: sizes for `filters` at once. Returns elements of all. */
static idx plan_packed(plan *it, idx filters) {
    idx all = 0;
    for (idx i = 0; i < it->count; ++i) {
        share *s = it->shares + i;
        s->slab = packed_rows(share_rows(s, filters), ceil_div(it->c->C * s->taps, it->blocks));
        all += it->c->groups * it->blocks * s->slab;
    }
    return all;
}

/* Cycles of a tap for two vectors of pixels on AVX-512: FMA units, or loads, of which one that
 * crosses a line of the cache takes 2.5. */
static inline double tile_cycles(idx rows) {
    double loads = rows <= WIDE ? 5.5 + (double)rows / 4 : 5.5 + (double)rows / 2;
    return loads > (double)rows ? loads : (double)rows;
}

/* Pixels of a row to count: rather some in vain than vectors that cross rows, if rows of the
 * product are few: to blend such a vector takes 7 cycles a tap. */
static idx counted_pixels(const product *c) {
    idx rows = c->F * (c->together ? phases(c) : 1), padded = round_up(c->real, VL);
    if (padded == c->real || rows > 2 * MR || reads_in_place(c)) return c->real;
    idx aligned = least(VL, c->real & -c->real);
    double Q = (double)c->real, crossing = (double)(VL - aligned) / Q;
    double plain = most(rows, 3 + rows / 2) + 14 * (crossing < 1 ? crossing : 1);
    return tile_cycles(rows) * (double)padded / Q < plain ? padded : c->real;
}

static int multiply_planned(product *c, share *shares, idx *of_shares, idx *places) {
    plan it = {.c = c, .shares = shares};
    c->together = c->together && phases_meet(&c->rows, &c->columns);
    it.count = find_shares(&c->rows, &c->columns, c->together, shares, of_shares);
    c->Q = counted_pixels(c);
    idx widest = 0, per_filter = 0;
    double products = 0;
    for (idx i = 0; i < it.count; ++i) widest = most(widest, shares[i].taps);
    it.blocks = most(1, k_blocks(c->C * widest));
    for (idx i = 0; i < it.count; ++i) {
        per_filter += shares[i].phases * c->C * shares[i].taps;
        products += (double)(c->groups * shares[i].phases * c->C * shares[i].taps);
    }
    idx depth = ceil_div(c->C * widest, it.blocks);
    /* Filters are packed at once unless that breaks the workspace, then in blocks. */
    idx limit = c->workspace / 2 / (idx)sizeof(T) / (c->groups * most(1, per_filter));
    idx block = c->together ? c->F : least(c->F, most(1, limit));
    it.filters = block;
    idx channels = least(c->C, ceil_div(c->C, it.blocks) + 1) * positions(&it);
    it.blended = it.count > 1 && channels <= 2 * KC;
    cut_chunks(&it);
    idx own = least(block, ceil_div(row_panels(block), it.parts) * MR);
    it.strip_bytes = line_bytes(plan_strip(&it));
    it.panel_bytes = line_bytes(it.blended ? channels * 2 * NR : depth * NR + VL);
    it.aside_pitch = it.panels * NR + VL;
    it.aside_bytes = line_bytes(it.aside_pitch * phases(c) * own);
    it.slot_bytes = it.strip_bytes + it.panel_bytes + it.aside_bytes +
                    line_bytes(it.columns.lines *
                               (round_up(it.columns.size, VL) + (idx)(sizeof(line) / sizeof(T))));
    size_t packed_bytes = line_bytes(plan_packed(&it, block));
    size_t bias_bytes = c->together && c->bias ? line_bytes(c->groups * phases(c) * c->F) : 0;
    char *memory = fastnn_scratch(packed_bytes + bias_bytes + (size_t)c->threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    T *packed = (T *)memory;
    for (idx i = 0; i < it.count; ++i) {
        shares[i].packed = packed;
        packed += c->groups * it.blocks * shares[i].slab;
    }
    if (bias_bytes) it.biases = (T *)(memory + packed_bytes);
    for (idx i = 0; bias_bytes && i < c->groups * phases(c) * c->F; ++i)
        it.biases[i] = c->bias[i / (phases(c) * c->F) * c->F + i % c->F];
    it.slots = memory + packed_bytes + bias_bytes;
    it.steps = places;
    plan_places(&it, places + KC);
    int status = FASTNN_OK;
    for (; it.f0 < c->F && status == FASTNN_OK; it.f0 += block) {
        it.filters = least(block, c->F - it.f0);
        it.parts = least(it.parts, row_panels(it.filters));
        double weights = products * (double)it.filters;
        status = fastnn_parallel_for(c->groups * it.blocks, pack_filters_task, &it, c->threads,
                                     weights / 2);
        if (status == FASTNN_OK)
            status = fastnn_parallel_for(it.chunks * c->groups * it.parts, multiply_task, &it,
                                         c->threads, weights * (double)c->N * (double)grid(c) / 64);
    }
    fastnn_scratch_release(memory);
    return status;
}

static int multiply_all(product *c) {
    idx taps = axis_positions(&c->rows) * axis_positions(&c->columns);
    idx room = axis_room(&c->rows) + axis_room(&c->columns) + 2 * taps + KC;
    room += c->C * taps * (phases(c) > 1 ? 3 : 1); /* places in the strip, and blended */
    share *shares = fastnn_scratch(MOST_SHARES * sizeof(share) + (size_t)room * sizeof(idx));
    if (!shares) return FASTNN_NOMEM;
    idx *memory = (idx *)(shares + MOST_SHARES);
    find_positions(&c->rows, memory);
    memory += axis_room(&c->rows);
    find_positions(&c->columns, memory);
    memory += axis_room(&c->columns);
    int status = multiply_planned(c, shares, memory, memory + 2 * taps);
    fastnn_scratch_release(shares);
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

/* Rows of results in one tile, for few filters leave it empty. */
static idx rows_at_once(idx filters, const axis *v, idx size) {
    if (v->taps < 2 || v->stride > 1 || v->dilation > 1 || 2 * filters > WIDE) return 1;
    idx rows = least(least(4, WIDE / filters), v->taps);
    return size >= 4 * rows ? rows : 1;
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
        .rows = {.taps = v->R, .stride = v->sh, .dilation = v->dh, .pad = v->top},
        .columns = {.taps = v->S, .stride = v->sw, .dilation = v->dw_step, .pad = v->left},
        .OH = v->P,
        .OW = v->Q,
        .real = v->Q,
        .w_group = F * C * window,
        .w_filter = C * window,
        .w_channel = window,
        .workspace = v->workspace,
        .threads = v->threads,
    };
    c.rows.up = c.rows.phases = rows_at_once(F, &c.rows, v->P);
    c.columns.up = c.columns.phases = 1;
    c.together = c.rows.phases > 1;
    c.P = ceil_div(v->P, c.rows.up);
    return multiply_all(&c);
}

/* Whether im2col's product, w^T dy and the sums of its rows, is less work. It computes only what dy
 * holds and crosses no row, but adds up C R S rows. Cycles for a vector of pixels, per group,
 * measured on Zen 5; neither N nor threads count, for the order of sums differs. */
static int columns_are_better(const conv *v) {
    double K = (double)(v->K / v->groups), C = (double)(v->C / v->groups);
    double window = (double)(v->R * v->S), stride = (double)(v->sh * v->sw);
    double tap = C > 5 ? C / 2 : C > 3 ? 3 : 0.6 + 0.45 * C;
    if (ceil_div(v->W, v->sw) % VL) tap += 3.5;
    double direct = (double)(v->H * v->W) * (K / stride * (12 + window * tap) + 16 * C);
    double sum = stride > 1 ? 36 : 24;
    return (double)(v->P * v->Q) * (window * C * (K / 2 + sum) + K) < direct;
}

int FN(conv_direct_backward_data)(const conv *v) {
    if (columns_are_better(v)) return FN(conv_im2col_backward_data)(v);
    idx C = v->K / v->groups, F = v->C / v->groups, window = v->R * v->S;
    product c = {
        .x = v->dy,
        .w = v->w,
        .bias = v->b,
        .y = v->dx,
        .N = v->N,
        .groups = v->groups,
        .C = C,
        .H = v->P,
        .W = v->Q,
        .F = F,
        .rows = {v->R, v->sh, v->dh, v->top, .adjoint = 1, .up = v->sh},
        .columns = {v->S, v->sw, v->dw_step, v->left, .adjoint = 1, .up = v->sw},
        .OH = v->H,
        .OW = v->W,
        .w_group = C * F * window,
        .w_filter = window,
        .w_channel = F * window,
        .workspace = v->workspace,
        .threads = v->threads,
    };
    /* Phases of the stride share a strip, unless they are too many; then one at a time. */
    idx all = v->sh * v->sw;
    int one = all > MOST_PHASES;
    if (all == 1) c.rows.up = rows_at_once(F, &c.rows, v->H);
    c.rows.phases = one ? 1 : c.rows.up;
    c.columns.phases = one ? 1 : c.columns.up;
    c.together = 2 * F <= WIDE && phases(&c) > 1 && phases(&c) <= 16;
    product whole = c;
    for (idx a = 0; a < least(c.rows.up, v->H); a += whole.rows.phases)
        for (idx b = 0; b < least(c.columns.up, v->W); b += whole.columns.phases) {
            c = whole;
            c.rows.first = a;
            c.columns.first = b;
            c.P = ceil_div(v->H - a, c.rows.up);
            c.real = ceil_div(v->W - b, c.columns.up);
            int status = multiply_all(&c);
            if (status != FASTNN_OK) return status;
        }
    return FASTNN_OK;
}
