"""The door to the compiled matrix product; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    check, colsum_args, data, gemm_args, kernel_table, kernels, num_threads
)

cnp.import_array()


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


def column_sums(cnp.ndarray a not None, cnp.ndarray total not None):
    """total[j] = sum of a[:, j], added up in float64."""
    cdef colsum_args args
    cdef int status
    cdef const kernel_table *table = kernels(a)
    args.m, args.n = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(a, 1)
    args.a, args.sum = data(a), data(total)
    args.threads = num_threads()
    with nogil:
        status = table.colsum(&args)
    check(status)
