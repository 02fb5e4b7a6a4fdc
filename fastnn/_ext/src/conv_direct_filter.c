/* Gradient of the filters without columns: sums over pixels of outer products.
 *
 * dw[k, (c, r, s)] = sum over pixels of dy[k, pixel] x[c, pixel + (r, s)]. Of a strip of pixels dy
 * is transposed to panels [pixel][NR filters] and x, with its zeros, to panels
 * [row][column][channels]. There each tap's view of x is but another place to begin, at the
 * distance of a stride per pixel, so that a tile of sums, channels x filters, runs over a strip for
 * one tap after the other and nothing is packed twice. Few channels (images) take the whole row of
 * a window as their channels.
 *
 * A task owns some filters and channels of a group. With few such tasks the batch is split too,
 * into parts that follow from the shape alone, and the partial sums are added in order. */
#include "conv_filters.h"

enum { PIXELS = 256 };       /* of a strip: a panel of dy takes 16 KiB (AVX2) of the first level */
enum { SUMS = 96 * 1024 };   /* of a task: with their strips inside the second level */
enum { FILTERS = 128 };      /* of a task, twice as many for windows of one tap */
enum { CELLS = 256 * 1024 }; /* of the packed x of a strip, at about the most */

/* How far taps, pixels and images are apart in a packed panel of x, and how many there are. */
typedef struct {
    idx images, rows, cols;
    idx stride, row_jump, image_jump; /* to the next pixel; over the end of a row, of an image */
} walk;

typedef void strip_tile(const walk *w, const T *a, const T *b, T *c, idx ldc, const epilogue *e);

/* c (+)= sum over the pixels of w of a[0 .. m) b: `m` channels by one or two vectors of filters. */
#define STRIP(m, name, columns, zero, begin, step, put)                                            \
    static void name##_##m(const walk *w, const T *restrict a, const T *restrict b, T *c, idx ldc, \
                           const epilogue *e) {                                                    \
        ROWS_##m(zero);                                                                            \
        const idx stride = w->stride;                                                              \
        for (idx n = w->images; n > 0; --n, a += w->image_jump)                                    \
            for (idx p = w->rows; p > 0; --p, a += w->row_jump)                                    \
                for (idx q = w->cols; q > 0; --q, a += stride, b += columns) {                     \
                    begin;                                                                         \
                    ROWS_##m(step);                                                                \
                }                                                                                  \
        ROWS_##m(put);                                                                             \
    }
#define BEGIN_WIDE vec b0 = load(b), b1 = load(b + VL)
#define BEGIN_NARROW vec b0 = load(b)
#define STRIPS(m)                                                                                  \
    STRIP(m, strip, NR, ZERO, BEGIN_WIDE, STEP, PUT)                                               \
    STRIP(m, slim, VL, ZERO_NARROW, BEGIN_NARROW, STEP_NARROW, PUT_NARROW)

ALL_ROWS(STRIPS)

#define PAIR(m) {slim_##m, strip_##m},
static strip_tile *const strip_tiles[MR + 1][2] = {{0, 0}, ALL_ROWS(PAIR)};

/* -- the plan -------------------------------------------------------------------------------- */

typedef struct {
    const conv *v;
    cut cut;
    idx row_step, tap_rows; /* in packed rows: from output to output, from tap to tap */
    idx tap_cols;           /* in packed columns, from tap to tap */
    idx height, pitch;      /* packed rows and columns of an image of the largest strip */
    int runs;               /* whether a tile's rows are cells of a row of the window */
    idx filter_parts, channel_parts;
    summing tasks;
    size_t x_bytes, dy_bytes;
} plan;

typedef struct {
    idx g, f0, filters, c0, channels;
} share;

/* Part i of filters and channels; filters in whole panels. */
static share share_of(const plan *it, idx i) {
    const conv *v = it->v;
    idx c = i % it->channel_parts, f = i / it->channel_parts % it->filter_parts;
    idx panels = ceil_div(filters(v), NR);
    share s = {.g = i / it->channel_parts / it->filter_parts,
               .f0 = part(panels, it->filter_parts, f) * NR,
               .c0 = part(channels(v), it->channel_parts, c)};
    s.filters = least(part(panels, it->filter_parts, f + 1) * NR, filters(v)) - s.f0;
    s.channels = part(channels(v), it->channel_parts, c + 1) - s.c0;
    return s;
}

/* Packed cells along an axis: of `outputs` outputs and all taps. Taps that are further apart than
 * the outputs reach leave out what is between them. */
static inline idx reach(idx outputs, idx step) { return (outputs - 1) * step + 1; }

static void cut_strips(plan *it, idx aim) {
    const conv *v = it->v;
    it->cut = cut_pixels(v, aim);
    it->row_step = v->R == 1 ? 1 : v->sh;
    it->tap_rows = least(v->dh, reach(it->cut.rows, it->row_step));
    it->tap_cols = least(v->dw_step, reach(it->cut.cols, v->sw));
    it->height = reach(it->cut.rows, it->row_step) + (v->R - 1) * it->tap_rows;
    it->pitch = reach(it->cut.cols, v->sw) + (v->S - 1) * it->tap_cols;
}

static plan make_plan(const conv *v) {
    plan it = {.v = v};
    for (idx aim = PIXELS; aim > 0; aim /= 2) {
        cut_strips(&it, aim);
        if (it.cut.images * it.height * it.pitch * MR <= CELLS) break;
    }
    idx panels = ceil_div(filters(v), NR), most_filters = window(v) > 1 ? FILTERS : 2 * FILTERS;
    most_filters = least(most_filters, SUMS / (least(channels(v), MR) * window(v)));
    it.filter_parts = ceil_div(panels, most(1, most_filters / NR));
    idx width = ceil_div(panels, it.filter_parts) * NR;
    idx limit =
        most(1, least(SUMS / (width * window(v)), CELLS / (it.cut.images * it.height * it.pitch)));
    it.runs = v->S > 1 && v->dw_step == 1 && channels(v) < MR;
    it.channel_parts = it.runs ? 1 : ceil_div(channels(v), round_up(limit, MR));
    it.tasks.parts = v->groups * it.filter_parts * it.channel_parts;
    idx most_channels = ceil_div(channels(v), it.channel_parts);
    it.tasks.sums = packed_columns(least(width, filters(v)), most_channels * window(v));
    it.tasks.splits = batch_splits(v, it.cut.strips, it.tasks.parts, it.tasks.sums);
    it.x_bytes = line_bytes(it.cut.images * it.height * it.pitch * most_channels + VL);
    it.dy_bytes = line_bytes(packed_columns(width, it.cut.images * it.cut.rows * it.cut.cols) + VL);
    it.tasks.slot_bytes =
        it.x_bytes + it.dy_bytes + (it.tasks.splits > 1 ? 0 : line_bytes(it.tasks.sums));
    return it;
}

/* -- packing --------------------------------------------------------------------------------- */

/* Channels of one image as a strip sees them. */
static void pack_image(const plan *it, T *to, const images *x, const strip *s) {
    const conv *v = it->v;
    idx high = reach(s->rows, it->row_step), wide = reach(s->cols, v->sw), m = x->width;
    idx h_step = v->R == 1 ? v->sh : 1;
    idx h0 = s->p * v->sh - v->top, w0 = s->q * v->sw - v->left;
    idx bands = it->tap_rows == v->dh ? 1 : v->R, columns = it->tap_cols == v->dw_step ? 1 : v->S;
    if (bands == 1) high += (v->R - 1) * it->tap_rows;
    if (columns == 1) {
        wide += (v->S - 1) * it->tap_cols;
        for (idx r = 0; r < bands; ++r)
            pack_block(x, to + r * it->tap_rows * it->pitch * m, it->pitch, high, wide,
                       h0 + r * v->dh, h_step, w0);
        return;
    }
    for (idx r = 0; r < bands; ++r) /* row after row, for what one writes too much the next mends */
        for (idx i = 0; i < high; ++i)
            for (idx t = 0; t < v->S; ++t)
                pack_block(x, to + ((r * it->tap_rows + i) * it->pitch + t * it->tap_cols) * m,
                           it->pitch, 1, wide, h0 + r * v->dh + i * h_step, 1, w0 + t * v->dw_step);
}

static void pack_x(const plan *it, T *to, const share *own, const strip *s) {
    const conv *v = it->v;
    idx cells = it->height * it->pitch, panels = row_panels(own->channels);
    for (idx p = 0; p < panels; ++p) {
        idx c = part(own->channels, panels, p), m = part(own->channels, panels, p + 1) - c;
        images x = {NULL, m, v->H, v->W, m, v->H * v->W};
        for (idx n = 0; n < s->images; ++n) {
            idx plane = (s->n + n) * v->C + own->g * channels(v) + own->c0 + c;
            x.first = (const T *)v->x + plane * v->H * v->W;
            pack_image(it, to + (s->images * c + n * m) * cells, &x, s);
        }
    }
}

static void pack_dy(const plan *it, T *to, const share *own, const strip *s) {
    const conv *v = it->v;
    idx count = s->rows * s->cols;
    for (idx j = 0; j < own->filters; j += NR) {
        idx width = panel_width(own->filters, j), lines = least(NR, own->filters - j);
        for (idx n = 0; n < s->images; ++n) {
            const T *dy = (const T *)v->dy +
                          ((s->n + n) * v->K + own->g * filters(v) + own->f0 + j) * pixels(v) +
                          s->p * v->Q + s->q;
            pack_lines(to + j * s->images * count + n * count * width, width, dy, lines, pixels(v),
                       count);
        }
    }
}

/* -- sums ------------------------------------------------------------------------------------ */

/* A panel's channels, or a window's row of them, against all taps. */
static void sum_panel(const plan *it, const walk *w, const T *x, idx c, idx m, const T *dy,
                      idx width, T *sums, epilogue e) {
    const conv *v = it->v;
    idx run = v->S * m, pieces = it->runs ? row_panels(run) : v->S;
    for (idx r = 0; r < v->R; ++r)
        for (idx i = 0; i < pieces; ++i) {
            const T *a = x + r * it->tap_rows * it->pitch * m;
            if (it->runs) {
                idx first = part(run, pieces, i), height = part(run, pieces, i + 1) - first;
                strip_tiles[height][width == NR](w, a + first, dy, sums + (r * run + first) * width,
                                                 width, &e);
            } else {
                strip_tiles[m][width == NR](w, a + i * it->tap_cols * m, dy,
                                            sums + (c * window(v) + r * v->S + i) * width,
                                            window(v) * width, &e);
            }
        }
}

/* Where tap t = (c, r, s) of a share is among its sums. */
static inline idx place(const plan *it, idx t) {
    if (!it->runs) return t;
    idx c = t / window(it->v), tap = t % window(it->v);
    return tap * channels(it->v) + c;
}

/* dw of part i, from `splits` sums which are `apart`. */
static void write_filters(const plan *it, idx i, const T *sums, idx splits, idx apart) {
    const conv *v = it->v;
    share own = share_of(it, i);
    idx taps = own.channels * window(v), whole = channels(v) * window(v);
    T *dw = (T *)v->dw + (own.g * filters(v) + own.f0) * whole + own.c0 * window(v);
    for (idx j = 0; j < own.filters; j += VL) {
        idx panel = j / NR * NR, width = panel_width(own.filters, panel);
        const T *from = sums + panel * taps + (j - panel);
        for (idx t = 0; t < taps; t += VL) {
            idx count = least(VL, taps - t);
            vec lines[VB / sizeof(T)];
            for (idx k = 0; k < VL; ++k) {
                const T *at = from + place(it, t + least(k, count - 1)) * width;
                lines[k] = load(at);
                for (idx s = 1; s < splits; ++s) lines[k] += load(at + s * apart);
            }
            transpose(lines);
            for (idx k = 0; k < least(VL, own.filters - j); ++k) {
                T *to = dw + (j + k) * whole + t;
                if (count == VL)
                    store(to, lines[k]);
                else
                    for (idx q = 0; q < count; ++q) to[q] = lines[k][q];
            }
        }
    }
}

static void sum_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    idx i = task % it->tasks.parts, split = task / it->tasks.parts;
    share own = share_of(it, i);
    char *memory = it->tasks.slots + (size_t)slot * it->tasks.slot_bytes;
    T *x = (T *)memory, *dy = (T *)(memory + it->x_bytes);
    T *sums = it->tasks.splits > 1 ? it->tasks.partial + task * it->tasks.sums
                                   : (T *)(memory + it->x_bytes + it->dy_bytes);
    idx cells = it->height * it->pitch, panels = row_panels(own.channels);
    epilogue e = {0};
    for (idx k = part(it->cut.strips, it->tasks.splits, split);
         k < part(it->cut.strips, it->tasks.splits, split + 1); ++k, e.accumulate = 1) {
        strip s = strip_of(v, &it->cut, k);
        idx count = s.images * s.rows * s.cols;
        pack_x(it, x, &own, &s);
        pack_dy(it, dy, &own, &s);
        for (idx j = 0; j < own.filters; j += NR)
            for (idx p = 0; p < panels; ++p) {
                idx c = part(own.channels, panels, p), m = part(own.channels, panels, p + 1) - c;
                walk w = {s.images, s.rows, s.cols, v->sw * m, 0, 0};
                w.row_jump = (it->row_step * it->pitch - s.cols * v->sw) * m;
                w.image_jump = (cells - s.rows * it->row_step * it->pitch) * m;
                sum_panel(it, &w, x + s.images * c * cells, c, m, dy + j * count,
                          panel_width(own.filters, j), sums + j * own.channels * window(v), e);
            }
    }
    if (it->tasks.splits == 1) write_filters(it, i, sums, 1, 0);
}

static void write_task(void *ctx, idx i, int slot) {
    const plan *it = ctx;
    write_filters(it, i, it->tasks.partial + i * it->tasks.sums, it->tasks.splits,
                  it->tasks.parts * it->tasks.sums);
    (void)slot;
}

/* Sums seen from dy multiply numbers of x by the zeros around dy, which an infinite one must not
 * meet: then dw is summed again, as it is defined. */
static int all_finite(const T *dw, idx count) {
    T zero = 0;
    for (idx i = 0; i < count; ++i) zero += dw[i] * 0;
    return zero == 0;
}

int FN(conv_direct_backward_filter)(const conv *v) {
    conv_windows how = FN(conv_windows_suit)(v);
    if (how != NO_WINDOWS) {
        int status = FN(conv_window_filter)(v, how);
        if (status != FASTNN_OK || how == WINDOWS) return status;
        if (all_finite(v->dw, v->K * channels(v) * window(v))) return status;
    }
    plan it = make_plan(v);
    double products =
        (double)v->N * (double)pixels(v) * (double)v->K * (double)(channels(v) * window(v));
    return sum_in_tasks(v, &it.tasks, &it, sum_task, write_task, products);
}
