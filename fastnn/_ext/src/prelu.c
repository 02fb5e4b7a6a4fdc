/* y = x where x > 0, else w x, of x[n,c,l] with a weight per channel; dx and dw from dy. */
#include "sums.h"
#include "vmath.h"

enum { MOST_CHUNKS = 32, WORK = 4096, CHAIN = 64 };

typedef fastnn_prelu_args prelu;

/* A unit is one channel of a chunk of samples, or, where a channel has one number per sample, all
 * channels of it. Chunks follow from the shape alone, and their sums are added in order. */
typedef struct {
    const prelu *v;
    double *partial; /* [chunks][c] */
    idx chunks;
} job;

/* Sum of dy * x where not x > 0. */
static double row_slope_sum(const T *x, const T *dy, idx size) {
    double sum = 0;
    for (idx i = 0; i < size; i += CHAIN * VL) {
        vec s = {0};
        idx end = least(size, i + CHAIN * VL), j = i;
        for (; j + VL <= end; j += VL)
            s += select(load(x + j) > (vec){0}, (vec){0}, load(dy + j) * load(x + j));
        if (j < end) {
            vec rest = load_rest(x + j, end - j, 0);
            s += select(rest > (vec){0}, (vec){0}, load_rest(dy + j, end - j, 0) * rest);
        }
        sum += total(s);
    }
    return sum;
}

/* y = a where x > 0, else w a; a is x itself or dy. */
static void row(const T *x, const T *a, T w, T *restrict y, idx size) {
    for (idx i = 0; i < size; ++i) y[i] = x[i] > 0 ? a[i] : w * a[i];
}

static void across(const T *x, const T *a, const T *w, T *restrict y, idx size) {
    for (idx i = 0; i < size; ++i) y[i] = x[i] > 0 ? a[i] : w[i] * a[i];
}

static void across_sum(const T *x, const T *dy, double *restrict sum, idx size) {
    for (idx i = 0; i < size; ++i) sum[i] += x[i] > 0 ? 0 : (double)dy[i] * (double)x[i];
}

static void task_of(void *ctx, idx task, int slot) {
    const job *j = ctx;
    const prelu *v = j->v;
    const T *x = v->x, *w = v->w, *dy = v->dy, *a = dy ? dy : x;
    T *y = v->y;
    const int flat = v->l == 1;
    const idx chunk = flat ? task : task / v->c, k = flat ? 0 : task % v->c;
    double *sum = j->partial ? j->partial + chunk * v->c + k : NULL;
    for (idx n = part(v->n, j->chunks, chunk); n < part(v->n, j->chunks, chunk + 1); ++n) {
        idx start = (n * v->c + k) * v->l;
        if (flat) {
            if (y) across(x + start, a + start, w, y + start, v->c);
            if (sum) across_sum(x + start, dy + start, sum, v->c);
        } else {
            idx size = least(v->l, v->size - start);
            if (y) row(x + start, a + start, w[k], y + start, size);
            if (sum) *sum += row_slope_sum(x + start, dy + start, size);
        }
    }
    (void)slot;
}

int FN(prelu)(const prelu *v) {
    idx work = v->n * v->l * (v->l == 1 ? v->c : 1) / WORK;
    job j = {v, NULL, least(most(1, work), least(v->n, MOST_CHUNKS))};
    if (v->dw) {
        size_t bytes = (size_t)(j.chunks * v->c) * sizeof(double);
        j.partial = fastnn_scratch(bytes);
        if (!j.partial) return FASTNN_NOMEM;
        memset(j.partial, 0, bytes);
    }
    int status = fastnn_parallel_for(v->l == 1 ? j.chunks : j.chunks * v->c, task_of, &j,
                                     v->threads, (double)v->size * .4);
    for (idx k = 0; v->dw && status == FASTNN_OK && k < v->c; ++k) {
        double sum = 0;
        for (idx i = 0; i < j.chunks; ++i) sum += j.partial[i * v->c + k];
        ((T *)v->dw)[k] = (T)sum;
    }
    if (j.partial) fastnn_scratch_release(j.partial);
    return status;
}
