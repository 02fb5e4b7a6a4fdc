"""The door to the compiled matrix product; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    check, colsum_args, data, gemm_args, kernel_table, kernels, new_array, num_threads
)

cnp.import_array()


def forward(cnp.ndarray x not None, cnp.ndarray w not None, b, out):
    """x wT (+ b) over the last axis of x, in `out` or a new array."""
    cdef gemm_args args
    cdef int status, axes = cnp.PyArray_NDIM(x)
    cdef const kernel_table *table = kernels(x)
    cdef cnp.npy_intp sizes[64]
    args.n, args.k = cnp.PyArray_DIM(w, 0), cnp.PyArray_DIM(w, 1)
    args.m = cnp.PyArray_SIZE(x) // args.k
    if out is None:
        for i in range(axes):
            sizes[i] = cnp.PyArray_DIM(x, i)
        sizes[axes - 1] = args.n
        out = new_array(axes, sizes, cnp.PyArray_TYPE(x))
    args.a, args.b, args.bias, args.c = data(x), data(w), data(b), data(out)
    args.a_row, args.a_col, args.b_row, args.b_col = args.k, 1, 1, args.k
    args.ldc = args.n
    args.threads = num_threads()
    with nogil:
        status = table.gemm(&args)
    check(status)
    return out


def gemm(cnp.ndarray a not None, cnp.ndarray b not None, bias, cnp.ndarray c not None):
    """c = a b (+ bias per column) for matrices; a and b may be transposed views."""
    cdef gemm_args args
    cdef int status
    cdef const kernel_table *table = kernels(c)
    cdef Py_ssize_t item = cnp.PyArray_ITEMSIZE(c)
    args.m, args.n = cnp.PyArray_DIM(c, 0), cnp.PyArray_DIM(c, 1)
    args.k = cnp.PyArray_DIM(a, 1)
    args.a, args.b, args.bias, args.c = data(a), data(b), data(bias), data(c)
    args.a_row, args.a_col = cnp.PyArray_STRIDE(a, 0) // item, cnp.PyArray_STRIDE(a, 1) // item
    args.b_row, args.b_col = cnp.PyArray_STRIDE(b, 0) // item, cnp.PyArray_STRIDE(b, 1) // item
    args.ldc = cnp.PyArray_STRIDE(c, 0) // item
    args.threads = num_threads()
    with nogil:
        status = table.gemm(&args)
    check(status)


cdef cnp.ndarray like(cnp.ndarray a):
    return new_array(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.PyArray_TYPE(a))


def backward(
    cnp.ndarray x not None, cnp.ndarray w not None, cnp.ndarray dy not None,
    bint wants_x, bint wants_w, bint wants_b,
):
    """dx = dy w, dw = dyT x and db, columns of dy added up in float64; None where not wanted."""
    cdef gemm_args args
    cdef colsum_args sums
    cdef int status = 0
    cdef const kernel_table *table = kernels(x)
    cdef cnp.npy_intp outputs = cnp.PyArray_DIM(w, 0), inputs = cnp.PyArray_DIM(w, 1)
    cdef cnp.npy_intp rows = cnp.PyArray_SIZE(x) // inputs
    dx = like(x) if wants_x else None
    dw = like(w) if wants_w else None
    db = new_array(1, &outputs, cnp.PyArray_TYPE(w)) if wants_b else None
    args.bias, args.n, args.b_row, args.b_col, args.ldc = NULL, inputs, inputs, 1, inputs
    args.a, sums.a, sums.sum = data(dy), data(dy), data(db)
    sums.m, sums.n = rows, outputs
    args.threads = sums.threads = num_threads()
    if wants_x:
        args.m, args.k, args.a_row, args.a_col = rows, outputs, outputs, 1
        args.b, args.c = data(w), data(dx)
        with nogil:
            status = table.gemm(&args)
        check(status)
    if wants_w:
        args.m, args.k, args.a_row, args.a_col = outputs, rows, 1, outputs
        args.b, args.c = data(x), data(dw)
        with nogil:
            status = table.gemm(&args)
        check(status)
    if wants_b:
        with nogil:
            status = table.colsum(&sums)
        check(status)
    return dx, dw, db
