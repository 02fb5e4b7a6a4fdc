"""The door to the compiled activations; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport check, data, kernel_table, kernels, num_threads, relu_args

cnp.import_array()


def relu_forward(cnp.ndarray x not None, cnp.ndarray y not None):
    """y = relu(x)."""
    cdef relu_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    args.x, args.y = data(x), data(y)
    args.size = cnp.PyArray_SIZE(x)
    args.threads = num_threads()
    with nogil:
        status = table.relu_forward(&args)
    check(status)


def relu_backward(cnp.ndarray y not None, cnp.ndarray dy not None, cnp.ndarray dx not None):
    """dx = dy where not (y <= 0), else 0."""
    cdef relu_args args
    cdef int status
    cdef const kernel_table *table = kernels(y)
    args.y_in, args.dy, args.dx = data(y), data(dy), data(dx)
    args.size = cnp.PyArray_SIZE(y)
    args.threads = num_threads()
    with nogil:
        status = table.relu_backward(&args)
    check(status)
