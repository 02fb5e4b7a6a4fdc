"""The door to the compiled losses; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport check, data, kernel_table, kernels, num_threads, xent_args

cnp.import_array()


def softmax_xent_forward(
    cnp.ndarray x not None, cnp.ndarray labels not None, cnp.ndarray loss not None, state
):
    """Loss of each row of x[n,c] as float64[n]; `state` float64[n,2], if not None, for backward."""
    cdef xent_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    args.n, args.c = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    args.x, args.labels = data(x), <const cnp.int64_t *>data(labels)
    args.loss, args.state = <double *>data(loss), <double *>data(state)
    args.threads = num_threads()
    with nogil:
        status = table.softmax_xent_forward(&args)
    check(status)


def softmax_xent_backward(
    cnp.ndarray x not None, cnp.ndarray labels not None, cnp.ndarray state not None,
    cnp.ndarray scale not None, cnp.ndarray dx not None,
):
    """dx = (softmax(x) - onehot(labels)) * scale[n]."""
    cdef xent_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    args.n, args.c = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    args.x, args.labels = data(x), <const cnp.int64_t *>data(labels)
    args.state, args.scale = <double *>data(state), <const double *>data(scale)
    args.dx = data(dx)
    args.threads = num_threads()
    with nogil:
        status = table.softmax_xent_backward(&args)
    check(status)
