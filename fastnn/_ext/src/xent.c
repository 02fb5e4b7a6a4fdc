/* Cross-entropy of the softmax of logits: a task is a block of rows.
 *
 * With t[c] = w[c] ((1 - smoothing) p[c] + smoothing / C), p a row's probabilities or the one-hot
 * row of its label, a row's loss is the sum of t[c] (log(sum) + top - x[c]), where top is the
 * largest logit and sum that of exp(x[c] - top). */
#include "loss.h"
#include "vmath.h"

#include <math.h>

enum { ROWS = 16, STATE = 3 };

typedef fastnn_xent_args xent;

/* The largest entry of a row, or NaN if there is one. */
static T row_max(const T *x, idx c) {
    vec best = splat(-(T)INFINITY);
    ivec nan = {0};
    for (idx i = 0; i < c; i += VL) {
        vec v = load_some(x + i, c - i, -(T)INFINITY);
        nan |= v != v;
        best = select(v > best, v, best);
    }
    T top = best[0];
    I any = nan[0];
    for (idx j = 1; j < VL; ++j) {
        any |= nan[j];
        top = best[j] > top ? best[j] : top;
    }
    return any ? (T)NAN : top;
}

static double exp_sum(const T *x, idx c, T top) {
    sums s = {{0}};
    for (idx i = 0; i < c; i += VL)
        add_some(&s, vexp(load_some(x + i, c - i, 0) - splat(top)), c - i);
    return lanes_total(&s);
}

/* weight = sum of a[i] b[i], gap = sum of a[i] b[i] (top - x[i]); NULL stands for ones. */
typedef struct {
    double weight, gap;
} gaps;

static gaps row_gaps(const T *x, const T *a, const T *b, idx c, T top) {
    sums weight = {{0}}, gap = {{0}};
    for (idx i = 0; i < c; i += VL) {
        vec t = a ? load_some(a + i, c - i, 0) : splat(1);
        if (b) t *= load_some(b + i, c - i, 0);
        add_some(&weight, t, c - i);
        add_some(&gap, t * (splat(top) - load_some(x + i, c - i, 0)), c - i);
    }
    return (gaps){lanes_total(&weight), lanes_total(&gap)};
}

static void forward_row(const xent *v, idx n) {
    const T *x = (const T *)v->x + n * v->c, *w = v->w;
    double keep = 1 - v->smoothing, spread = v->smoothing / (double)v->c;
    T top = row_max(x, v->c);
    double sum = exp_sum(x, v->c, top), high = log(sum);
    gaps hit;
    if (v->labels) {
        idx y = (idx)v->labels[n];
        hit.weight = w ? (double)w[y] : 1;
        hit.gap = hit.weight * ((double)top - (double)x[y]);
    } else {
        hit = row_gaps(x, (const T *)v->target + n * v->c, w, v->c, top);
    }
    double loss = keep * (hit.gap + hit.weight * high), weight = keep * hit.weight;
    if (spread > 0) {
        gaps all = row_gaps(x, w, NULL, v->c, top);
        loss += spread * (all.gap + all.weight * high);
        weight += spread * all.weight;
    }
    v->loss[n] = loss;
    if (!v->state) return;
    double *state = v->state + n * STATE;
    state[0] = (double)top, state[1] = sum, state[2] = weight;
}

static void forward_task(void *ctx, idx task, int slot) {
    const xent *v = ctx;
    for (idx n = task * ROWS; n < least(v->n, (task + 1) * ROWS); ++n) {
        if (v->labels && v->labels[n] == v->ignore)
            v->loss[n] = 0;
        else
            forward_row(v, n);
    }
    (void)slot;
}

/* dx = (softmax(x) * sum of t - t) * scale. */
static void backward_row(const xent *v, idx n) {
    const T *x = (const T *)v->x + n * v->c, *w = v->w;
    const T *target = v->target ? (const T *)v->target + n * v->c : NULL;
    T *dx = (T *)v->dx + n * v->c;
    const double *state = v->state + n * STATE;
    double scale = v->scale[n], keep = 1 - v->smoothing;
    vec top = splat((T)state[0]), gain = splat((T)(state[2] * scale / state[1]));
    vec part = splat((T)(keep * scale)), spread = splat((T)(v->smoothing / (double)v->c * scale));
    int dense = target != NULL || v->smoothing > 0;
    for (idx i = 0; i < v->c; i += VL) {
        idx size = v->c - i;
        vec d = vexp(load_some(x + i, size, 0) - top) * gain;
        if (dense) {
            vec t = target ? load_some(target + i, size, 0) * part + spread : spread;
            d -= w ? t * load_some(w + i, size, 0) : t;
        }
        store_some(dx + i, size, d);
    }
    if (!target) {
        idx y = (idx)v->labels[n];
        dx[y] -= (T)(keep * scale * (w ? (double)w[y] : 1));
    }
}

/* dtarget = (1 - smoothing) * w * (log(sum) + top - x) * scale. */
static void backward_target_row(const xent *v, idx n) {
    const T *x = (const T *)v->x + n * v->c, *w = v->w;
    T *dt = (T *)v->dtarget + n * v->c;
    const double *state = v->state + n * STATE;
    vec top = splat((T)state[0]), high = splat((T)log(state[1]));
    vec gain = splat((T)((1 - v->smoothing) * v->scale[n]));
    for (idx i = 0; i < v->c; i += VL) {
        idx size = v->c - i;
        vec d = (high + (top - load_some(x + i, size, 0))) * gain;
        store_some(dt + i, size, w ? d * load_some(w + i, size, 0) : d);
    }
}

static void backward_task(void *ctx, idx task, int slot) {
    const xent *v = ctx;
    for (idx n = task * ROWS; n < least(v->n, (task + 1) * ROWS); ++n) {
        if (v->labels && v->labels[n] == v->ignore) {
            memset((T *)v->dx + n * v->c, 0, (size_t)v->c * sizeof(T));
            continue;
        }
        if (v->dx) backward_row(v, n);
        if (v->dtarget) backward_target_row(v, n);
    }
    (void)slot;
}

int FN(softmax_xent_forward)(const xent *v) {
    return fastnn_parallel_for(ceil_div(v->n, ROWS), forward_task, (void *)v, v->threads,
                               (double)v->n * (20 + (double)v->c));
}

int FN(softmax_xent_backward)(const xent *v) {
    return fastnn_parallel_for(ceil_div(v->n, ROWS), backward_task, (void *)v, v->threads,
                               (double)v->n * (10 + (double)v->c));
}
