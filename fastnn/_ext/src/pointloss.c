/* Losses that are a sum over elements: a task is a block of them, its sum is float64.
 *
 * One loop each way; which loss it is, is a constant where the loop is compiled. */
#include "loss.h"
#include "vmath.h"

enum { BLOCK = 4096 }; /* also bounds the chains of additions */

typedef fastnn_pointloss_args point_args;

/* A forward call and, if it is asked for the sum, room for the sum of each block. */
typedef struct {
    const point_args *v;
    double *partial;
} forward_work;

#define INLINE static inline __attribute__((always_inline))

/* log(1 + e) for 0 <= e <= 1: with s = e / (2 + e) it is 2 (s + s^3/3 + s^5/5 + ...), and as s^2 is
 * at most 1/9, what is left out is below half an ulp. NaN stays NaN. */
INLINE vec log1p_unit(vec e) {
    enum { LAST = FASTNN_BITS == 32 ? 15 : 33 };
    vec s = e / (e + splat(2)), q = s * s, p = splat((T)1 / LAST);
    for (int k = LAST - 2; k > 0; k -= 2) p = p * q + splat((T)1 / k);
    return (s + s) * p;
}

/* A loss's constants: of huber `delta`, of bce `p`, the weight of positives at the place. */
INLINE vec loss_at(int kind, vec x, vec t, vec p, vec delta) {
    vec d = x - t, one = splat(1);
    if (kind == FASTNN_MSE) return d * d;
    if (kind == FASTNN_L1) return vabs(d);
    if (kind == FASTNN_HUBER) {
        vec a = vabs(d), half = splat((T).5);
        return select(a <= delta, half * d * d, delta * (a - half * delta));
    }
    if (kind == FASTNN_BCE) { /* log(1 + exp(-|x|)) is all that is not linear */
        vec tail = log1p_unit(vexp_fall(-vabs(x))), q = p * t;
        return select(x < splat(0), -q * x, (one - t) * x) + (one - t + q) * tail;
    }
    if (kind == FASTNN_KL) return t * (select(t == splat(0), splat(0), vlog(t)) - x);
    return vexp(t) * (t - x);
}

typedef struct {
    vec x, target;
} slopes;

INLINE slopes slopes_at(int kind, vec x, vec t, vec p, vec delta, int with_target) {
    vec d = x - t, one = splat(1), dx;
    if (kind == FASTNN_MSE) {
        dx = d + d;
    } else if (kind == FASTNN_L1) {
        dx = select(d > splat(0), one, select(d < splat(0), -one, d));
    } else if (kind == FASTNN_HUBER) {
        dx = select(d > delta, delta, select(d < -delta, -delta, d));
    } else if (kind == FASTNN_BCE) { /* sigmoid(-x), from exp(-|x|) for both signs */
        vec e = vexp_fall(-vabs(x)), q = p * t;
        vec sigmoid = select(x < splat(0), one, e) / (one + e);
        dx = one - t - (one - t + q) * sigmoid;
        if (!with_target) return (slopes){dx, dx};
        vec soft = log1p_unit(e) - select(x < splat(0), x, splat(0)); /* log(1 + exp(-x)) */
        return (slopes){dx, (p - one) * soft - x};
    } else if (kind == FASTNN_KL) {
        return (slopes){-t, with_target ? vlog(t) + one - x : t};
    } else {
        vec e = vexp(t);
        return (slopes){-e, e * (one - d)};
    }
    return (slopes){dx, -dx};
}

INLINE void forward_block(const forward_work *k, idx task, int kind) {
    const point_args *v = k->v;
    const T *x = v->x, *t = v->target, *w = v->w, *p = v->pos_weight;
    idx start = task * BLOCK, stop = least(v->size, start + BLOCK);
    vec delta = splat((T)v->delta);
    sums s = {0};
    for (idx i = start; i < stop; i += VL) {
        idx size = stop - i;
        vec y = loss_at(kind, load_some(x + i, size, 0), load_some(t + i, size, 0),
                        p ? load_some(p + i, size, 0) : splat(1), delta);
        if (w) y *= load_some(w + i, size, 0);
        if (v->y)
            store_some((T *)v->y + i, size, y);
        else
            add_some(&s, y, size);
    }
    if (k->partial) k->partial[task] = lanes_total(&s);
}

INLINE void backward_block(const point_args *v, idx task, int kind) {
    const T *x = v->x, *t = v->target, *w = v->w, *p = v->pos_weight, *dy = v->dy;
    T *dx = v->dx, *dt = v->dtarget;
    idx start = task * BLOCK, stop = least(v->size, start + BLOCK);
    vec delta = splat((T)v->delta), scale = splat((T)v->scale);
    for (idx i = start; i < stop; i += VL) {
        idx size = stop - i;
        slopes d = slopes_at(kind, load_some(x + i, size, 0), load_some(t + i, size, 0),
                             p ? load_some(p + i, size, 0) : splat(1), delta, dt != NULL);
        vec gain = dy ? load_some(dy + i, size, 0) : scale;
        if (w) gain *= load_some(w + i, size, 0);
        if (dx) store_some(dx + i, size, d.x * gain);
        if (dt) store_some(dt + i, size, d.target * gain);
    }
}

#define FOR_EACH_KIND(CASE)                                                                        \
    CASE(FASTNN_MSE)                                                                               \
    CASE(FASTNN_L1)                                                                                \
    CASE(FASTNN_HUBER)                                                                             \
    CASE(FASTNN_BCE)                                                                               \
    CASE(FASTNN_KL)                                                                                \
    CASE(FASTNN_KL_LOG)

static void forward_task(void *ctx, idx task, int slot) {
    const forward_work *k = ctx;
    (void)slot;
    switch (k->v->kind) {
#define CASE(kind)                                                                                 \
    case kind:                                                                                     \
        forward_block(k, task, kind);                                                              \
        break;
        FOR_EACH_KIND(CASE)
#undef CASE
    }
}

static void backward_task(void *ctx, idx task, int slot) {
    const point_args *v = ctx;
    (void)slot;
    switch (v->kind) {
#define CASE(kind)                                                                                 \
    case kind:                                                                                     \
        backward_block(v, task, kind);                                                             \
        break;
        FOR_EACH_KIND(CASE)
#undef CASE
    }
}

/* Nanoseconds per element, of the slower type. */
static double cost(int kind) {
    return kind == FASTNN_MSE || kind == FASTNN_L1 || kind == FASTNN_HUBER ? 0.25 : 1.5;
}

int FN(pointloss_forward)(const point_args *v) {
    idx blocks = ceil_div(v->size, BLOCK);
    forward_work k = {v, NULL};
    if (v->total) {
        k.partial = fastnn_scratch((size_t)blocks * sizeof(double));
        if (!k.partial) return FASTNN_NOMEM;
    }
    int status =
        fastnn_parallel_for(blocks, forward_task, &k, v->threads, (double)v->size * cost(v->kind));
    if (v->total) {
        *v->total = 0;
        for (idx i = 0; i < blocks; ++i) *v->total += k.partial[i];
        fastnn_scratch_release(k.partial);
    }
    return status;
}

int FN(pointloss_backward)(const point_args *v) {
    return fastnn_parallel_for(ceil_div(v->size, BLOCK), backward_task, (void *)v, v->threads,
                               (double)v->size * cost(v->kind));
}
