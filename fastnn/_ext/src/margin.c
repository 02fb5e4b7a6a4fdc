/* Multi-class hinge loss: a task is a block of rows; the true class splits a row in two. */
#include "loss.h"

enum { ROWS = 64 };

typedef fastnn_margin_args margin_args;

/* max(0, z) or its square; NaN stays NaN. */
static inline vec hinge(vec z, int power) {
    vec h = select(z <= splat(0), splat(0), z);
    return power == 2 ? h * h : h;
}

static inline vec slope(vec z, int power) {
    vec rise = power == 2 ? z + z : select(z == z, splat(1), z);
    return select(z <= splat(0), splat(0), rise);
}

static void forward_part(const T *x, idx size, T offset, int power, sums *s) {
    for (idx i = 0; i < size; i += VL)
        add_some(s, hinge(load_some(x + i, size - i, 0) + splat(offset), power), size - i);
}

static void forward_task(void *ctx, idx task, int slot) {
    const margin_args *v = ctx;
    for (idx n = task * ROWS; n < least(v->n, (task + 1) * ROWS); ++n) {
        const T *x = (const T *)v->x + n * v->c;
        idx y = (idx)v->labels[n];
        T offset = (T)(v->margin - (double)x[y]);
        sums s = {0};
        forward_part(x, y, offset, v->power, &s);
        forward_part(x + y + 1, v->c - y - 1, offset, v->power, &s);
        v->loss[n] = lanes_total(&s);
    }
    (void)slot;
}

static void backward_part(const T *x, T *dx, idx size, T offset, int power, T scale, sums *s) {
    for (idx i = 0; i < size; i += VL) {
        vec d = slope(load_some(x + i, size - i, 0) + splat(offset), power);
        add_some(s, d, size - i);
        store_some(dx + i, size - i, d * splat(scale));
    }
}

static void backward_task(void *ctx, idx task, int slot) {
    const margin_args *v = ctx;
    for (idx n = task * ROWS; n < least(v->n, (task + 1) * ROWS); ++n) {
        const T *x = (const T *)v->x + n * v->c;
        T *dx = (T *)v->dx + n * v->c;
        idx y = (idx)v->labels[n], after = y + 1;
        T offset = (T)(v->margin - (double)x[y]), scale = (T)v->scale[n];
        sums s = {0};
        backward_part(x, dx, y, offset, v->power, scale, &s);
        backward_part(x + after, dx + after, v->c - after, offset, v->power, scale, &s);
        dx[y] = (T)(-lanes_total(&s) * v->scale[n]);
    }
    (void)slot;
}

int FN(multi_margin_forward)(const margin_args *v) {
    return fastnn_parallel_for(ceil_div(v->n, ROWS), forward_task, (void *)v, v->threads,
                               (double)v->n * (10 + (double)v->c / 4));
}

int FN(multi_margin_backward)(const margin_args *v) {
    return fastnn_parallel_for(ceil_div(v->n, ROWS), backward_task, (void *)v, v->threads,
                               (double)v->n * (10 + (double)v->c / 4));
}
