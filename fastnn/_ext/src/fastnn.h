/* What compiled code shares: sizes, threads, scratch memory and the table of kernels.
 *
 * Kernels are compiled once per instruction set and element type. Each takes one record of
 * arguments with untyped pointers; the table for an instruction set and a type is found once, at
 * import, so callers never name an instruction set. */
#ifndef FASTNN_H
#define FASTNN_H

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t idx;

/* The one name that is seen from outside: by it threadpoolctl knows the library. */
#if defined(_WIN32)
#define FASTNN_EXPORT __declspec(dllexport)
#else
#define FASTNN_EXPORT __attribute__((visibility("default")))
#endif

/* Status of a kernel. INTERRUPTED: the Python error is set already. */
enum { FASTNN_OK = 0, FASTNN_NOMEM = -1, FASTNN_INTERRUPTED = -2 };

/* -- threads.c ------------------------------------------------------------------------------- */

/* A task writes to its own part of the output; `slot` in [0, threads) is unique among the tasks
 * that run at the same time, for picking scratch memory, and must not influence results. */
typedef void (*fastnn_task)(void *ctx, idx task, int slot);

/* Run fn(ctx, 0 .. ntasks-1) on up to `threads` threads; `nanoseconds` is an estimate of the whole
 * work on one thread, below a threshold it runs serially. Calls from inside a task run serially.
 * Returns FASTNN_OK, or FASTNN_INTERRUPTED if a signal handler raised: some tasks did not run. */
FASTNN_EXPORT int fastnn_parallel_for(idx ntasks, fastnn_task fn, void *ctx, int threads,
                                      double nanoseconds);

/* The same for work in place that must not be left half done: signals wait for its end. */
int fastnn_parallel_whole(idx ntasks, fastnn_task fn, void *ctx, int threads, double nanoseconds);

/* For tasks that may take more than about 50 ms: whether the call is interrupted, so that what the
 * task computes is not wanted any more. On the calling thread it looks for signals if it is time.
 */
int fastnn_stopped(void);

/* Called on the calling thread about every 50 ms; non-zero stops the region. */
void fastnn_set_interrupt_check(int (*check)(void));

/* How often this process and those it comes from were forked. */
unsigned fastnn_forks(void);

/* Registers the fork handler; call once. */
void fastnn_threads_init(void);

/* -- blocks.c -------------------------------------------------------------------------------- */

/* 64-byte aligned memory, uninitialised, from a cache of released blocks; NULL if there is none.
 * A block has at least the bytes that were asked for. */
void *fastnn_block(size_t bytes);
void fastnn_block_release(void *block);
size_t fastnn_block_bytes(const void *block);

/* The cache keeps at most `bytes` (256 MiB if not told); clearing frees all, returns how much. */
void fastnn_keep_blocks(size_t bytes);
size_t fastnn_clear_blocks(void);

/* Scratch memory of kernels; the most that was in use at a time since the last question. */
void *fastnn_scratch(size_t bytes);
void fastnn_scratch_release(void *block);
size_t fastnn_scratch_most(void);

/* -- kernels --------------------------------------------------------------------------------- */

/* Which loss of an element x and its target, see ops/pointwise_loss/spec.py. */
enum { FASTNN_MSE, FASTNN_L1, FASTNN_HUBER, FASTNN_BCE, FASTNN_KL, FASTNN_KL_LOG };

/* Functions of one element: name, and picoseconds per float32 element, for choosing between one
 * thread and many. The second list has no derivatives: it is the door to vmath.h for tests. */
#define FASTNN_ACTIVATIONS(F)                                                                      \
    F(relu, 250)                                                                                   \
    F(leaky_relu, 250)                                                                             \
    F(elu, 900)                                                                                    \
    F(gelu, 1800)                                                                                  \
    F(gelu_tanh, 1000)                                                                             \
    F(silu, 900)                                                                                   \
    F(sigmoid, 900)                                                                                \
    F(tanh, 1000)                                                                                  \
    F(softplus, 1600)                                                                              \
    F(hardsigmoid, 250)                                                                            \
    F(hardswish, 300)
#define FASTNN_MATHS(F)                                                                            \
    F(exp, 700)                                                                                    \
    F(expm1, 700)                                                                                  \
    F(log, 900)                                                                                    \
    F(log1p, 900)                                                                                  \
    F(normal_cdf, 1500)
#define FASTNN_FUNCTIONS(F) FASTNN_ACTIVATIONS(F) FASTNN_MATHS(F)

/* Windows along an axis of `size` cells: `steps` windows of `taps` cells, `stride` apart, with
 * cells around the image; `taps` 0 stands for adaptive ones, which share the axis out. */
typedef struct {
    idx size, steps, taps, stride, before, after;
} fastnn_axis;

enum { FASTNN_PAD_CONSTANT, FASTNN_PAD_REFLECT, FASTNN_PAD_REPLICATE, FASTNN_PAD_AXES = 66 };

/* c[m,n] = a[m,k] b[k,n] (+ bias[n]); strides in elements, c row-major with row stride ldc. */
typedef struct {
    const void *a, *b, *bias;
    void *c;
    idx m, n, k;
    idx a_row, a_col, b_row, b_col, ldc;
    int threads;
} fastnn_gemm_args;

/* sum[j] = sum over i of a[i,j], a row-major m x n, added up in float64. */
typedef struct {
    const void *a;
    void *sum;
    idx m, n;
    int threads;
} fastnn_colsum_args;

/* N C H W images, K C/groups R S filters, N K P Q results; see ops/conv/spec.py. `b`, if not NULL,
 * is added to what a kernel writes: per filter to y, per channel to dx. `workspace` bounds scratch
 * memory in bytes. `tile`: results along a side of a Winograd tile, 2 or 4. */
typedef struct {
    const void *x, *w, *b, *dy;
    void *y, *dx, *dw, *db;
    idx N, C, H, W, K, R, S, P, Q;
    idx sh, sw, top, left, dh, dw_step, groups;
    idx tile;
    idx workspace;
    int threads;
} fastnn_conv_args;

/* Max-pooling of `planes` planes H W with windows R S to P Q. `offset` holds the winner's place in
 * its window, r*S + s, as uint8 if R*S <= 255, else as int32, `index` its place in the plane, or
 * -1; NULL if not wanted. */
typedef struct {
    const void *x, *dy;
    void *y, *dx, *offset;
    int64_t *index;
    idx planes, H, W, R, S, P, Q;
    idx sh, sw, top, left, dh, dw_step;
    int threads;
} fastnn_pool_args;

/* Batch normalisation of x[n,c,l]. `mean` and `var` (biased) are float64[c]: results in training,
 * inputs in evaluation. w, b may be NULL (1 and 0). */
typedef struct {
    const void *x, *w, *b, *dy;
    void *y, *dx, *dw, *db;
    double *mean, *var;
    double eps;
    idx n, c, l;
    int training;
    int threads;
} fastnn_norm_args;

/* Cross-entropy of the softmax of rows x[n,c], or of x[n/inner,c,inner] along c, against labels[n]
 * or, if those are NULL, against the probabilities target[n,c]; w[c], NULL for ones, weighs the
 * classes. `loss` is float64[n], 0 where labels[n] == ignore; `state`, float64[3,n], is what
 * backward needs. Backward's gradients are those of the losses times scale[n], or `gain` if that is
 * NULL; dtarget only with target; NULL ones are not computed. `totals`, if not NULL, gets the sum
 * of the losses and that of what the mean divides by: the weights of the labels that count, or the
 * number of rows. */
typedef struct {
    const void *x, *target, *w;
    const int64_t *labels;
    double *loss, *state;
    const double *scale;
    void *dx, *dtarget;
    double *totals;
    double gain;
    double smoothing;
    int64_t ignore;
    idx n, c, inner;
    int threads;
} fastnn_xent_args;

/* Row normalisation of x[n,g,k,l]: statistics per (n,g) over k and l, affine w[g,k], b[g,k] (never
 * NULL). Float64 `mean` and `inverse` = 1/sqrt(var + eps) of [n,g] are results of forward, unless
 * NULL, and inputs of backward. If not `centred` the mean is 0 and never estimated. `workspace`
 * bounds scratch memory in bytes, besides two numbers per channel. */
typedef struct {
    const void *x, *w, *b, *dy;
    void *y, *dx, *dw, *db;
    double *mean, *inverse;
    double eps;
    idx n, g, k, l;
    idx workspace;
    int centred;
    int threads;
} fastnn_rownorm_args;

/* One recurrent layer in one direction: x[steps,batch,inputs], y[steps,batch,hidden], weights
 * gate after gate, states[batch,hidden]; `cell` counts in the order of ops/recurrent/spec.py.
 * Forward writes `tape` if it is there; backward reads it, with y and the initial states, and
 * writes the gradients, always dh0, and dc0 if there is a c. NULL: 0, or not wanted. */
typedef struct {
    const void *x, *w_ih, *w_hh, *b_ih, *b_hh, *h0, *c0;
    const void *dy, *dh, *dc;
    const int64_t *lengths;
    void *y, *h, *c, *tape;
    void *dx, *dw_ih, *dw_hh, *db_ih, *db_hh, *dh0, *dc0;
    idx steps, batch, inputs, hidden;
    int cell, reverse;
    int threads;
} fastnn_recurrent_args;

/* Hinge loss of rows x[n,c]: loss[n] = sum over c != y of max(0, x[n,c] - x[n,y] + margin)^power,
 * y = labels[n], power 1 or 2; dx is its gradient times scale[n]. */
typedef struct {
    const void *x;
    const int64_t *labels;
    double *loss;
    const double *scale;
    void *dx;
    double margin;
    idx n, c;
    int power;
    int threads;
} fastnn_margin_args;

/* Losses of `size` elements, times w if not NULL: into y, or their sum into `total`; the other is
 * NULL. dx and dtarget, NULL if not wanted, are gradients times dy, or times scale if dy is NULL.
 */
typedef struct {
    const void *x, *target, *w, *pos_weight, *dy;
    void *y, *dx, *dtarget;
    double *total;
    double delta, scale;
    idx size;
    int kind;
    int threads;
} fastnn_pointloss_args;

/* mean[j] = mean over i of a[i,j], a row-major m x n, in float64. */
typedef struct {
    const void *a;
    double *mean;
    idx m, n;
    int threads;
} fastnn_colmean_args;

/* y[m] = w[indices[m]], rows of e elements of a table of `rows`; dw = for each row the sum of dy
 * over its places, in their order, 0 for row `padding` (negative: none). */
typedef struct {
    const int64_t *indices;
    const void *w, *dy;
    void *y, *dw;
    int64_t padding;
    idx m, rows, e;
    int threads;
} fastnn_embedding_args;

/* y[i] = f(x[i]), or y[i] = dy[i] f'(..) where x holds what forward saved, x or y. `function` is a
 * place in FASTNN_FUNCTIONS, a and b its parameters. */
typedef struct {
    const void *x, *dy;
    void *y;
    double a, b;
    idx size;
    int function;
    int threads;
} fastnn_pointwise_args;

/* y = softmax of x[outer,c,inner] along c, or its logarithm; with dy, y = the gradient of x, and x
 * is the result. */
typedef struct {
    const void *x, *dy;
    void *y;
    idx outer, c, inner;
    int log;
    int threads;
} fastnn_softmax_args;

/* Averages of `planes` planes, or maxima with their places in the plane (`index`, NULL if not
 * wanted). A `divisor` above 0 stands for the number of cells, with or without padding. */
typedef struct {
    const void *x, *dy;
    void *y, *dx;
    int64_t *index;
    fastnn_axis rows, cols;
    double divisor;
    idx planes;
    int padding_counts;
    int threads;
} fastnn_window_args;

/* Per plane: scatter `few` numbers to their places among `many`, set or, with `add`, added to
 * zeros; or gather them. Places are in range. */
typedef struct {
    const void *from;
    const int64_t *place;
    void *to;
    idx planes, few, many;
    int add;
    int threads;
} fastnn_places_args;

/* Planes H W at new rows and columns: row[p] and col[q] are the neighbours at lower indices, the
 * weights those of the neighbours after them; NULL weights for the nearest neighbour alone. */
typedef struct {
    const void *x, *dy;
    void *y, *dx;
    const int64_t *row, *col;
    const double *row_weight, *col_weight;
    idx planes, H, W, P, Q;
    int threads;
} fastnn_resample_args;

/* Padding; backward from dy to dx. There is at least one axis, and no padding on the first. */
typedef struct {
    const void *from;
    void *to;
    double value;
    idx size[FASTNN_PAD_AXES], before[FASTNN_PAD_AXES], after[FASTNN_PAD_AXES];
    int axes, mode;
    int threads;
} fastnn_pad_args;

/* y[i] = x[i] * scale where the random bits of key and i are at least `least`, else 0. */
typedef struct {
    const void *x;
    void *y;
    uint64_t key[2];
    uint64_t least;
    double scale;
    idx size;
    int threads;
} fastnn_dropout_args;

/* y = x where x > 0, else w x, of x[n,c,l], w[c], c = 1 or n*c*l = size (else the last l is
 * shorter). With dy: y = dx and dw; NULL ones are not computed. */
typedef struct {
    const void *x, *w, *dy;
    void *y, *dw;
    idx n, c, l, size;
    int threads;
} fastnn_prelu_args;

/* See limits.c. */
typedef struct {
    const void *from;
    void *to;
    idx size, tasks;
    int threads;
} fastnn_limits_args;

/* A parameter of `size` elements with its gradient and an optimiser's state; `start` of them are
 * in the parameters before it. */
typedef struct {
    void *param, *grad, *state[3];
    idx size, start;
} fastnn_tensor;

enum { FASTNN_SGD, FASTNN_ADAM, FASTNN_RMSPROP, FASTNN_ADAGRAD };

/* One step of an optimiser for `count` parameters, `size` elements in all. Gradients are first
 * multiplied by `scale`, then held within -limit .. limit; parameters by `keep`. `first` and
 * `second` are the shares that stay of the moments (of momentum and squares), `root` is what the
 * root of the squares is multiplied by. See optim/_numpy.py for the formulas. `total`: the sum of
 * the squared gradients, for optim_squares. */
typedef struct {
    const fastnn_tensor *tensors;
    idx count, size;
    double rate, keep, decay, first, second, root, eps, scale, limit;
    double *total;
    int kind, nesterov;
    int threads;
} fastnn_optim_args;

/* The one list of kernels: name and argument record. */
#define FASTNN_KERNELS(KERNEL)                                                                     \
    /* linear */                                                                                   \
    KERNEL(gemm, fastnn_gemm_args)                                                                 \
    KERNEL(colsum, fastnn_colsum_args)                                                             \
    /* conv */                                                                                     \
    KERNEL(conv_im2col_forward, fastnn_conv_args)                                                  \
    KERNEL(conv_im2col_backward_data, fastnn_conv_args)                                            \
    KERNEL(conv_im2col_backward_filter, fastnn_conv_args)                                          \
    KERNEL(conv_direct_forward, fastnn_conv_args)                                                  \
    KERNEL(conv_direct_backward_data, fastnn_conv_args)                                            \
    KERNEL(conv_direct_backward_filter, fastnn_conv_args)                                          \
    KERNEL(conv_depthwise_forward, fastnn_conv_args)                                               \
    KERNEL(conv_depthwise_backward_data, fastnn_conv_args)                                         \
    KERNEL(conv_depthwise_backward_filter, fastnn_conv_args)                                       \
    KERNEL(conv_winograd_forward, fastnn_conv_args)                                                \
    KERNEL(conv_winograd_backward_data, fastnn_conv_args)                                          \
    KERNEL(conv_winograd_backward_filter, fastnn_conv_args)                                        \
    KERNEL(conv_backward_bias, fastnn_conv_args)                                                   \
    KERNEL(conv_unfold, fastnn_conv_args)                                                          \
    KERNEL(conv_fold, fastnn_conv_args)                                                            \
    /* pool */                                                                                     \
    KERNEL(max_pool_forward, fastnn_pool_args)                                                     \
    KERNEL(max_pool_backward, fastnn_pool_args)                                                    \
    KERNEL(avg_pool_forward, fastnn_window_args)                                                   \
    KERNEL(avg_pool_backward, fastnn_window_args)                                                  \
    KERNEL(window_max, fastnn_window_args)                                                         \
    KERNEL(places_scatter, fastnn_places_args)                                                     \
    KERNEL(places_gather, fastnn_places_args)                                                      \
    /* resample */                                                                                 \
    KERNEL(resample_forward, fastnn_resample_args)                                                 \
    KERNEL(resample_backward, fastnn_resample_args)                                                \
    KERNEL(pad_forward, fastnn_pad_args)                                                           \
    KERNEL(pad_backward, fastnn_pad_args)                                                          \
    /* norm */                                                                                     \
    KERNEL(batch_norm_forward, fastnn_norm_args)                                                   \
    KERNEL(batch_norm_backward, fastnn_norm_args)                                                  \
    KERNEL(rownorm_forward, fastnn_rownorm_args)                                                   \
    KERNEL(rownorm_backward, fastnn_rownorm_args)                                                  \
    /* activation */                                                                               \
    KERNEL(pointwise_forward, fastnn_pointwise_args)                                               \
    KERNEL(pointwise_backward, fastnn_pointwise_args)                                              \
    KERNEL(softmax, fastnn_softmax_args)                                                           \
    KERNEL(prelu, fastnn_prelu_args)                                                               \
    KERNEL(dropout, fastnn_dropout_args)                                                           \
    /* loss */                                                                                     \
    KERNEL(softmax_xent_forward, fastnn_xent_args)                                                 \
    KERNEL(softmax_xent_backward, fastnn_xent_args)                                                \
    KERNEL(multi_margin_forward, fastnn_margin_args)                                               \
    KERNEL(multi_margin_backward, fastnn_margin_args)                                              \
    KERNEL(pointloss_forward, fastnn_pointloss_args)                                               \
    KERNEL(pointloss_backward, fastnn_pointloss_args)                                              \
    KERNEL(column_means, fastnn_colmean_args)                                                      \
    /* embedding */                                                                                \
    KERNEL(embedding_forward, fastnn_embedding_args)                                               \
    KERNEL(embedding_backward, fastnn_embedding_args)                                              \
    /* recurrent */                                                                                \
    KERNEL(recurrent_forward, fastnn_recurrent_args)                                               \
    KERNEL(recurrent_backward, fastnn_recurrent_args)                                              \
    /* limits */                                                                                   \
    KERNEL(limits_multiply_add, fastnn_limits_args)                                                \
    KERNEL(limits_copy, fastnn_limits_args)                                                        \
    /* optim */                                                                                    \
    KERNEL(optim_step, fastnn_optim_args)                                                          \
    KERNEL(optim_squares, fastnn_optim_args)                                                       \
    KERNEL(optim_clip, fastnn_optim_args)

typedef struct {
#define KERNEL(name, args) int (*name)(const args *);
    FASTNN_KERNELS(KERNEL)
#undef KERNEL
} fastnn_kernels;

/* -- isa.c ----------------------------------------------------------------------------------- */

/* Instruction sets that were built and that this CPU has, lowest first; NULL after the last. */
const char *fastnn_isa_name(int level);

/* The kernels for `level` (an index of the list above) and element type, NULL if there is none. */
const fastnn_kernels *fastnn_table(int level, int is_double);

#endif
