/* Averages of windows: a task is one plane, the vector runs along output columns.
 *
 * Small windows that are wholly inside the image are added up in T, a vector of them at a time; all
 * others one by one, by rows, in float64. Which way a window goes depends on shapes alone. */
#include "pool.h"
#include "sums.h"

enum { COLUMNS = 128, SMALL = 64 };

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

static inline T average(const windows *v, const T *plane, span h, span w) {
    double sum = 0;
    idx width = v->cols.size;
    if (w.last - w.first == width)
        sum = row_sum(plane + h.first * width, (h.last - h.first) * width);
    else
        for (idx i = h.first; i < h.last; ++i)
            sum += row_sum(plane + i * v->cols.size + w.first, w.last - w.first);
    return (T)(sum / (double)divisor(v, h, w));
}

/* The same of VL windows next to each other, the first of which starts at column `start`; `room`
 * numbers of x may be read from its first cell in the last row on. */
static inline vec averages(const windows *v, const T *plane, span h, idx start, idx room) {
    idx taps = v->cols.taps, step = v->cols.stride;
    int reach = room >= taps - 1 + strided_reach(VL, step);
    vec sum = {0};
    for (idx i = h.first; i < h.last; ++i) {
        const T *row = plane + i * v->cols.size + start;
        if (step == 1)
            for (idx s = 0; s < taps; ++s) sum += strided(row + s, 1);
        else if (step == 2 && reach)
            for (idx s = 0; s < taps; ++s) sum += strided(row + s, 2);
        else
            for (idx s = 0; s < taps; ++s) sum += lanes(row + s, step);
    }
    return sum / splat(divisor(v, h, (span){0, taps, taps}));
}

static void forward_task(void *ctx, idx plane, int slot) {
    const windows *v = ctx;
    const fastnn_axis *rows = &v->rows, *cols = &v->cols;
    idx area = rows->size * cols->size;
    const T *x = (const T *)v->x + plane * area;
    T *y = (T *)v->y + plane * rows->steps * cols->steps;
    idx from, to;
    interior(cols, &from, &to);
    for (idx p = 0; p < rows->steps; ++p, y += cols->steps) {
        span h = window(rows, p, v->padding_counts);
        int vectors = to - from >= VL && (h.last - h.first) * cols->taps <= SMALL;
        for (idx q = 0; q < cols->steps;) {
            idx at = least(q, to - VL), start = at * cols->stride - cols->before;
            idx room = v->planes * area - plane * area - (h.last - 1) * cols->size - start;
            if (vectors && q >= from && q < to) {
                store(y + at, averages(v, x, h, start, room)); /* the last may go back a bit */
                q = at + VL;
            } else {
                y[q] = average(v, x, h, window(cols, q, v->padding_counts));
                ++q;
            }
        }
    }
    (void)slot;
}

int FN(avg_pool_forward)(const windows *v) {
    double cells = (double)v->planes * (double)(v->rows.steps * v->cols.steps) *
                   (double)(1 + v->rows.size / v->rows.steps + v->rows.taps) *
                   (double)(1 + v->cols.size / v->cols.steps + v->cols.taps);
    return fastnn_parallel_for(v->planes, forward_task, (void *)v, v->threads, cells / 8);
}

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

static void backward_task(void *ctx, idx plane, int slot) {
    const windows *v = ctx;
    const fastnn_axis *rows = &v->rows, *cols = &v->cols;
    const T *dy = (const T *)v->dy + plane * rows->steps * cols->steps;
    T *dx = (T *)v->dx + plane * rows->size * cols->size, g[COLUMNS];
    span wide[COLUMNS];
    memset(dx, 0, (size_t)(rows->size * cols->size) * sizeof(T));
    for (idx q0 = 0; q0 < cols->steps; q0 += COLUMNS) {
        idx size = least(COLUMNS, cols->steps - q0);
        for (idx i = 0; i < size; ++i) wide[i] = window(cols, q0 + i, v->padding_counts);
        for (idx p = 0; p < rows->steps; ++p) {
            span h = window(rows, p, v->padding_counts);
            for (idx i = 0; i < size; ++i)
                g[i] = dy[p * cols->steps + q0 + i] / divisor(v, h, wide[i]);
            for (idx i = h.first; i < h.last; ++i)
                spread(cols, dx + i * cols->size, g, wide, q0, size);
        }
    }
    (void)slot;
}

int FN(avg_pool_backward)(const windows *v) {
    double cells = (double)v->planes * (double)(v->rows.size * v->cols.size);
    return fastnn_parallel_for(v->planes, backward_task, (void *)v, v->threads, cells);
}
