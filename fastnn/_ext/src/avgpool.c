/* Averages of windows.
 *
 * Windows of one size are added up along columns and then along rows, in T, over planes laid out in
 * phases (phases.h), where the cell of a window is at a fixed distance from its first one. Adaptive
 * and very large ones are added up one by one, by rows, with totals in float64. Which way a window
 * goes depends on shapes alone. */
#include "phases.h"
#include "pool.h"
#include "shortrows.h"

enum { COLUMNS = 128, CELLS = 4096, TASK = 16384 };
enum { LONG = 64 }; /* taps that are added up in T along an axis */

typedef fastnn_window_args windows;

/* Windows [*from, *to) along an axis whose cells are all inside; none of adaptive ones. */
static void interior(const fastnn_axis *a, idx *from, idx *to) {
    *from = *to = 0;
    if (a->taps == 0 || a->taps > a->size + a->before) return;
    *from = least(ceil_div(a->before, a->stride), a->steps);
    *to = most(*from, least((a->size + a->before - a->taps) / a->stride + 1, a->steps));
}

static inline T divisor(const windows *v, span h, span w) {
    return v->divisor > 0 ? (T)v->divisor : (T)h.count * (T)w.count;
}

/* -- forward, one by one --------------------------------------------------------------------- */

static inline T average(const windows *v, const T *plane, span h, span w) {
    double sum = 0;
    idx width = v->cols.size;
    if (w.last - w.first == width)
        sum = row_sum(plane + h.first * width, (h.last - h.first) * width);
    else
        for (idx i = h.first; i < h.last; ++i)
            sum += row_sum(plane + i * width + w.first, w.last - w.first);
    return (T)(sum / (double)divisor(v, h, w));
}

static inline idx planes_per_task(const windows *v) {
    return most(1, TASK / (v->rows.size * v->cols.size));
}

/* Whether the only window of each plane holds all of it. */
static int holds_all(const windows *v) {
    span h = window(&v->rows, 0, 0), w = window(&v->cols, 0, 0);
    return v->rows.steps == 1 && v->cols.steps == 1 && h.last - h.first == v->rows.size &&
           w.last - w.first == v->cols.size;
}

static inline T divisor_of_all(const windows *v) {
    return divisor(v, window(&v->rows, 0, v->padding_counts),
                   window(&v->cols, 0, v->padding_counts));
}

static void whole_task(void *ctx, idx task, int slot) {
    const windows *v = ctx;
    idx step = planes_per_task(v), area = v->rows.size * v->cols.size, some;
    idx stop = least((task + 1) * step, v->planes);
    double cells = (double)divisor_of_all(v);
    for (idx plane = task * step; plane < stop; plane += some) {
        const T *x = (const T *)v->x + plane * area;
        T *y = (T *)v->y + plane, sum[LANES];
        some = is_short(area) ? least(LANES, stop - plane) : 1;
        if (!is_short(area)) {
            y[0] = (T)(row_sum(x, area) / cells);
            continue;
        }
        vec s[LANES];
        for (idx j = 0; j < LANES; ++j) s[j] = lane_sums(x + least(j, some - 1) * area, area);
        store(sum, totals(s));
        for (idx j = 0; j < some; ++j) y[j] = (T)((double)sum[j] / cells);
    }
    (void)slot;
}

/* What works with one row of sums per thread. */
typedef struct {
    const windows *v;
    T *lines;
} lined;

static inline T *line_of(const lined *f, int slot) {
    return f->lines + (idx)slot * round_up(f->v->cols.size, 64);
}

static int with_lines(const windows *v, fastnn_task task, double work) {
    idx size = round_up(v->cols.size, 64) * (idx)sizeof(T);
    lined f = {v, fastnn_scratch((size_t)v->threads * (size_t)size)};
    if (!f.lines) return FASTNN_NOMEM;
    int status =
        fastnn_parallel_for(ceil_div(v->planes, planes_per_task(v)), task, &f, v->threads, work);
    fastnn_scratch_release(f.lines);
    return status;
}

/* A row of windows: their columns are added up first. */
static void average_row(const windows *v, const T *plane, span h, T *restrict line, T *y) {
    idx width = v->cols.size;
    const T *restrict row = plane + h.first * width;
    memset(line, 0, (size_t)width * sizeof(T));
    for (idx i = h.first; i < h.last; ++i, row += width)
        for (idx j = 0; j < width; ++j) line[j] += row[j];
    for (idx q = 0; q < v->cols.steps; ++q) {
        span w = window(&v->cols, q, v->padding_counts);
        T sum = 0;
        for (idx j = w.first; j < w.last; ++j) sum += line[j];
        y[q] = sum / divisor(v, h, w);
    }
}

static void single_task(void *ctx, idx task, int slot) {
    const lined *f = ctx;
    const windows *v = f->v;
    const fastnn_axis *rows = &v->rows, *cols = &v->cols;
    idx some = planes_per_task(v), area = rows->size * cols->size;
    for (idx plane = task * some; plane < least((task + 1) * some, v->planes); ++plane) {
        const T *x = (const T *)v->x + plane * area;
        T *y = (T *)v->y + plane * rows->steps * cols->steps;
        for (idx p = 0; p < rows->steps; ++p) {
            span h = window(rows, p, v->padding_counts);
            if (cols->steps > 1 && h.last - h.first <= LONG && cols->size / cols->steps <= LONG)
                average_row(v, x, h, line_of(f, slot), y);
            else
                for (idx q = 0; q < cols->steps; ++q)
                    y[q] = average(v, x, h, window(cols, q, v->padding_counts));
            y += cols->steps;
        }
    }
}

/* -- forward, many at once ------------------------------------------------------------------- */

typedef struct {
    const windows *v;
    idx phases_h, phases_w, up, across; /* see pool.c */
    idx rows, pitch, bands;
    char *slots;
    size_t slot_bytes;
} plan;

static inline idx phase_size(const plan *it) { return (it->rows + it->up) * it->pitch; }
static inline idx sums_size(const plan *it) {
    return round_up(it->rows * it->pitch + it->across, VL);
}

static plan make_plan(const windows *v) {
    const fastnn_axis *h = &v->rows, *w = &v->cols;
    plan it = {.v = v,
               .phases_h = least(h->stride, h->taps),
               .phases_w = least(w->stride, w->taps),
               .up = (h->taps - 1) / h->stride,
               .across = (w->taps - 1) / w->stride};
    it.pitch = w->steps + it.across;
    idx most_rows = most(1, CELLS / it.phases_h / it.phases_w / it.pitch - it.up);
    it.bands = ceil_div(h->steps, most_rows);
    it.rows = ceil_div(h->steps, it.bands);
    it.slot_bytes = line_bytes(it.phases_h * it.phases_w * phase_size(&it) + it.pitch + 2 * VL) +
                    line_bytes(it.phases_w * sums_size(&it) + it.pitch + 2 * VL) +
                    line_bytes(it.rows * it.pitch + 2 * VL);
    return it;
}

/* to[i] = from[i] of tap 0 + of tap 1 ...; tap t is in phase t % phases, t / phases steps on. */
static void add_taps(T *to, const T *from, idx size, idx taps, idx phases, idx phase, idx step) {
    for (idx i = 0; i < size; i += VL) {
        vec sum = {0};
        const T *at = from + i;
        for (idx t = 0; t < taps; t += phases, at += step)
            for (idx f = 0; f < least(phases, taps - t); ++f) sum += load(at + f * phase);
        store(to + i, sum);
    }
}

static void band(const plan *it, const T *x, const T *end, idx p, idx rows, T *many, T *columns,
                 T *sums) {
    const fastnn_axis *h = &it->v->rows, *w = &it->v->cols;
    idx size = phase_size(it), part_size = sums_size(it);
    for (idx a = 0; a < it->phases_h; ++a)
        for (idx b = 0; b < it->phases_w; ++b)
            pack(many + (a * it->phases_w + b) * size, rows + it->up, it->pitch, x, w->size,
                 h->size, w->size, p * h->stride - h->before + a, h->stride, b - w->before,
                 w->stride, 0, end);
    idx flat = rows * it->pitch;
    for (idx b = 0; b < it->phases_w; ++b)
        add_taps(columns + b * part_size, many + b * size, flat + it->across, h->taps, it->phases_h,
                 it->phases_w * size, it->pitch);
    add_taps(sums, columns, flat, w->taps, it->phases_w, part_size, 1);
}

static void forward_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const windows *v = it->v;
    const fastnn_axis *rows = &v->rows, *cols = &v->cols;
    T *many = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    T *columns = (T *)((char *)many + line_bytes(it->phases_h * it->phases_w * phase_size(it) +
                                                 it->pitch + 2 * VL));
    T *sums =
        (T *)((char *)columns + line_bytes(it->phases_w * sums_size(it) + it->pitch + 2 * VL));
    idx some = planes_per_task(v), area = rows->size * cols->size;
    const T *end = (const T *)v->x + v->planes * area;
    int alike = v->divisor > 0;
    for (idx plane = task * some; plane < least((task + 1) * some, v->planes); ++plane)
        for (idx k = 0; k < it->bands; ++k) {
            idx p0 = part(rows->steps, it->bands, k), p1 = part(rows->steps, it->bands, k + 1);
            T *y = (T *)v->y + (plane * rows->steps + p0) * cols->steps;
            band(it, (const T *)v->x + plane * area, end, p0, p1 - p0, many, columns, sums);
            for (idx p = p0; p < p1; ++p, y += cols->steps) {
                const T *sum = sums + (p - p0) * it->pitch;
                span h = window(rows, p, v->padding_counts);
                idx from, to;
                interior(cols, &from, &to);
                if (alike) from = 0, to = cols->steps;
                T inner = divisor(v, h, (span){0, cols->taps, cols->taps});
                for (idx q = from; q < to; ++q) y[q] = sum[q] / inner;
                for (idx q = 0; q < from; ++q)
                    y[q] = sum[q] / divisor(v, h, window(cols, q, v->padding_counts));
                for (idx q = to; q < cols->steps; ++q)
                    y[q] = sum[q] / divisor(v, h, window(cols, q, v->padding_counts));
            }
        }
}

/* Windows of two columns side by side and all inside are read as they are. */
static int in_pairs(const windows *v) {
    const fastnn_axis *h = &v->rows, *w = &v->cols;
    idx from, to, from_w, to_w;
    interior(h, &from, &to);
    interior(w, &from_w, &to_w);
    return w->taps == 2 && w->stride == 2 && w->before == 0 && to_w == w->steps && w->steps >= VL &&
           from == 0 && to == h->steps;
}

static void pairs_task(void *ctx, idx task, int slot) {
    const windows *v = ctx;
    idx some = planes_per_task(v), P = v->rows.steps, Q = v->cols.steps, W = v->cols.size;
    vec cells = splat(divisor(v, (span){0, 0, v->rows.taps}, (span){0, 0, 2}));
    for (idx plane = task * some; plane < least((task + 1) * some, v->planes); ++plane)
        for (idx p = 0; p < P; ++p) {
            const T *x = (const T *)v->x + (plane * v->rows.size + p * v->rows.stride) * W;
            T *y = (T *)v->y + (plane * P + p) * Q;
            for (idx q = 0; q < Q; q += VL) {
                idx at = least(q, Q - VL); /* the last vector goes back a bit */
                vec sum = {0};
                for (idx r = 0; r < v->rows.taps; ++r)
                    sum += evens(x + r * W + 2 * at) + odds(x + r * W + 2 * at);
                store(y + at, sum / cells);
            }
        }
    (void)slot;
}

int FN(avg_pool_forward)(const windows *v) {
    const fastnn_axis *h = &v->rows, *w = &v->cols;
    idx tasks = ceil_div(v->planes, planes_per_task(v));
    double cells = (double)v->planes * (double)(h->size * w->size);
    double work =
        cells + (double)v->planes * (double)(h->steps * w->steps) * (double)(h->taps + w->taps);
    if (holds_all(v))
        return fastnn_parallel_for(tasks, whole_task, (void *)v, v->threads, cells / 8);
    if (h->taps > 0 && h->taps <= LONG && in_pairs(v))
        return fastnn_parallel_for(tasks, pairs_task, (void *)v, v->threads, cells / 4);
    if (h->taps == 0 || w->taps == 0 || h->taps > LONG || w->taps > LONG ||
        (h->steps == 1 && w->steps == 1) || (w->stride > 2 && w->taps <= 2 * w->stride))
        return with_lines(v, single_task, cells / 2);
    plan it = make_plan(v);
    it.slots = fastnn_scratch((size_t)v->threads * it.slot_bytes);
    if (!it.slots) return FASTNN_NOMEM;
    int status = fastnn_parallel_for(tasks, forward_task, &it, v->threads, work / 16);
    fastnn_scratch_release(it.slots);
    return status;
}

/* -- backward -------------------------------------------------------------------------------- */

/* Add g[i] to each cell of window q0 + i of a row; `wide` are these windows. */
static void spread(const fastnn_axis *a, T *restrict row, const T *restrict g, const span *wide,
                   idx q0, idx size) {
    idx from, to, step = a->stride;
    interior(a, &from, &to);
    from = least(most(from, q0), q0 + size) - q0;
    to = most(least(to, q0 + size) - q0, from);
    for (idx i = 0; i < size; i = i + 1 == from ? to : i + 1)
        if (i < from || i >= to)
            for (idx w = wide[i].first; w < wide[i].last; ++w) row[w] += g[i];
    for (idx s = 0; s < a->taps && from < to; ++s) {
        T *restrict cell = row + (q0 + from) * step - a->before + s;
        if (step == 1)
            for (idx i = 0; i < to - from; ++i) cell[i] += g[from + i];
        else
            for (idx i = 0; i < to - from; ++i) cell[i * step] += g[from + i];
    }
}

static inline void add(T *restrict to, const T *restrict from, idx first, idx last) {
    for (idx j = first; j < last; ++j) to[j] += from[j];
}

static void backward_plane(const windows *v, idx plane, T *line) {
    const fastnn_axis *rows = &v->rows, *cols = &v->cols;
    const T *dy = (const T *)v->dy + plane * rows->steps * cols->steps;
    T *dx = (T *)v->dx + plane * rows->size * cols->size, g[COLUMNS];
    span wide[COLUMNS];
    memset(dx, 0, (size_t)(rows->size * cols->size) * sizeof(T));
    for (idx q0 = 0; q0 < cols->steps; q0 += COLUMNS) {
        idx size = least(COLUMNS, cols->steps - q0);
        for (idx i = 0; i < size; ++i) wide[i] = window(cols, q0 + i, v->padding_counts);
        for (idx p = 0; p < rows->steps && !fastnn_stopped(); ++p) {
            span h = window(rows, p, v->padding_counts);
            for (idx i = 0; i < size; ++i)
                g[i] = dy[p * cols->steps + q0 + i] / divisor(v, h, wide[i]);
            idx from = wide[0].first, to = most(from, wide[size - 1].last);
            memset(line + from, 0, (size_t)(to - from) * sizeof(T));
            spread(cols, line, g, wide, q0, size);
            for (idx i = h.first; i < h.last; ++i) add(dx + i * cols->size, line, from, to);
        }
    }
}

static void fill_plane(const windows *v, idx plane) {
    idx area = v->rows.size * v->cols.size;
    T *dx = (T *)v->dx + plane * area, g = ((const T *)v->dy)[plane] / divisor_of_all(v);
    for (idx i = 0; i < area; ++i) dx[i] = g;
}

/* Windows of two columns apart from each other, see in_pairs. */
static void backward_pairs(const windows *v, idx plane) {
    idx P = v->rows.steps, Q = v->cols.steps, H = v->rows.size, W = v->cols.size;
    idx step = v->rows.stride, taps = v->rows.taps;
    const T *dy = (const T *)v->dy + plane * P * Q;
    T *dx = (T *)v->dx + plane * H * W;
    vec cells = splat(divisor(v, (span){0, 0, taps}, (span){0, 0, 2}));
    for (idx p = 0; p < P; ++p, dy += Q) {
        T *rows = dx + p * step * W;
        for (idx q = 0; q < Q; q += VL) {
            idx at = least(q, Q - VL);
            vec g = load(dy + at) / cells;
            for (idx a = 0; a < taps; ++a) interleave(rows + a * W + 2 * at, g, g);
        }
        for (idx a = 0; a < taps; ++a)
            for (idx w = 2 * Q; w < W; ++w) rows[a * W + w] = 0;
        idx end = p + 1 < P ? (p + 1) * step : H, gap = end - p * step - taps;
        if (gap > 0) memset(rows + taps * W, 0, (size_t)(gap * W) * sizeof(T));
    }
}

static void backward_task(void *ctx, idx task, int slot) {
    const lined *f = ctx;
    const windows *v = f->v;
    int whole = holds_all(v),
        pairs = v->rows.taps > 0 && v->rows.stride >= v->rows.taps && in_pairs(v);
    idx some = planes_per_task(v);
    for (idx plane = task * some; plane < least((task + 1) * some, v->planes); ++plane)
        if (whole)
            fill_plane(v, plane);
        else if (pairs)
            backward_pairs(v, plane);
        else
            backward_plane(v, plane, line_of(f, slot));
}

int FN(avg_pool_backward)(const windows *v) {
    double cells = (double)v->planes * (double)(v->rows.size * v->cols.size);
    return with_lines(v, backward_task, cells);
}
