/* y = x where x > 0 or x is NaN, else 0; dx = 0 where y <= 0, else dy. */
#include "simd.h"

enum { BLOCK = 16384 };

static void forward_task(void *ctx, idx task, int slot) {
    const fastnn_relu_args *v = ctx;
    idx start = task * BLOCK, size = least(BLOCK, v->size - start);
    const T *restrict x = (const T *)v->x + start;
    T *restrict y = (T *)v->y + start;
    for (idx i = 0; i < size; ++i) y[i] = x[i] <= 0 ? 0 : x[i];
    (void)slot;
}

static void backward_task(void *ctx, idx task, int slot) {
    const fastnn_relu_args *v = ctx;
    idx start = task * BLOCK, size = least(BLOCK, v->size - start);
    const T *restrict y = (const T *)v->y_in + start, *restrict dy = (const T *)v->dy + start;
    T *restrict dx = (T *)v->dx + start;
    for (idx i = 0; i < size; ++i) dx[i] = y[i] <= 0 ? 0 : dy[i];
    (void)slot;
}

int FN(relu_forward)(const fastnn_relu_args *v) {
    return fastnn_parallel_for(ceil_div(v->size, BLOCK), forward_task, (void *)v, v->threads,
                               (double)v->size / 4);
}

int FN(relu_backward)(const fastnn_relu_args *v) {
    return fastnn_parallel_for(ceil_div(v->size, BLOCK), backward_task, (void *)v, v->threads,
                               (double)v->size / 4);
}
