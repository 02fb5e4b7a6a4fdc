"""The door to the compiled pooling; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport check, data, kernel_table, kernels, num_threads, pool_args

cnp.import_array()


cdef int fill(pool_args *args, object call) except -1:
    """Sizes and options of a `PoolCall` with one or two spatial axes; one axis is an image row."""
    cdef tuple x = call.x, window = call.window, out = call.out, padding = call.padding
    cdef tuple stride = call.stride, dilation = call.dilation
    cdef Py_ssize_t last = len(padding) - 1
    args.planes = x[0] * x[1]
    args.H, args.W = (1, x[2]) if last == 0 else (x[2], x[3])
    args.R, args.S = (1, window[0]) if last == 0 else window
    args.P, args.Q = (1, out[2]) if last == 0 else (out[2], out[3])
    args.sh, args.sw = (1, stride[0]) if last == 0 else stride
    args.dh, args.dw_step = (1, dilation[0]) if last == 0 else dilation
    args.top = 0 if last == 0 else (<tuple>padding[0])[0]
    args.left = (<tuple>padding[last])[0]
    args.threads = num_threads()
    return 0


def max_forward(call, cnp.ndarray x not None, cnp.ndarray y not None, offset):
    """y = max-pool(x); `offset`, if not None, gets each winner's place in its window."""
    cdef pool_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, call)
    args.x, args.y, args.offset = data(x), data(y), data(offset)
    with nogil:
        status = table.max_pool_forward(&args)
    check(status)


def max_backward(
    call, cnp.ndarray offset not None, cnp.ndarray dy not None, cnp.ndarray dx not None
):
    """dx from dy and the winners' places."""
    cdef pool_args args
    cdef int status
    cdef const kernel_table *table = kernels(dy)
    fill(&args, call)
    args.offset, args.dy, args.dx = data(offset), data(dy), data(dx)
    with nogil:
        status = table.max_pool_backward(&args)
    check(status)
