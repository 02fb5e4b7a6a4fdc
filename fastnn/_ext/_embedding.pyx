"""The door to the compiled embedding; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport check, data, embedding_args, kernel_table, kernels, num_threads

cnp.import_array()


def forward(cnp.ndarray indices not None, cnp.ndarray w not None, cnp.ndarray y not None):
    """y[m] = w[indices[m]], rows of w[rows,e]; every index has been checked."""
    cdef embedding_args args
    cdef int status
    cdef const kernel_table *table = kernels(w)
    args.indices, args.w, args.y = <const cnp.int64_t *>data(indices), data(w), data(y)
    args.m, args.rows, args.e = cnp.PyArray_SIZE(indices), len(w), cnp.PyArray_DIM(w, 1)
    args.threads = num_threads()
    with nogil:
        status = table.embedding_forward(&args)
    check(status)


def backward(
    cnp.ndarray indices not None, cnp.ndarray dy not None, cnp.int64_t padding,
    cnp.ndarray dw not None,
):
    """dw[r] = sum of dy over the places of r in `indices`; 0 for r = padding (-1: no such row)."""
    cdef embedding_args args
    cdef int status
    cdef const kernel_table *table = kernels(dw)
    args.indices, args.dy, args.dw = <const cnp.int64_t *>data(indices), data(dy), data(dw)
    args.m, args.rows, args.e = cnp.PyArray_SIZE(indices), len(dw), cnp.PyArray_DIM(dw, 1)
    args.padding = padding
    args.threads = num_threads()
    with nogil:
        status = table.embedding_backward(&args)
    check(status)
