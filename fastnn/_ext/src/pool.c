/* Max-pooling: a task is one plane, the vector runs along output columns.
 *
 * The winner of a window is the first maximum in row-major order, or the first NaN. Cells outside
 * the image do not take part; a window without any cell inside gives -inf and no gradient. */
#include "pool.h"

#include <math.h>

enum { COLUMNS = 128, NOBODY = 255 };

typedef fastnn_pool_args pool;

/* A vector of places at any address. */
typedef I ivecu __attribute__((vector_size(VB), aligned(sizeof(I)), may_alias));

static inline int small_window(const pool *v) { return v->R * v->S <= 255; }

/* Columns q in [*first, *last) of an output row whose cell s falls inside the image. */
static inline void inside(const pool *v, idx s, idx *first, idx *last) {
    idx shift = s * v->dw_step - v->left;
    *first = shift >= 0 ? 0 : least(ceil_div(-shift, v->sw), v->Q);
    *last = v->Q; /* away from borders there is nothing to divide */
    if ((v->Q - 1) * v->sw + shift >= v->W)
        *last = v->W <= shift ? 0 : ceil_div(v->W - shift, v->sw);
}

/* One cell of the window against the best so far, for `size` windows `step` cells apart; x may be
 * read up to `end`. A NaN beats what is none; -inf beats nothing, for who is first is known. */
static inline void contest(T *restrict best, I *restrict winner, const T *restrict x, idx size,
                           idx step, I cell, const T *end) {
    idx q = 0;
    for (; q + VL <= size && end - x >= strided_reach(q + VL, step); q += VL) {
        vec value = strided(x + q * step, step), now = load(best + q);
        ivec take = ~(value <= now) & (now == now);
        store(best + q, select(take, value, now));
        if (winner) {
            ivecu *to = (ivecu *)(winner + q);
            *to = (take & cell) | (~take & *to);
        }
    }
    for (; q < size; ++q) {
        T value = x[q * step], now = best[q];
        int take = !(value <= now) & (now == now);
        best[q] = take ? value : now;
        if (winner) winner[q] = take ? cell : winner[q];
    }
}

/* The first cell inside the image of the windows [q0, q1) of output row p, or -1. */
static void first_cells(const pool *v, idx p, idx q0, idx q1, I *winner) {
    idx r = most(0, ceil_div(v->top - p * v->sh, v->dh)), first, last;
    int none = r >= v->R || p * v->sh - v->top + r * v->dh >= v->H;
    inside(v, 0, &first, &last);
    for (idx q = q0; q < q1; ++q) {
        idx s = 0;
        if (q < first) s = ceil_div(v->left - q * v->sw, v->dw_step);
        int out = none | (q >= last) | (s >= v->S);
        if (s > 0) out |= q * v->sw - v->left + s * v->dw_step >= v->W;
        winner[q - q0] = out ? -1 : (I)(r * v->S + s);
    }
}

static void forward_row(const pool *v, const T *plane, idx p, idx q0, idx q1, T *best, I *winner) {
    const T *end = (const T *)v->x + v->planes * v->H * v->W;
    for (idx q = 0; q < q1 - q0; ++q) best[q] = -(T)INFINITY;
    if (winner) first_cells(v, p, q0, q1, winner);
    for (idx r = 0; r < v->R; ++r) {
        idx h = p * v->sh - v->top + r * v->dh;
        if (h < 0 || h >= v->H) continue;
        for (idx s = 0; s < v->S; ++s) {
            idx first, last;
            inside(v, s, &first, &last);
            first = most(first, q0);
            last = least(last, q1);
            if (first >= last) continue;
            const T *x = plane + h * v->W + first * v->sw + s * v->dw_step - v->left;
            I cell = (I)(r * v->S + s), *who = winner ? winner + first - q0 : NULL;
            T *row = best + first - q0;
            if (v->sw == 1)
                contest(row, who, x, last - first, 1, cell, end);
            else if (v->sw == 2)
                contest(row, who, x, last - first, 2, cell, end);
            else
                contest(row, who, x, last - first, v->sw, cell, end);
        }
    }
}

/* Where a window's cells are in the image, seen from the first one; for small windows only. */
static void cell_places(const pool *v, idx *place) {
    for (idx i = 0; small_window(v) && i < v->R * v->S; ++i)
        place[i] = i / v->S * v->dh * v->W + i % v->S * v->dw_step;
}

static inline idx cell_place(const pool *v, const idx *place, idx cell) {
    return small_window(v) ? place[cell] : cell / v->S * v->dh * v->W + cell % v->S * v->dw_step;
}

static void forward_task(void *ctx, idx plane, int slot) {
    const pool *v = ctx;
    const T *x = (const T *)v->x + plane * v->H * v->W;
    idx at = plane * v->P * v->Q, place[NOBODY];
    I winner[COLUMNS];
    if (v->index) cell_places(v, place);
    for (idx p = 0; p < v->P; ++p)
        for (idx q0 = 0; q0 < v->Q; q0 += COLUMNS) {
            idx size = least(COLUMNS, v->Q - q0);
            forward_row(v, x, p, q0, q0 + size, (T *)v->y + at,
                        v->offset || v->index ? winner : NULL);
            if (v->offset && small_window(v))
                for (idx q = 0; q < size; ++q) ((uint8_t *)v->offset)[at + q] = (uint8_t)winner[q];
            else if (v->offset)
                for (idx q = 0; q < size; ++q) ((int32_t *)v->offset)[at + q] = (int32_t)winner[q];
            idx corner = (p * v->sh - v->top) * v->W - v->left;
            for (idx q = 0; v->index && q < size; ++q)
                v->index[at + q] = winner[q] < 0 ? -1
                                                 : corner + (q0 + q) * v->sw +
                                                       cell_place(v, place, (idx)winner[q]);
            at += size;
        }
    (void)slot;
}

int FN(max_pool_forward)(const pool *v) {
    double cells = (double)v->planes * (double)(v->P * v->Q) * (double)(v->R * v->S);
    return fastnn_parallel_for(v->planes, forward_task, (void *)v, v->threads, cells / 8);
}

static void backward_task(void *ctx, idx plane, int slot) {
    const pool *v = ctx;
    const T *dy = v->dy;
    T *dx = (T *)v->dx + plane * v->H * v->W;
    idx at = plane * v->P * v->Q, place[NOBODY];
    memset(dx, 0, (size_t)(v->H * v->W) * sizeof(T));
    cell_places(v, place);
    for (idx p = 0; p < v->P; ++p)
        for (idx q = 0; q < v->Q; ++q, ++at) {
            T *corner = dx + (p * v->sh - v->top) * v->W + q * v->sw - v->left;
            if (small_window(v)) {
                uint8_t cell = ((const uint8_t *)v->offset)[at];
                if (cell != NOBODY) corner[place[cell]] += dy[at];
            } else {
                int32_t cell = ((const int32_t *)v->offset)[at];
                if (cell >= 0) corner[cell_place(v, place, cell)] += dy[at];
            }
        }
    (void)slot;
}

int FN(max_pool_backward)(const pool *v) {
    double cells = (double)v->planes * (double)(v->H * v->W + 4 * v->P * v->Q);
    return fastnn_parallel_for(v->planes, backward_task, (void *)v, v->threads, cells / 4);
}
