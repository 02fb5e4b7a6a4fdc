"""The door to the compiled activations; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    check,
    data,
    dropout_args,
    kernel_table,
    kernels,
    num_threads,
    pointwise_args,
    prelu_args,
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


def dropout(cnp.ndarray key not None, cnp.uint64_t least, double scale, cnp.ndarray x not None,
            cnp.ndarray y not None):
    """y = x * scale where an element's random bits are at least `least`, else 0."""
    cdef dropout_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    args.key[0], args.key[1] = key
    args.least, args.scale = least, scale
    args.x, args.y = data(x), data(y)
    args.size = cnp.PyArray_SIZE(x)
    args.threads = num_threads()
    with nogil:
        status = table.dropout(&args)
    check(status)


def prelu_forward(tuple sizes, cnp.ndarray x not None, cnp.ndarray w not None,
                  cnp.ndarray y not None):
    """y = prelu(x, w)."""
    _run_prelu(sizes, x, w, None, y, None)


def prelu_backward(tuple sizes, cnp.ndarray x not None, cnp.ndarray w not None,
                   cnp.ndarray dy not None, cnp.ndarray dx, cnp.ndarray dw):
    """dx and dw; None is not computed."""
    _run_prelu(sizes, x, w, dy, dx, dw)


cdef int _run_prelu(tuple sizes, cnp.ndarray x, cnp.ndarray w, cnp.ndarray dy, cnp.ndarray y,
                    cnp.ndarray dw) except -1:
    cdef prelu_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    args.n, args.c, args.length = sizes
    args.size = cnp.PyArray_SIZE(x)
    args.x, args.w, args.dy, args.y, args.dw = data(x), data(w), data(dy), data(y), data(dw)
    args.threads = num_threads()
    with nogil:
        status = table.prelu(&args)
    return check(status)
