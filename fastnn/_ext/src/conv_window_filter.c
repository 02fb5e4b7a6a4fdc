/* Gradient of the filters where a window is small: vectors of taps, sums over pixels.
 *
 * dw[k, taps] = sum over pixels of dy[k, pixel] x[window of the pixel]. A strip of x is transposed
 * to cells [output row][column][r][c], each of the R C numbers that a column of the window holds.
 * There a whole window is S cells on end, and that of the next pixel begins `stride` cells further:
 * all its taps fill vectors to the last but one, with few channels as well. dy needs no
 * transposition at all, it is read number by number from its rows.
 *
 * Few filters on many channels are the same sums seen from dy, where the stride is one: dy is the
 * image, of few channels, x is what its windows are multiplied by, and they are turned around.
 *
 * A task owns some filters of a group. With few such tasks the batch is split too, into parts that
 * follow from the shape alone, and the partial sums are added in order. */
#include "conv_filters.h"

#include <math.h>

enum { PIXELS = 256 };      /* of a strip: 12 rows of dy take 12 KiB of the first level */
enum { SUMS = 64 * 1024 };  /* of a task: with their strips inside the second level */
enum { MOST_CELL = 64 };    /* a strip of larger cells would not stay in the first level */
enum { CELLS = 64 * 1024 }; /* numbers of a strip of x, at about the most */

/* Pixels of a strip; how far they are apart in x, the ends of rows and images in x and dy. */
typedef struct {
    idx images, rows, cols;
    idx stride, row_jump;                    /* of x, whose strips have no gap between images */
    idx dy_line, dy_row_jump, dy_image_jump; /* dy of the next filter; over the ends */
} walk;

typedef void window_tile(const walk *w, const T *a, const T *b, T *c, idx ldc, const epilogue *e);

/* Rows in threes: a pointer, and distances that addresses can hold. */
#define ROW(i) (i / 3 == 0 ? a : i / 3 == 1 ? a3 : i / 3 == 2 ? a6 : a9)[i % 3 * line]
#define STEP_ROW(i)                                                                                \
    x##i += ROW(i) * b0;                                                                           \
    y##i += ROW(i) * b1;
#define STEP_ROW_NARROW(i) x##i += ROW(i) * b0;
#define MOVE_ROWS(by) (a += by, a3 += by, a6 += by, a9 += by)

/* c (+)= sum over the pixels of w of dy b: `m` filters by one or two vectors of taps. */
#define WINDOW(m, name, zero, begin, step, put)                                                    \
    static void name##_##m(const walk *w, const T *restrict a, const T *restrict b, T *c, idx ldc, \
                           const epilogue *e) {                                                    \
        ROWS_##m(zero);                                                                            \
        const idx stride = w->stride, line = w->dy_line;                                           \
        const T *a3 = a + 3 * line, *a6 = a3 + 3 * line, *a9 = a6 + 3 * line;                      \
        for (idx n = w->images; n > 0; --n, MOVE_ROWS(w->dy_image_jump))                           \
            for (idx p = w->rows; p > 0; --p, b += w->row_jump, MOVE_ROWS(w->dy_row_jump))         \
                for (idx q = w->cols; q > 0; --q, b += stride, MOVE_ROWS(1)) {                     \
                    begin;                                                                         \
                    ROWS_##m(step);                                                                \
                }                                                                                  \
        ROWS_##m(put);                                                                             \
    }
#define BEGIN_WIDE vec b0 = load(b), b1 = load(b + VL)
#define BEGIN_NARROW vec b0 = load(b)
#define WINDOWS(m)                                                                                 \
    WINDOW(m, window, ZERO, BEGIN_WIDE, STEP_ROW, PUT)                                             \
    WINDOW(m, pane, ZERO_NARROW, BEGIN_NARROW, STEP_ROW_NARROW, PUT_NARROW)

ALL_ROWS(WINDOWS)

#define PAIR(m) {pane_##m, window_##m},
static window_tile *const window_tiles[MR + 1][2] = {{0, 0}, ALL_ROWS(PAIR)};

/* -- the plan -------------------------------------------------------------------------------- */

typedef struct {
    const conv *v;
    int turned; /* v has x and dy, channels and filters exchanged */
    cut cut;
    idx cell, taps, width; /* numbers of a cell, of a window, of its whole vectors */
    idx filter_parts;
    summing tasks;
    size_t x_bytes, lines_bytes;
} plan;

/* Columns of x that `cols` windows side by side see. */
static inline idx columns(const conv *v, idx cols) { return (cols - 1) * v->sw + v->S; }

static plan make_plan(const conv *v, int turned) {
    plan it = {.v = v, .turned = turned, .cell = v->R * channels(v)};
    it.taps = it.cell * v->S;
    it.width = round_up(it.taps, VL);
    idx cells = 0;
    for (idx aim = PIXELS; aim > 0; aim /= 2) {
        it.cut = cut_pixels(v, aim);
        cells = it.cut.images * it.cut.rows * columns(v, it.cut.cols) * it.cell;
        if (cells <= CELLS) break;
    }
    it.filter_parts = ceil_div(filters(v), most(MR, SUMS / it.width));
    it.tasks.parts = v->groups * it.filter_parts;
    idx most_filters = ceil_div(filters(v), it.filter_parts);
    it.tasks.sums = most_filters * it.width;
    it.tasks.splits = batch_splits(v, it.cut.strips, it.tasks.parts, it.tasks.sums);
    it.x_bytes = line_bytes(cells + NR);
    it.lines_bytes = ((size_t)it.cell * sizeof(T *) + 63) / 64 * 64;
    it.tasks.slot_bytes =
        it.x_bytes + it.lines_bytes + (it.tasks.splits > 1 ? 0 : line_bytes(it.tasks.sums));
    return it;
}

/* -- packing --------------------------------------------------------------------------------- */

/* `count` numbers from `from` on, at most a vector; none is read from `end` on. */
static inline vec load_some(const T *from, idx count, const T *end) {
    if (end - from >= VL) return load(from);
    vec v = {0};
    for (idx i = 0; i < count; ++i) v[i] = from[i];
    return v;
}

/* to[j][cell] = lines[.][j] for j in [0, count), zeros for lines that are NULL. Whole vectors are
 * stored in ascending order: what one store writes too much the next mends. */
static void pack_cells_of(T *to, idx cell, const T *const *lines, idx count, const T *end) {
    for (idx j = 0; j < count; j += VL) {
        idx some = least(VL, count - j);
        for (idx g = 0; g < cell; g += VL) {
            idx first = most(0, least(g, cell - VL));
            vec v[VB / sizeof(T)];
            for (idx i = 0; i < VL; ++i) {
                const T *line = first + i < cell ? lines[first + i] : NULL;
                v[i] = line ? load_some(line + j, some, end) : (vec){0};
            }
            transpose(v);
            for (idx i = 0; i < some; ++i) store(to + (j + i) * cell + first, v[i]);
        }
    }
}

static void pack_x(const plan *it, T *to, const T **lines, idx g, const strip *s) {
    const conv *v = it->v;
    const T *x = v->x, *end = x + v->N * v->C * v->H * v->W;
    idx pitch = columns(v, s->cols), left, right, w0 = s->q * v->sw - v->left;
    steps_inside(w0, 1, v->W, pitch, &left, &right);
    for (idx n = s->n; n < s->n + s->images; ++n)
        for (idx p = s->p; p < s->p + s->rows; ++p, to += pitch * it->cell) {
            const T *plane = x + (n * v->C + g * channels(v)) * v->H * v->W;
            for (idx i = 0; i < it->cell; ++i) {
                idx h = image_row(v, p, i / channels(v)), c = i % channels(v);
                lines[i] = h < 0 ? NULL : plane + (c * v->H + h) * v->W + w0 + left;
            }
            zeros(to, left * it->cell);
            pack_cells_of(to + left * it->cell, it->cell, lines, right - left, end);
            zeros(to + right * it->cell, (pitch - right) * it->cell);
        }
    zeros(to, NR); /* which the last window's vectors hold besides its taps */
}

/* -- sums ------------------------------------------------------------------------------------ */

/* dw of filter f and channel c of its group. */
static inline T *taps_of(const plan *it, idx f, idx c) {
    idx F = filters(it->v), C = channels(it->v), g = f / F;
    idx place = it->turned ? (g * C + c) * F + f % F : f * C + c;
    return (T *)it->v->dw + place * window(it->v);
}

/* dw of the filters [f0, f0 + count) from `splits` sums which are `apart`; the first sums are
 * lost. */
static void write_filters(const plan *it, idx f0, idx count, T *sums, idx splits, idx apart) {
    const conv *v = it->v;
    idx C = channels(v), last = window(v) - 1;
    for (idx f = 0; f < count; ++f, sums += it->width)
        for (idx t = 0; t < it->width; t += VL) {
            vec sum = load(sums + t);
            for (idx i = 1; i < splits; ++i) sum += load(sums + i * apart + t);
            store(sums + t, sum);
        }
    sums -= count * it->width;
    for (idx f = 0; f < count; ++f, sums += it->width)
        for (idx c = 0; c < C; ++c) {
            T *dw = taps_of(it, f0 + f, c);
            for (idx r = 0, t = 0; r < v->R; ++r)
                for (idx s = 0; s < v->S; ++s, ++t)
                    dw[it->turned ? last - t : t] = sums[s * it->cell + r * C + c];
        }
}

/* First filter of part i and how many it has. */
static idx filters_of(const plan *it, idx i, idx *count) {
    idx g = i / it->filter_parts, own = i % it->filter_parts, all = filters(it->v);
    idx first = part(all, it->filter_parts, own);
    *count = part(all, it->filter_parts, own + 1) - first;
    return g * all + first;
}

static void sum_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    idx i = task % it->tasks.parts, split = task / it->tasks.parts;
    idx count, f0 = filters_of(it, i, &count);
    char *memory = it->tasks.slots + (size_t)slot * it->tasks.slot_bytes;
    T *x = (T *)memory;
    const T **lines = (const T **)(memory + it->x_bytes);
    T *sums = it->tasks.splits > 1 ? it->tasks.partial + task * it->tasks.sums
                                   : (T *)(memory + it->x_bytes + it->lines_bytes);
    idx panels = row_panels(count);
    epilogue e = {0};
    for (idx k = part(it->cut.strips, it->tasks.splits, split);
         k < part(it->cut.strips, it->tasks.splits, split + 1) && !fastnn_stopped();
         ++k, e.accumulate = 1) {
        strip s = strip_of(v, &it->cut, k);
        walk w = {.images = s.images, .rows = s.rows, .cols = s.cols, .dy_line = pixels(v)};
        w.stride = v->sw * it->cell;
        w.row_jump = (v->S - v->sw) * it->cell;
        w.dy_row_jump = v->Q - s.cols;
        w.dy_image_jump = v->K * pixels(v) - s.rows * v->Q;
        const T *dy = (const T *)v->dy + (s.n * v->K + f0) * pixels(v) + s.p * v->Q + s.q;
        pack_x(it, x, lines, i / it->filter_parts, &s);
        for (idx p = 0; p < panels; ++p) {
            idx f = part(count, panels, p), m = part(count, panels, p + 1) - f;
            for (idx t = 0; t < it->taps; t += NR)
                window_tiles[m][it->taps - t > VL](&w, dy + f * pixels(v), x + t,
                                                   sums + f * it->width + t, it->width, &e);
        }
    }
    if (it->tasks.splits == 1) write_filters(it, f0, count, sums, 1, 0);
}

static void write_task(void *ctx, idx i, int slot) {
    const plan *it = ctx;
    idx count, f0 = filters_of(it, i, &count);
    write_filters(it, f0, count, it->tasks.partial + i * it->tasks.sums, it->tasks.splits,
                  it->tasks.parts * it->tasks.sums);
    (void)slot;
}

/* dw as the gradient of a convolution of dy's K channels that gives x's C. */
static conv turn(const conv *v) {
    conv t = *v;
    t.x = v->dy, t.C = v->K, t.H = v->P, t.W = v->Q;
    t.dy = v->x, t.K = v->C, t.P = v->H, t.Q = v->W;
    t.top = v->R - 1 - v->top;
    t.left = v->S - 1 - v->left;
    return t;
}

/* By the cycles of a pixel: a product of vectors takes a half, on cores of two such units, and a
 * number that is transposed 0.45 or, of dy, which comes from far, 0.55. Windows that do not begin
 * at a line's begin cost 8 % more. */
static double strips_cost(const conv *v) {
    idx C = channels(v), K = filters(v);
    return (double)(v->N * pixels(v)) * (0.5 * (double)(C * window(v) * ceil_div(K, VL)) +
                                         0.55 * (double)K + 0.45 * (double)(C * v->sh * v->sw));
}

static double windows_cost(const conv *v) {
    idx K = filters(v), cell = v->R * channels(v);
    if (v->dw_step != 1 || cell > MOST_CELL) return HUGE_VAL;
    return (double)(v->N * pixels(v)) *
           (0.54 * (double)(K * ceil_div(cell * v->S, VL)) + 0.45 * (double)(cell * v->sw));
}

/* Whether dy can be seen as the image: each of its pixels meets x, so that none which is infinite
 * is overlooked. */
static int can_turn(const conv *v) {
    return v->sh * v->sw * v->dh * v->dw_step == 1 && v->top < v->R && v->P - v->H <= v->top &&
           v->left < v->S && v->Q - v->W <= v->left;
}

conv_windows FN(conv_windows_suit)(const conv *v) {
    conv t = turn(v);
    double plain = windows_cost(v), turned = can_turn(v) ? windows_cost(&t) : HUGE_VAL;
    if (strips_cost(v) <= (plain < turned ? plain : turned)) return NO_WINDOWS;
    return plain <= turned ? WINDOWS : TURNED_WINDOWS;
}

int FN(conv_window_filter)(const conv *args, conv_windows how) {
    conv turned = turn(args);
    const conv *v = how == TURNED_WINDOWS ? &turned : args;
    plan it = make_plan(v, how == TURNED_WINDOWS);
    double products = (double)v->N * (double)pixels(v) * (double)v->K * (double)it.taps;
    return sum_in_tasks(v, &it.tasks, &it, sum_task, write_task, products);
}
