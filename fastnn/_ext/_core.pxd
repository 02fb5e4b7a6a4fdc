"""What every family's door needs: argument records, the kernels, threads and scratch bounds."""

cimport numpy as cnp


cdef extern from "src/fastnn.h" nogil:
    ctypedef Py_ssize_t idx "ptrdiff_t"

    ctypedef struct gemm_args "fastnn_gemm_args":
        const void *a
        const void *b
        const void *bias
        void *c
        idx m, n, k
        idx a_row, a_col, b_row, b_col, ldc
        int threads

    ctypedef struct colsum_args "fastnn_colsum_args":
        const void *a
        void *sum
        idx m, n
        int threads

    ctypedef struct conv_args "fastnn_conv_args":
        const void *x
        const void *w
        const void *b
        const void *dy
        void *y
        void *dx
        void *dw
        void *db
        idx N, C, H, W, K, R, S, P, Q
        idx sh, sw, top, left, dh, dw_step, groups
        idx tile
        idx workspace
        int threads

    ctypedef struct pool_args "fastnn_pool_args":
        const void *x
        const void *dy
        void *y
        void *dx
        void *offset
        cnp.int64_t *index
        idx planes, H, W, R, S, P, Q
        idx sh, sw, top, left, dh, dw_step
        int threads

    ctypedef struct norm_args "fastnn_norm_args":
        const void *x
        const void *w
        const void *b
        const void *dy
        void *y
        void *dx
        void *dw
        void *db
        double *mean
        double *var
        double eps
        idx n, c, length "l"
        int training
        int threads

    ctypedef struct xent_args "fastnn_xent_args":
        const void *x
        const void *target
        const void *w
        const cnp.int64_t *labels
        double *loss
        double *state
        const double *scale
        void *dx
        void *dtarget
        double *totals
        double gain
        double smoothing
        cnp.int64_t ignore
        idx n, c, inner
        int threads

    ctypedef struct rownorm_args "fastnn_rownorm_args":
        const void *x
        const void *w
        const void *b
        const void *dy
        void *y
        void *dx
        void *dw
        void *db
        double *mean
        double *inverse
        double eps
        idx n, g, k, length "l"
        idx workspace
        int centred
        int threads

    ctypedef struct recurrent_args "fastnn_recurrent_args":
        const void *x
        const void *w_ih
        const void *w_hh
        const void *b_ih
        const void *b_hh
        const void *h0
        const void *c0
        const void *dy
        const void *dh
        const void *dc
        const cnp.int64_t *lengths
        void *y
        void *h
        void *c
        void *tape
        void *dx
        void *dw_ih
        void *dw_hh
        void *db_ih
        void *db_hh
        void *dh0
        void *dc0
        idx steps, batch, inputs, hidden
        int cell, reverse
        int threads

    ctypedef struct margin_args "fastnn_margin_args":
        const void *x
        const cnp.int64_t *labels
        double *loss
        const double *scale
        void *dx
        double margin
        idx n, c
        int power
        int threads

    ctypedef struct pointloss_args "fastnn_pointloss_args":
        const void *x
        const void *target
        const void *w
        const void *pos_weight
        const void *dy
        void *y
        void *dx
        void *dtarget
        double *total
        double delta, scale
        idx size
        int kind
        int threads

    ctypedef struct colmean_args "fastnn_colmean_args":
        const void *a
        double *mean
        idx m, n
        int threads

    ctypedef struct embedding_args "fastnn_embedding_args":
        const cnp.int64_t *indices
        const void *w
        const void *dy
        void *y
        void *dw
        cnp.int64_t padding
        idx m, rows, e
        int threads

    ctypedef struct pointwise_args "fastnn_pointwise_args":
        const void *x
        const void *dy
        void *y
        double a, b
        idx size
        int function
        int threads

    ctypedef struct softmax_args "fastnn_softmax_args":
        const void *x
        const void *dy
        void *y
        idx outer, c, inner
        int log
        int threads

    ctypedef struct axis "fastnn_axis":
        idx size, steps, taps, stride, before, after

    ctypedef struct window_args "fastnn_window_args":
        const void *x
        const void *dy
        void *y
        void *dx
        cnp.int64_t *index
        axis rows, cols
        double divisor
        idx planes
        int padding_counts
        int threads

    ctypedef struct places_args "fastnn_places_args":
        const void *source "from"
        const cnp.int64_t *place
        void *to
        idx planes, few, many
        int add
        int threads

    ctypedef struct resample_args "fastnn_resample_args":
        const void *x
        const void *dy
        void *y
        void *dx
        const cnp.int64_t *row
        const cnp.int64_t *col
        const double *row_weight
        const double *col_weight
        idx planes, H, W, P, Q
        int threads

    ctypedef struct pad_args "fastnn_pad_args":
        const void *source "from"
        void *to
        double value
        idx size[66]
        idx before[66]
        idx after[66]
        int axes, mode
        int threads

    ctypedef struct dropout_args "fastnn_dropout_args":
        const void *x
        void *y
        cnp.uint64_t key[2]
        cnp.uint64_t least
        double scale
        idx size
        int threads

    ctypedef struct prelu_args "fastnn_prelu_args":
        const void *x
        const void *w
        const void *dy
        void *y
        void *dw
        idx n, c, length "l", size
        int threads

    ctypedef struct limits_args "fastnn_limits_args":
        const void *source "from"
        void *target "to"
        idx size, tasks
        int threads

    ctypedef struct tensor "fastnn_tensor":
        void *param
        void *grad
        void *state[3]
        idx size, start

    ctypedef struct optim_args "fastnn_optim_args":
        const tensor *tensors
        idx count, size
        double rate, keep, decay, first, second, root, eps, scale, limit
        double *total
        int kind, nesterov
        int threads

    ctypedef struct kernel_table "fastnn_kernels":
        int (*gemm)(const gemm_args *) noexcept nogil
        int (*colsum)(const colsum_args *) noexcept nogil
        int (*conv_im2col_forward)(const conv_args *) noexcept nogil
        int (*conv_im2col_backward_data)(const conv_args *) noexcept nogil
        int (*conv_im2col_backward_filter)(const conv_args *) noexcept nogil
        int (*conv_direct_forward)(const conv_args *) noexcept nogil
        int (*conv_direct_backward_data)(const conv_args *) noexcept nogil
        int (*conv_direct_backward_filter)(const conv_args *) noexcept nogil
        int (*conv_depthwise_forward)(const conv_args *) noexcept nogil
        int (*conv_depthwise_backward_data)(const conv_args *) noexcept nogil
        int (*conv_depthwise_backward_filter)(const conv_args *) noexcept nogil
        int (*conv_winograd_forward)(const conv_args *) noexcept nogil
        int (*conv_winograd_backward_data)(const conv_args *) noexcept nogil
        int (*conv_winograd_backward_filter)(const conv_args *) noexcept nogil
        int (*conv_backward_bias)(const conv_args *) noexcept nogil
        int (*conv_unfold)(const conv_args *) noexcept nogil
        int (*conv_fold)(const conv_args *) noexcept nogil
        int (*max_pool_forward)(const pool_args *) noexcept nogil
        int (*max_pool_backward)(const pool_args *) noexcept nogil
        int (*avg_pool_forward)(const window_args *) noexcept nogil
        int (*avg_pool_backward)(const window_args *) noexcept nogil
        int (*window_max)(const window_args *) noexcept nogil
        int (*places_scatter)(const places_args *) noexcept nogil
        int (*places_gather)(const places_args *) noexcept nogil
        int (*resample_forward)(const resample_args *) noexcept nogil
        int (*resample_backward)(const resample_args *) noexcept nogil
        int (*pad_forward)(const pad_args *) noexcept nogil
        int (*pad_backward)(const pad_args *) noexcept nogil
        int (*batch_norm_forward)(const norm_args *) noexcept nogil
        int (*batch_norm_backward)(const norm_args *) noexcept nogil
        int (*rownorm_forward)(const rownorm_args *) noexcept nogil
        int (*rownorm_backward)(const rownorm_args *) noexcept nogil
        int (*pointwise_forward)(const pointwise_args *) noexcept nogil
        int (*pointwise_backward)(const pointwise_args *) noexcept nogil
        int (*softmax)(const softmax_args *) noexcept nogil
        int (*prelu)(const prelu_args *) noexcept nogil
        int (*dropout)(const dropout_args *) noexcept nogil
        int (*softmax_xent_forward)(const xent_args *) noexcept nogil
        int (*softmax_xent_backward)(const xent_args *) noexcept nogil
        int (*multi_margin_forward)(const margin_args *) noexcept nogil
        int (*multi_margin_backward)(const margin_args *) noexcept nogil
        int (*pointloss_forward)(const pointloss_args *) noexcept nogil
        int (*pointloss_backward)(const pointloss_args *) noexcept nogil
        int (*column_means)(const colmean_args *) noexcept nogil
        int (*embedding_forward)(const embedding_args *) noexcept nogil
        int (*embedding_backward)(const embedding_args *) noexcept nogil
        int (*recurrent_forward)(const recurrent_args *) noexcept nogil
        int (*recurrent_backward)(const recurrent_args *) noexcept nogil
        int (*limits_multiply_add)(const limits_args *) noexcept nogil
        int (*limits_copy)(const limits_args *) noexcept nogil
        int (*optim_step)(const optim_args *) noexcept nogil
        int (*optim_squares)(const optim_args *) noexcept nogil
        int (*optim_clip)(const optim_args *) noexcept nogil


cdef const kernel_table *kernels(cnp.ndarray a) except NULL
cdef void *data(object a) except? NULL
cdef cnp.ndarray new_array(int axes, cnp.npy_intp *sizes, int typenum)
cdef int num_threads() except -1
cdef idx workspace() except -1
cdef int check(int status) except -1
