/* Functions of one element and their derivatives: each is two lines of vector code, and one loop
 * serves them all. An element's bits do not depend on its place: tails go through whole vectors. */
#include "vmath.h"

enum { BLOCK = 16384 };

typedef fastnn_pointwise_args pointwise;
typedef struct {
    vec a, b;
} constants;

static inline vec zero(void) { return (vec){0}; }
static inline vec one(void) { return splat(1); }

/* For factors of a function that is 0 or 1 far out, so that no infinity meets a zero. */
static inline vec bounded(vec x) { return at_most(at_least(x, -1000), 1000); }

#define UNUSED __attribute__((unused))
#define VALUE(name) static inline vec name##_value(vec x, constants p UNUSED)
#define SLOPE(name) static inline vec name##_slope(vec s, vec dy, constants p UNUSED)

/* -- forward: y from x ----------------------------------------------------------------------- */

VALUE(relu) { return select(x <= zero(), zero(), x); }

VALUE(leaky_relu) { return select(x > zero(), x, p.a * x); }

VALUE(elu) { return select(x > zero(), p.b * x, p.a * vexpm1(at_most(x, 0))); }

VALUE(gelu) { return vgelu(x); }

/* (1 + tanh(u)) / 2 = sigmoid(2u), without cancellation for u < 0. */
static inline vec gelu_gate(vec x) {
    return x * (splat((T)1.5957691216057308) + splat((T)0.07135481627260025) * x * x);
}

VALUE(gelu_tanh) { return at_least(x, -1000) * vsigmoid(gelu_gate(bounded(x))); }

VALUE(silu) { return at_least(x, -1000) * vsigmoid(x); }

VALUE(sigmoid) { return vsigmoid(p.a * x); }

VALUE(tanh) { return vtanh(x); }

VALUE(softplus) {
    vec z = p.a * x, top = select(z > zero(), z, zero());
    return select(z > p.b, x, (top + vlog1p(vexp_fall(-vabs(z)))) / p.a);
}

VALUE(hardsigmoid) { return at_most(at_least(x + splat(3), 0), 6) / splat(6); }

VALUE(hardswish) { return at_least(x, -1000) * hardsigmoid_value(x, p); }

VALUE(exp) { return vexp(p.a * x); }
VALUE(expm1) { return vexpm1(p.a * x); }
VALUE(log) { return vlog(p.a * x); }
VALUE(log1p) { return vlog1p(p.a * x); }
VALUE(normal_cdf) { return vnormal(p.a * x); }

/* -- backward: dx from s, the saved x or y, and dy ------------------------------------------- */

SLOPE(relu) { return select(s <= zero(), zero(), dy); }

SLOPE(leaky_relu) { return select(s > zero(), dy, p.a * dy); }

SLOPE(elu) { return dy * select(s > zero(), p.b, p.a * vexp_fall(at_most(s, 0))); }

SLOPE(gelu) {
    normal_parts n = vnormal_parts(s);
    vec bell = scaled(n.bell, n.n), tail = bell * n.ratio;
    vec below = select(s > zero(), one() - tail, tail);
    return dy * (below + bounded(s) * splat((T)0.3989422804014327) * bell);
}

/* g + x g (1 - g) z' for y = x g, g = sigmoid(z). */
static inline vec gated_slope(vec x, vec z, vec gain) {
    vec e = vexp_fall(-vabs(z)), more = one() / (one() + e), less = e * more; /* their sum is 1 */
    return select(z >= zero(), more, less) + x * gain * (more * less);
}

SLOPE(gelu_tanh) {
    vec x = bounded(s);
    vec gain = splat((T)1.5957691216057308) + splat((T)(3 * 0.07135481627260025)) * x * x;
    return dy * gated_slope(x, gelu_gate(x), gain);
}

SLOPE(silu) { return dy * gated_slope(bounded(s), s, one()); }

SLOPE(sigmoid) { return dy * (p.a * s * (one() - s)); }

SLOPE(tanh) { return dy * ((one() - s) * (one() + s)); }

SLOPE(softplus) {
    vec z = p.a * s;
    return select(z > p.b, dy, dy * vsigmoid(z));
}

SLOPE(hardsigmoid) { return select((s > splat(-3)) & (s < splat(3)), dy / splat(6), zero()); }

SLOPE(hardswish) {
    vec inside = dy * (s / splat(3) + splat((T).5));
    return select(s <= splat(-3), zero(), select(s >= splat(3), dy, inside));
}

/* -- the loops ------------------------------------------------------------------------------- */

typedef void (*forward_loop)(const T *x, T *y, idx size, constants p);
typedef void (*backward_loop)(const T *s, const T *dy, T *dx, idx size, constants p);

#define FORWARD(name, cost)                                                                        \
    static void name##_forward(const T *x, T *y, idx size, constants p) {                          \
        idx i = 0;                                                                                 \
        for (; i + VL <= size; i += VL) store(y + i, name##_value(load(x + i), p));                \
        store_rest(y + i, size - i, name##_value(load_rest(x + i, size - i, 0), p));               \
    }

#define BACKWARD(name, cost)                                                                       \
    static void name##_backward(const T *s, const T *dy, T *dx, idx size, constants p) {           \
        idx i = 0, rest = size % VL;                                                               \
        for (; i + VL <= size; i += VL) store(dx + i, name##_slope(load(s + i), load(dy + i), p)); \
        vec end = name##_slope(load_rest(s + i, rest, 0), load_rest(dy + i, rest, 0), p);          \
        store_rest(dx + i, rest, end);                                                             \
    }

FASTNN_FUNCTIONS(FORWARD)
FASTNN_ACTIVATIONS(BACKWARD)

static const struct {
    forward_loop forward;
    backward_loop backward;
    double nanoseconds;
} functions[] = {
#define BOTH(name, cost) {name##_forward, name##_backward, cost / 1000.},
    FASTNN_ACTIVATIONS(BOTH)
#undef BOTH
#define ONE(name, cost) {name##_forward, NULL, cost / 1000.},
        FASTNN_MATHS(ONE)
#undef ONE
};

static constants constants_of(const pointwise *v) {
    return (constants){splat((T)v->a), splat((T)v->b)};
}

static void forward_task(void *ctx, idx task, int slot) {
    const pointwise *v = ctx;
    idx start = task * BLOCK, size = least(BLOCK, v->size - start);
    functions[v->function].forward((const T *)v->x + start, (T *)v->y + start, size,
                                   constants_of(v));
    (void)slot;
}

static void backward_task(void *ctx, idx task, int slot) {
    const pointwise *v = ctx;
    idx start = task * BLOCK, size = least(BLOCK, v->size - start);
    functions[v->function].backward((const T *)v->x + start, (const T *)v->dy + start,
                                    (T *)v->y + start, size, constants_of(v));
    (void)slot;
}

static int run(const pointwise *v, fastnn_task task) {
    double bytes = (double)v->size * (double)sizeof(T);
    return fastnn_parallel_for(ceil_div(v->size, BLOCK), task, (void *)v, v->threads,
                               bytes / 4 * functions[v->function].nanoseconds);
}

int FN(pointwise_forward)(const pointwise *v) { return run(v, forward_task); }
int FN(pointwise_backward)(const pointwise *v) { return run(v, backward_task); }
