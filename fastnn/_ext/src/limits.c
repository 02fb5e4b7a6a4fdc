/* What the machine can do at most: a loop of nothing but multiply-adds, and a copy.
 *
 * Benchmarks measure both in the run whose figures they divide by them. */
#include "simd.h"

enum { PARTS = 16 }; /* tasks per thread: one that wakes late leaves its share to the others */

typedef fastnn_limits_args limits;

/* Twelve chains hide the latency of a multiply-add (4 cycles, 2 a cycle) and leave registers for
 * the factors where there are 16. They start from memory: equal ones would be computed once. */
static void multiply_add_task(void *ctx, idx task, int slot) {
    const limits *it = ctx;
    const T *from = it->from;
    vec scale = load(from + 12 * VL), step = load(from + 13 * VL);
    vec a = load(from), b = load(from + VL), c = load(from + 2 * VL), d = load(from + 3 * VL),
        e = load(from + 4 * VL), f = load(from + 5 * VL), g = load(from + 6 * VL),
        h = load(from + 7 * VL), i = load(from + 8 * VL), j = load(from + 9 * VL),
        k = load(from + 10 * VL), l = load(from + 11 * VL);
    for (idx n = 0; n < it->size; ++n) {
        a = a * scale + step, b = b * scale + step, c = c * scale + step, d = d * scale + step;
        e = e * scale + step, f = f * scale + step, g = g * scale + step, h = h * scale + step;
        i = i * scale + step, j = j * scale + step, k = k * scale + step, l = l * scale + step;
    }
    store((T *)it->to + task * VL, a + b + c + d + e + f + g + h + i + j + k + l);
    (void)slot;
}

/* `size` rounds of 12 multiply-adds of vectors per task; `from` has 14 * 16 elements, `to` 16 per
 * task. */
int FN(limits_multiply_add)(const limits *v) {
    return fastnn_parallel_for(v->tasks, multiply_add_task, (void *)v, v->threads, 1e9);
}

static void copy_task(void *ctx, idx task, int slot) {
    const limits *it = ctx;
    idx first = part(it->size, PARTS * it->threads, task);
    idx count = part(it->size, PARTS * it->threads, task + 1) - first;
    memcpy((T *)it->to + first, (const T *)it->from + first, (size_t)count * sizeof(T));
    (void)slot;
}

int FN(limits_copy)(const limits *v) {
    return fastnn_parallel_for(PARTS * v->threads, copy_task, (void *)v, v->threads,
                               (double)v->size / 4);
}
