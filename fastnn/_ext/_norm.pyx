"""The door to the compiled normalisation; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport check, data, kernel_table, kernels, norm_args, num_threads

cnp.import_array()


cdef int fill(norm_args *args, tuple sizes, double eps, bint training, mean, var) except -1:
    args.n, args.c, args.length = sizes
    args.eps = eps
    args.training = training
    args.mean, args.var = <double *>data(mean), <double *>data(var)
    args.threads = num_threads()
    return 0


def batch_forward(
    tuple sizes, double eps, bint training, cnp.ndarray x not None, w, b,
    cnp.ndarray mean not None, cnp.ndarray var not None, cnp.ndarray y not None,
):
    """y = batch_norm(x[n,c,l]); float64 `mean` and `var` are written in training, else read."""
    cdef norm_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, sizes, eps, training, mean, var)
    args.x, args.w, args.b, args.y = data(x), data(w), data(b), data(y)
    with nogil:
        status = table.batch_norm_forward(&args)
    check(status)


def batch_backward(
    tuple sizes, double eps, bint training, cnp.ndarray x not None, w,
    cnp.ndarray mean not None, cnp.ndarray var not None, cnp.ndarray dy not None, dx, dw, db,
):
    """dx, dw, db from dy and what forward kept; None skips one."""
    cdef norm_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, sizes, eps, training, mean, var)
    args.x, args.w, args.dy = data(x), data(w), data(dy)
    args.dx, args.dw, args.db = data(dx), data(dw), data(db)
    with nogil:
        status = table.batch_norm_backward(&args)
    check(status)
