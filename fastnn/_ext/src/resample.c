/* Interpolation along rows and columns, nearest and linear: a task is one plane.
 *
 * A row of x is brought to the output's columns once and serves all output rows next to it. */
#include "simd.h"

enum { COLUMNS = 256 };

typedef fastnn_resample_args resample;

/* The row of x below row h, or the same at the image's end. */
static inline idx below(const resample *v, idx h) { return least(h + 1, v->H - 1); }

/* Row `row` of x at output columns [q0, q0 + size). */
static void stretch(const resample *v, const T *restrict row, idx q0, idx size, T *restrict to) {
    const int64_t *col = v->col + q0;
    if (v->col_weight == NULL)
        for (idx j = 0; j < size; ++j) to[j] = row[col[j]];
    else
        for (idx j = 0; j < size; ++j) {
            double b = v->col_weight[q0 + j];
            to[j] = (T)(1 - b) * row[col[j]] + (T)b * row[least(col[j] + 1, v->W - 1)];
        }
}

/* The transpose: add a row at output columns to row `row` of dx. */
static void gather_back(const resample *v, const T *from, idx q0, idx size, T *row) {
    const int64_t *col = v->col + q0;
    if (v->col_weight == NULL)
        for (idx j = 0; j < size; ++j) row[col[j]] += from[j];
    else
        for (idx j = 0; j < size; ++j) {
            double b = v->col_weight[q0 + j];
            row[col[j]] += (T)(1 - b) * from[j];
            row[least(col[j] + 1, v->W - 1)] += (T)b * from[j];
        }
}

static void forward_task(void *ctx, idx plane, int slot) {
    const resample *v = ctx;
    const T *x = (const T *)v->x + plane * v->H * v->W;
    T lines[2][COLUMNS], *upper = lines[0], *lower = lines[1];
    for (idx q0 = 0; q0 < v->Q; q0 += COLUMNS) {
        idx size = least(COLUMNS, v->Q - q0), have = -2;
        for (idx p = 0; p < v->P; ++p) {
            T *y = (T *)v->y + (plane * v->P + p) * v->Q + q0;
            idx h = v->row[p];
            if (h != have) {
                if (v->row_weight && h == have + 1) {
                    T *kept = lower;
                    lower = upper, upper = kept;
                } else
                    stretch(v, x + h * v->W, q0, size, upper);
                if (v->row_weight) stretch(v, x + below(v, h) * v->W, q0, size, lower);
                have = h;
            }
            if (v->row_weight == NULL) {
                memcpy(y, upper, (size_t)size * sizeof(T));
                continue;
            }
            T high = (T)(1 - v->row_weight[p]), low = (T)v->row_weight[p];
            for (idx j = 0; j < size; ++j) y[j] = high * upper[j] + low * lower[j];
        }
    }
    (void)slot;
}

int FN(resample_forward)(const resample *v) {
    double work = (double)v->planes * (double)(v->P * v->Q);
    return fastnn_parallel_for(v->planes, forward_task, (void *)v, v->threads, work);
}

static void backward_task(void *ctx, idx plane, int slot) {
    const resample *v = ctx;
    T *dx = (T *)v->dx + plane * v->H * v->W, upper[COLUMNS], lower[COLUMNS];
    memset(dx, 0, (size_t)(v->H * v->W) * sizeof(T));
    for (idx q0 = 0; q0 < v->Q; q0 += COLUMNS) {
        idx size = least(COLUMNS, v->Q - q0);
        for (idx p = 0; p < v->P;) {
            idx h = v->row[p];
            for (idx j = 0; j < size; ++j) upper[j] = lower[j] = 0;
            for (; p < v->P && v->row[p] == h; ++p) {
                const T *dy = (const T *)v->dy + (plane * v->P + p) * v->Q + q0;
                T low = v->row_weight ? (T)v->row_weight[p] : 0;
                T high = v->row_weight ? (T)(1 - v->row_weight[p]) : 1;
                for (idx j = 0; j < size; ++j) upper[j] += high * dy[j];
                for (idx j = 0; v->row_weight && j < size; ++j) lower[j] += low * dy[j];
            }
            gather_back(v, upper, q0, size, dx + h * v->W);
            if (v->row_weight) gather_back(v, lower, q0, size, dx + below(v, h) * v->W);
        }
    }
    (void)slot;
}

/* Whether each column of x is the nearest one of two: what is usual can take whole vectors. */
static int doubled(const resample *v) {
    int right = v->col_weight == NULL && v->Q == 2 * v->W;
    for (idx q = 0; right && q < v->Q; ++q) right = v->col[q] == q / 2;
    return right;
}

/* The transpose then: pairs of columns are added up a vector at a time. */
static void doubled_task(void *ctx, idx plane, int slot) {
    const resample *v = ctx;
    T *dx = (T *)v->dx + plane * v->H * v->W, sum[COLUMNS];
    memset(dx, 0, (size_t)(v->H * v->W) * sizeof(T));
    for (idx q0 = 0; q0 < v->Q; q0 += COLUMNS) {
        idx size = least(COLUMNS, v->Q - q0), j = 0;
        for (idx p = 0, h; p < v->P;) {
            memset(sum, 0, sizeof sum);
            for (h = v->row[p]; p < v->P && v->row[p] == h; ++p) {
                const T *dy = (const T *)v->dy + (plane * v->P + p) * v->Q + q0;
                for (j = 0; j < size; ++j) sum[j] += dy[j];
            }
            T *to = dx + h * v->W + q0 / 2;
            for (j = 0; j + 2 * VL <= size; j += 2 * VL)
                store(to + j / 2, load(to + j / 2) + evens(sum + j) + odds(sum + j));
            for (; j < size; ++j) to[j / 2] += sum[j];
        }
    }
    (void)slot;
}

int FN(resample_backward)(const resample *v) {
    double work = (double)v->planes * (double)(v->H * v->W + v->P * v->Q);
    return fastnn_parallel_for(v->planes, doubled(v) ? doubled_task : backward_task, (void *)v,
                               v->threads, work);
}
