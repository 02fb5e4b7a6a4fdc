/* Unfold (im2col) and fold (col2im): a task is one channel of one image, all its taps. */
#include "conv_taps.h"

static void unfold_task(void *ctx, idx plane, int slot) {
    const conv *v = ctx;
    idx window = v->R * v->S, places = v->P * v->Q;
    const T *x = (const T *)v->x + plane * v->H * v->W;
    T *columns = (T *)v->y + plane * window * places;
    for (idx tap = 0; tap < window; ++tap)
        gather_line(v, columns + tap * places, x, tap, 0, places);
    (void)slot;
}

static void fold_task(void *ctx, idx plane, int slot) {
    const conv *v = ctx;
    idx window = v->R * v->S, places = v->P * v->Q;
    const T *columns = (const T *)v->dy + plane * window * places;
    T *dx = (T *)v->dx + plane * v->H * v->W;
    memset(dx, 0, (size_t)(v->H * v->W) * sizeof(T));
    for (idx tap = 0; tap < window; ++tap)
        scatter_line(v, columns + tap * places, dx, tap, 0, places);
    (void)slot;
}

static int run(const conv *v, fastnn_task task) {
    double cells = (double)v->N * (double)v->C * (double)(v->R * v->S) * (double)(v->P * v->Q);
    return fastnn_parallel_for(v->N * v->C, task, (void *)v, v->threads, cells / 4);
}

int FN(conv_unfold)(const conv *v) { return run(v, unfold_task); }
int FN(conv_fold)(const conv *v) { return run(v, fold_task); }
