/* Means of columns in float64: a task is a block of columns. */
#include "simd.h"

enum { COLUMNS = 64 };

static void task(void *ctx, idx block, int slot) {
    const fastnn_colmean_args *v = ctx;
    idx start = block * COLUMNS, size = least(COLUMNS, v->n - start);
    double s[COLUMNS] = {0};
    for (idx i = 0; i < v->m; ++i) {
        const T *row = (const T *)v->a + i * v->n + start;
        for (idx j = 0; j < size; ++j) s[j] += (double)row[j];
    }
    for (idx j = 0; j < size; ++j) v->mean[start + j] = s[j] / (double)v->m;
    (void)slot;
}

int FN(column_means)(const fastnn_colmean_args *v) {
    return fastnn_parallel_for(ceil_div(v->n, COLUMNS), task, (void *)v, v->threads,
                               (double)v->m * (double)v->n / 4);
}
