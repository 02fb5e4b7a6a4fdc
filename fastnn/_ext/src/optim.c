/* Optimisers: one pass over parameters, gradients and state.
 *
 * All parameters are one row of elements, a task is a block of it, so that a hundred small ones
 * cost what a large one does. The loops are plain C, which compilers make vectors of. */
#include "simd.h"

#include <math.h>

enum { BLOCK = 16384, LANES = 16 };

typedef fastnn_optim_args optim_args;

/* The numbers of a step in the parameters' type. */
typedef struct {
    T rate, keep, decay, first, other_first, second, other_second, root, eps, scale, limit;
    int nesterov;
} constants;

static constants constants_of(const optim_args *v) {
    return (constants){
        .rate = (T)v->rate,
        .keep = (T)v->keep,
        .decay = (T)v->decay,
        .first = (T)v->first,
        .other_first = (T)(1 - v->first),
        .second = (T)v->second,
        .other_second = (T)(1 - v->second),
        .root = (T)v->root,
        .eps = (T)v->eps,
        .scale = (T)v->scale,
        .limit = (T)v->limit,
        .nesterov = v->nesterov,
    };
}

#define INLINE static inline __attribute__((always_inline))

INLINE T square_root(T x) { return FASTNN_BITS == 32 ? (T)sqrtf((float)x) : (T)sqrt((double)x); }

/* NaN stays NaN. */
INLINE T clipped(T g, constants k) {
    g *= k.scale;
    g = g > k.limit ? k.limit : g;
    return g < -k.limit ? -k.limit : g;
}

/* An infinite parameter times no decay is none. */
INLINE T gradient(T g, T p, constants k) {
    g = clipped(g, k);
    return k.decay != 0 ? g + k.decay * p : g;
}

/* -- the rules: absent state is NULL, a constant where the loop is compiled ------------------ */

INLINE void sgd(T *restrict p, const T *restrict grad, T *restrict v, idx n, constants k) {
    for (idx i = 0; i < n; ++i) {
        T g = gradient(grad[i], p[i], k), step = g;
        if (v) {
            v[i] = k.first * v[i] + g;
            step = k.nesterov ? g + k.first * v[i] : v[i];
        }
        p[i] = k.keep * p[i] - k.rate * step;
    }
}

INLINE void adam(T *restrict p, const T *restrict grad, T *restrict m, T *restrict v,
                 T *restrict most, idx n, constants k) {
    for (idx i = 0; i < n; ++i) {
        T g = gradient(grad[i], p[i], k);
        T mean = m[i] + k.other_first * (g - m[i]);
        T square = k.second * v[i] + k.other_second * g * g;
        m[i] = mean;
        v[i] = square;
        if (most) most[i] = square = square < most[i] ? most[i] : square;
        p[i] = k.keep * p[i] - k.rate * (mean / (square_root(square) * k.root + k.eps));
    }
}

INLINE void rmsprop(T *restrict p, const T *restrict grad, T *restrict v, T *restrict mean,
                    T *restrict b, idx n, constants k) {
    for (idx i = 0; i < n; ++i) {
        T g = gradient(grad[i], p[i], k), square = k.second * v[i] + k.other_second * g * g;
        v[i] = square;
        if (mean) { /* rounding must not make the variance negative */
            mean[i] += k.other_second * (g - mean[i]);
            square -= mean[i] * mean[i];
            square = square < 0 ? 0 : square;
        }
        T step = g / (square_root(square) + k.eps);
        if (b) b[i] = step = k.first * b[i] + step;
        p[i] = k.keep * p[i] - k.rate * step;
    }
}

INLINE void adagrad(T *restrict p, const T *restrict grad, T *restrict sum, idx n, constants k) {
    for (idx i = 0; i < n; ++i) {
        T g = gradient(grad[i], p[i], k);
        sum[i] += g * g;
        p[i] = k.keep * p[i] - k.rate * (g / (square_root(sum[i]) + k.eps));
    }
}

/* -- blocks ---------------------------------------------------------------------------------- */

/* Work on elements [from, from + n) of a parameter. */
typedef void (*range)(const optim_args *v, const fastnn_tensor *t, idx from, idx n, double *sum);

static void step_range(const optim_args *v, const fastnn_tensor *t, idx from, idx n, double *sum) {
    constants k = constants_of(v);
    T *p = (T *)t->param + from, *s[3];
    const T *g = (const T *)t->grad + from;
    for (int i = 0; i < 3; ++i) s[i] = t->state[i] ? (T *)t->state[i] + from : NULL;
    if (v->kind == FASTNN_SGD)
        s[0] ? sgd(p, g, s[0], n, k) : sgd(p, g, NULL, n, k);
    else if (v->kind == FASTNN_ADAM)
        s[2] ? adam(p, g, s[0], s[1], s[2], n, k) : adam(p, g, s[0], s[1], NULL, n, k);
    else if (v->kind == FASTNN_ADAGRAD)
        adagrad(p, g, s[0], n, k);
    else if (s[1])
        s[2] ? rmsprop(p, g, s[0], s[1], s[2], n, k) : rmsprop(p, g, s[0], s[1], NULL, n, k);
    else
        s[2] ? rmsprop(p, g, s[0], NULL, s[2], n, k) : rmsprop(p, g, s[0], NULL, NULL, n, k);
    (void)sum;
}

static void clip_range(const optim_args *v, const fastnn_tensor *t, idx from, idx n, double *sum) {
    constants k = constants_of(v);
    T *g = (T *)t->grad + from;
    for (idx i = 0; i < n; ++i) g[i] = clipped(g[i], k);
    (void)sum;
}

static void square_range(const optim_args *v, const fastnn_tensor *t, idx from, idx n,
                         double *sum) {
    const T *g = (const T *)t->grad + from;
    double lane[LANES] = {0};
    idx i = 0;
    for (; i + LANES <= n; i += LANES)
        for (idx j = 0; j < LANES; ++j) lane[j] += (double)g[i + j] * (double)g[i + j];
    for (idx j = 0; i < n; ++i, ++j) lane[j] += (double)g[i] * (double)g[i];
    for (idx half = LANES / 2; half > 0; half /= 2)
        for (idx j = 0; j < half; ++j) lane[j] += lane[j + half];
    *sum += lane[0];
    (void)v;
}

/* The last parameter that starts at or before the element `at`. */
static idx holder(const optim_args *v, idx at) {
    idx low = 0, high = v->count;
    while (high - low > 1) {
        idx middle = low + (high - low) / 2;
        if (v->tensors[middle].start <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

typedef struct {
    const optim_args *v;
    range run;
    double *sums; /* one per block, or NULL */
} work;

static void block_task(void *ctx, idx task, int slot) {
    const work *w = ctx;
    const optim_args *v = w->v;
    idx at = task * BLOCK, stop = least(v->size, at + BLOCK);
    double sum = 0;
    for (const fastnn_tensor *t = v->tensors + holder(v, at); at < stop; ++t) {
        idx from = at - t->start, n = least(stop - at, t->size - from);
        if (n > 0) w->run(v, t, from, n, &sum);
        at += n;
    }
    if (w->sums) w->sums[task] = sum;
    (void)slot;
}

static int run_blocks(const optim_args *v, range run, double *sums, double nanoseconds) {
    work w = {v, run, sums};
    return fastnn_parallel_whole(ceil_div(v->size, BLOCK), block_task, &w, v->threads,
                                 (double)v->size * nanoseconds);
}

int FN(optim_step)(const optim_args *v) {
    return run_blocks(v, step_range, NULL, v->kind == FASTNN_SGD ? 0.3 : 0.6);
}

int FN(optim_clip)(const optim_args *v) { return run_blocks(v, clip_range, NULL, 0.2); }

int FN(optim_squares)(const optim_args *v) {
    idx blocks = ceil_div(v->size, BLOCK);
    double *sums = fastnn_scratch((size_t)blocks * sizeof(double));
    if (!sums) return FASTNN_NOMEM;
    int status = run_blocks(v, square_range, sums, 0.2);
    *v->total = 0;
    for (idx i = 0; i < blocks; ++i) *v->total += sums[i];
    fastnn_scratch_release(sums);
    return status;
}
