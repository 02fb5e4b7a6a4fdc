"""The door to layer, group, instance and RMS normalisation; arrays come checked and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    check, data, kernel_table, kernels, num_threads, rownorm_args, workspace
)

cnp.import_array()


cdef int fill(rownorm_args *args, tuple sizes, bint centred, mean, inverse) except -1:
    args.n, args.g, args.k, args.length = sizes
    args.centred = centred
    args.mean, args.inverse = <double *>data(mean), <double *>data(inverse)
    args.threads = num_threads()
    args.workspace = workspace()
    return 0


def forward(
    tuple sizes, double eps, bint centred, cnp.ndarray x not None, cnp.ndarray w not None,
    cnp.ndarray b not None, mean, inverse, cnp.ndarray y not None,
):
    """y = normalised x[n,g,k,l] * w[g,k] + b[g,k]; float64 `mean`, `inverse` are kept if there."""
    cdef rownorm_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, sizes, centred, mean, inverse)
    args.eps = eps
    args.x, args.w, args.b, args.y = data(x), data(w), data(b), data(y)
    with nogil:
        status = table.rownorm_forward(&args)
    check(status)


def backward(
    tuple sizes, bint centred, cnp.ndarray x not None, cnp.ndarray w not None,
    cnp.ndarray mean not None, cnp.ndarray inverse not None, cnp.ndarray dy not None, dx, dw, db,
):
    """dx, dw, db from dy and what forward kept; None skips one."""
    cdef rownorm_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, sizes, centred, mean, inverse)
    args.x, args.w, args.dy = data(x), data(w), data(dy)
    args.dx, args.dw, args.db = data(dx), data(dw), data(db)
    with nogil:
        status = table.rownorm_backward(&args)
    check(status)
