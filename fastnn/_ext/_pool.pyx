"""The door to the compiled pooling; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport check, data, kernel_table, kernels, num_threads, pool_args

cnp.import_array()


cdef int fill(pool_args *args, object call) except -1:
    """Sizes and options of a `PoolCall` with one or two spatial axes; one axis is an image row."""
    one = len(call.x) == 3
    ones, zero = ((1,) if one else ()), (((0, 0),) if one else ())
    n, c, args.H, args.W = call.x[:2] + ones + call.x[2:]
    args.planes = n * c
    args.R, args.S = ones + call.window
    out = call.out
    args.P, args.Q = ones + out[2:]
    args.sh, args.sw = ones + call.stride
    args.dh, args.dw_step = ones + call.dilation
    (args.top, _), (args.left, _) = zero + call.padding
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
