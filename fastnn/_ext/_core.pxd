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
        idx workspace
        int threads

    ctypedef struct pool_args "fastnn_pool_args":
        const void *x
        const void *dy
        void *y
        void *dx
        void *offset
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

    ctypedef struct relu_args "fastnn_relu_args":
        const void *x
        const void *y_in
        const void *dy
        void *y
        void *dx
        idx size
        int threads

    ctypedef struct xent_args "fastnn_xent_args":
        const void *x
        const cnp.int64_t *labels
        double *loss
        double *state
        const double *scale
        void *dx
        idx n, c
        int threads

    ctypedef struct kernel_table "fastnn_kernels":
        int (*gemm)(const gemm_args *) noexcept nogil
        int (*colsum)(const colsum_args *) noexcept nogil
        int (*conv_im2col_forward)(const conv_args *) noexcept nogil
        int (*conv_im2col_backward_data)(const conv_args *) noexcept nogil
        int (*conv_im2col_backward_filter)(const conv_args *) noexcept nogil
        int (*max_pool_forward)(const pool_args *) noexcept nogil
        int (*max_pool_backward)(const pool_args *) noexcept nogil
        int (*batch_norm_forward)(const norm_args *) noexcept nogil
        int (*batch_norm_backward)(const norm_args *) noexcept nogil
        int (*rownorm_forward)(const rownorm_args *) noexcept nogil
        int (*rownorm_backward)(const rownorm_args *) noexcept nogil
        int (*relu_forward)(const relu_args *) noexcept nogil
        int (*relu_backward)(const relu_args *) noexcept nogil
        int (*softmax_xent_forward)(const xent_args *) noexcept nogil
        int (*softmax_xent_backward)(const xent_args *) noexcept nogil


cdef const kernel_table *kernels(cnp.ndarray a) except NULL
cdef void *data(object a) except? NULL
cdef int num_threads() except -1
cdef idx workspace() except -1
cdef int check(int status) except -1
