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

/* Status of a kernel. INTERRUPTED: the Python error is set already. */
enum { FASTNN_OK = 0, FASTNN_NOMEM = -1, FASTNN_INTERRUPTED = -2 };

/* -- threads.c ------------------------------------------------------------------------------- */

/* A task writes to its own part of the output; `slot` in [0, threads) is unique among the tasks
 * that run at the same time, for picking scratch memory, and must not influence results. */
typedef void (*fastnn_task)(void *ctx, idx task, int slot);

/* Run fn(ctx, 0 .. ntasks-1) on up to `threads` threads; `nanoseconds` is an estimate of the whole
 * work on one thread, below a threshold it runs serially. Calls from inside a task run serially.
 * Returns FASTNN_OK, or FASTNN_INTERRUPTED if a signal handler raised: some tasks did not run. */
int fastnn_parallel_for(idx ntasks, fastnn_task fn, void *ctx, int threads, double nanoseconds);

/* Called between tasks on the calling thread about every 50 ms; non-zero stops the region. */
void fastnn_set_interrupt_check(int (*check)(void));

/* Registers the fork handler; call once. */
void fastnn_threads_init(void);

/* -- scratch.c ------------------------------------------------------------------------------- */

/* 64-byte aligned memory from a small cache of blocks, so that calls do not fault fresh pages;
 * NULL if there is none. `fastnn_clear_scratch` frees what is cached and not in use. */
void *fastnn_scratch(size_t bytes);
void fastnn_scratch_release(void *block);
size_t fastnn_clear_scratch(void);

/* -- kernels --------------------------------------------------------------------------------- */

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

/* N C H W images, K C/groups R S filters, N K P Q results; see ops/conv/spec.py. NULL gradients
 * are not computed. `workspace` bounds scratch memory in bytes. */
typedef struct {
    const void *x, *w, *b, *dy;
    void *y, *dx, *dw, *db;
    idx N, C, H, W, K, R, S, P, Q;
    idx sh, sw, top, left, dh, dw_step, groups;
    idx workspace;
    int threads;
} fastnn_conv_args;

/* Max-pooling of `planes` planes H W with windows R S to P Q. `offset` holds the winner's place in
 * its window, r*S + s, as uint8 if R*S <= 255, else as int32; NULL if not wanted. */
typedef struct {
    const void *x, *dy;
    void *y, *dx, *offset;
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

/* y = relu(x), or dx = dy where not (y <= 0). */
typedef struct {
    const void *x, *y_in, *dy;
    void *y, *dx;
    idx size;
    int threads;
} fastnn_relu_args;

/* Softmax cross-entropy of rows x[n,c] against labels[n]: `loss` is float64[n], `state`
 * float64[n,2] holds a row's maximum and 1 / sum of exp(x - maximum). Backward, from it: dx =
 * (softmax(x) - onehot) * scale[n]. */
typedef struct {
    const void *x;
    const int64_t *labels;
    double *loss, *state;
    const double *scale;
    void *dx;
    idx n, c;
    int threads;
} fastnn_xent_args;

/* The one list of kernels: name and argument record. */
#define FASTNN_KERNELS(KERNEL)                                                                     \
    /* linear */                                                                                   \
    KERNEL(gemm, fastnn_gemm_args)                                                                 \
    KERNEL(colsum, fastnn_colsum_args)                                                             \
    /* conv */                                                                                     \
    KERNEL(conv_im2col_forward, fastnn_conv_args)                                                  \
    KERNEL(conv_im2col_backward_data, fastnn_conv_args)                                            \
    KERNEL(conv_im2col_backward_filter, fastnn_conv_args)                                          \
    /* pool */                                                                                     \
    KERNEL(max_pool_forward, fastnn_pool_args)                                                     \
    KERNEL(max_pool_backward, fastnn_pool_args)                                                    \
    /* norm */                                                                                     \
    KERNEL(batch_norm_forward, fastnn_norm_args)                                                   \
    KERNEL(batch_norm_backward, fastnn_norm_args)                                                  \
    KERNEL(rownorm_forward, fastnn_rownorm_args)                                                   \
    KERNEL(rownorm_backward, fastnn_rownorm_args)                                                  \
    /* activation */                                                                               \
    KERNEL(relu_forward, fastnn_relu_args)                                                         \
    KERNEL(relu_backward, fastnn_relu_args)                                                        \
    /* loss */                                                                                     \
    KERNEL(softmax_xent_forward, fastnn_xent_args)                                                 \
    KERNEL(softmax_xent_backward, fastnn_xent_args)

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
