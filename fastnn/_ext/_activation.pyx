"""The door to the compiled activations; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    check,
    data,
    kernel_table,
    kernels,
    num_threads,
    pointwise_args,
    softmax_args,
)

cnp.import_array()


cdef extern from *:
    """
    #define FASTNN_NAME_OF(name, cost) #name,
    static const char *const fastnn_function_names[] = {FASTNN_FUNCTIONS(FASTNN_NAME_OF) 0};
    """
    const char *fastnn_function_names[]


cdef dict _numbers():
    found = {}
    while fastnn_function_names[len(found)] != NULL:
        found[fastnn_function_names[len(found)].decode()] = len(found)
    return found


# What C calls the functions.
cdef dict numbers = _numbers()


def pointwise_forward(str function, tuple parameters, cnp.ndarray x not None,
                      cnp.ndarray y not None):
    """y = function(x), element by element."""
    _run(function, parameters, x, None, y)


def pointwise_backward(str function, tuple parameters, cnp.ndarray saved not None,
                       cnp.ndarray dy not None, cnp.ndarray dx not None):
    """dx = dy times the derivative of `function`, from its saved x or y."""
    _run(function, parameters, saved, dy, dx)


cdef int _run(str function, tuple parameters, cnp.ndarray x, cnp.ndarray dy,
              cnp.ndarray y) except -1:
    cdef pointwise_args args
    cdef int status
    cdef bint forward = dy is None
    cdef const kernel_table *table = kernels(x)
    args.a, args.b = parameters
    args.x, args.dy, args.y = data(x), data(dy), data(y)
    args.size = cnp.PyArray_SIZE(x)
    args.function = numbers[function]
    args.threads = num_threads()
    with nogil:
        status = table.pointwise_forward(&args) if forward else table.pointwise_backward(&args)
    return check(status)


def softmax_forward(tuple sizes, bint log, cnp.ndarray x not None, cnp.ndarray y not None):
    """y = softmax of x along the second of three `sizes`, or its logarithm."""
    _run_softmax(sizes, log, x, None, y)


def softmax_backward(tuple sizes, bint log, cnp.ndarray y not None, cnp.ndarray dy not None,
                     cnp.ndarray dx not None):
    """dx from dy and the result y."""
    _run_softmax(sizes, log, y, dy, dx)


cdef int _run_softmax(tuple sizes, bint log, cnp.ndarray x, cnp.ndarray dy,
                      cnp.ndarray y) except -1:
    cdef softmax_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    args.outer, args.c, args.inner = sizes
    args.log = log
    args.x, args.dy, args.y = data(x), data(dy), data(y)
    args.threads = num_threads()
    with nogil:
        status = table.softmax(&args)
    return check(status)
