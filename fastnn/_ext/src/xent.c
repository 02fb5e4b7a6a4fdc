/* Softmax cross-entropy from logits: a task is a block of rows. */
#include "vmath.h"

#include <math.h>

enum { ROWS = 16 };

typedef fastnn_xent_args xent;

/* The largest entry of a row, or NaN if there is one. */
static T row_max(const T *x, idx c) {
    T best = x[0];
    int nan = 0;
    for (idx i = 0; i < c; ++i) {
        nan |= x[i] != x[i];
        best = x[i] > best ? x[i] : best;
    }
    return nan ? (T)NAN : best;
}

/* Sum of exp(x[i] - top), in index order of whole vectors; the last one is padded with -inf. */
static double exp_sum(const T *x, idx c, T top) {
    double sum = 0;
    for (idx i = 0; i < c; i += VL) {
        T rest[VB / sizeof(T)];
        idx size = least(VL, c - i);
        for (idx j = 0; j < VL; ++j) rest[j] = j < size ? x[i + j] - top : -(T)INFINITY;
        vec e = vexp(load(rest));
        for (idx j = 0; j < size; ++j) sum += (double)e[j];
    }
    return sum;
}

static void forward_task(void *ctx, idx task, int slot) {
    const xent *v = ctx;
    for (idx n = task * ROWS; n < least(v->n, (task + 1) * ROWS); ++n) {
        const T *x = (const T *)v->x + n * v->c;
        T top = row_max(x, v->c);
        double sum = exp_sum(x, v->c, top);
        v->loss[n] = (double)top - (double)x[v->labels[n]] + log(sum);
        if (!v->state) continue;
        v->state[2 * n] = (double)top;
        v->state[2 * n + 1] = 1 / sum;
    }
    (void)slot;
}

static void backward_task(void *ctx, idx task, int slot) {
    const xent *v = ctx;
    for (idx n = task * ROWS; n < least(v->n, (task + 1) * ROWS); ++n) {
        const T *x = (const T *)v->x + n * v->c;
        T *dx = (T *)v->dx + n * v->c, top = (T)v->state[2 * n];
        T gain = (T)(v->state[2 * n + 1] * v->scale[n]);
        for (idx i = 0; i < v->c; i += VL) {
            T rest[VB / sizeof(T)];
            idx size = least(VL, v->c - i);
            for (idx j = 0; j < VL; ++j) rest[j] = j < size ? x[i + j] - top : 0;
            vec p = vexp(load(rest)) * splat(gain);
            for (idx j = 0; j < size; ++j) dx[i + j] = p[j];
        }
        dx[v->labels[n]] -= (T)v->scale[n];
    }
    (void)slot;
}

int FN(softmax_xent_forward)(const xent *v) {
    return fastnn_parallel_for(ceil_div(v->n, ROWS), forward_task, (void *)v, v->threads,
                               (double)v->n * (20 + 2 * (double)v->c));
}

int FN(softmax_xent_backward)(const xent *v) {
    return fastnn_parallel_for(ceil_div(v->n, ROWS), backward_task, (void *)v, v->threads,
                               (double)v->n * (10 + (double)v->c));
}
