/* Maxima of windows with the winner's place in its plane, and what follows places: scatter, gather.
 *
 * The winner is the first maximum in row-major order, or the first NaN. A task is one plane. */
#include "pool.h"

typedef fastnn_window_args windows;
typedef fastnn_places_args places;

/* NaN beats what is none. */
static inline int beats(T value, T now) { return !(value <= now) & (now == now); }

/* The largest of row[0 .. size), or NaN if there is one. */
static inline T row_best(const T *row, idx size) {
    T best = row[0];
    idx i = 0;
    if (size >= VL) {
        vec now = load(row);
        for (i = VL; i + VL <= size; i += VL) {
            vec value = load(row + i);
            now = select(~(value <= now) & (now == now), value, now);
        }
        best = now[0];
        for (idx j = 1; j < VL; ++j) best = beats(now[j], best) ? now[j] : best;
    }
    for (; i < size; ++i) best = beats(row[i], best) ? row[i] : best;
    return best;
}

static inline idx first_of(const T *row, T value) {
    idx i = 0;
    if (value == value)
        while (row[i] != value) ++i;
    else
        while (row[i] == row[i]) ++i;
    return i;
}

enum { TASK = 16384 }; /* numbers of a task that takes several planes */

enum { WIDTH = 1024 }; /* columns of a plane whose maxima are kept */

/* A row of windows: the largest of each column, of these the largest, and then where it is. */
static void max_row(const windows *v, const T *x, span h, T *y, int64_t *index) {
    idx width = v->cols.size;
    T line[WIDTH];
    memcpy(line, x + h.first * width, (size_t)width * sizeof(T));
    for (idx i = h.first + 1; i < h.last; ++i) {
        const T *row = x + i * width;
        idx j = 0;
        for (; j + VL <= width; j += VL) {
            vec value = load(row + j), now = load(line + j);
            store(line + j, select(~(value <= now) & (now == now), value, now));
        }
        for (; j < width; ++j) line[j] = beats(row[j], line[j]) ? row[j] : line[j];
    }
    for (idx q = 0; q < v->cols.steps; ++q) {
        span w = window(&v->cols, q, 0);
        T best = line[w.first];
        for (idx j = w.first + 1; j < w.last; ++j) best = beats(line[j], best) ? line[j] : best;
        y[q] = best;
        if (!index) continue;
        const T *row = x + h.first * width;
        idx j = w.first;
        while (best == best ? row[j] != best : row[j] == row[j])
            if (++j == w.last) row += width, j = w.first;
        index[q] = row - x + j;
    }
}

static void max_plane(const windows *v, idx plane) {
    const fastnn_axis *rows = &v->rows, *cols = &v->cols;
    const T *x = (const T *)v->x + plane * rows->size * cols->size;
    idx at = plane * rows->steps * cols->steps;
    for (idx p = 0; p < rows->steps; ++p) {
        span h = window(rows, p, 0);
        if (cols->steps > 1 && cols->size <= WIDTH) {
            max_row(v, x, h, (T *)v->y + at, v->index ? v->index + at : NULL);
            at += cols->steps;
            continue;
        }
        for (idx q = 0; q < cols->steps; ++q, ++at) {
            span w = window(cols, q, 0);
            if (w.first == 0 && w.last == cols->size) { /* all of its rows in one */
                const T *cells = x + h.first * cols->size;
                T best = row_best(cells, (h.last - h.first) * cols->size);
                ((T *)v->y)[at] = best;
                if (v->index) v->index[at] = h.first * cols->size + first_of(cells, best);
                continue;
            }
            idx winner = h.first;
            T best = row_best(x + winner * cols->size + w.first, w.last - w.first);
            for (idx i = h.first + 1; i < h.last; ++i) {
                T value = row_best(x + i * cols->size + w.first, w.last - w.first);
                if (beats(value, best)) best = value, winner = i;
            }
            ((T *)v->y)[at] = best;
            winner = winner * cols->size + w.first;
            if (v->index) v->index[at] = winner + first_of(x + winner, best);
        }
    }
}

static void max_task(void *ctx, idx task, int slot) {
    const windows *v = ctx;
    idx some = most(1, TASK / (v->rows.size * v->cols.size));
    for (idx plane = task * some; plane < least((task + 1) * some, v->planes); ++plane)
        max_plane(v, plane);
    (void)slot;
}

int FN(window_max)(const windows *v) {
    double cells = (double)v->planes * (double)(v->rows.size * v->cols.size);
    return fastnn_parallel_for(ceil_div(v->planes, most(1, TASK / (v->rows.size * v->cols.size))),
                               max_task, (void *)v, v->threads, cells / 2);
}

static inline idx planes_per_task(const places *v) { return most(1, TASK / (v->few + v->many)); }

static void scatter_plane(const places *v, idx plane) {
    const T *from = (const T *)v->from + plane * v->few;
    const int64_t *place = v->place + plane * v->few;
    T *to = (T *)v->to + plane * v->many;
    memset(to, 0, (size_t)v->many * sizeof(T));
    if (v->add)
        for (idx i = 0; i < v->few; ++i) to[place[i]] += from[i];
    else
        for (idx i = 0; i < v->few; ++i) to[place[i]] = from[i];
}

static void scatter_task(void *ctx, idx task, int slot) {
    const places *v = ctx;
    idx some = planes_per_task(v);
    for (idx plane = task * some; plane < least((task + 1) * some, v->planes); ++plane)
        scatter_plane(v, plane);
    (void)slot;
}

int FN(places_scatter)(const places *v) {
    double work = (double)v->planes * (double)(v->many + 4 * v->few);
    return fastnn_parallel_for(ceil_div(v->planes, planes_per_task(v)), scatter_task, (void *)v,
                               v->threads, work / 4);
}

static void gather_plane(const places *v, idx plane) {
    const T *from = (const T *)v->from + plane * v->many;
    const int64_t *place = v->place + plane * v->few;
    T *to = (T *)v->to + plane * v->few;
    for (idx i = 0; i < v->few; ++i) to[i] = from[place[i]];
}

static void gather_task(void *ctx, idx task, int slot) {
    const places *v = ctx;
    idx some = planes_per_task(v);
    for (idx plane = task * some; plane < least((task + 1) * some, v->planes); ++plane)
        gather_plane(v, plane);
    (void)slot;
}

int FN(places_gather)(const places *v) {
    double work = (double)v->planes * (double)v->few;
    return fastnn_parallel_for(ceil_div(v->planes, planes_per_task(v)), gather_task, (void *)v,
                               v->threads, work);
}
