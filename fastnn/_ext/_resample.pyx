"""The door to compiled resampling and padding; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    check, data, kernel_table, kernels, num_threads, pad_args, resample_args,
)

cnp.import_array()


cdef int fill(resample_args *args, object call, object sources) except -1:
    """Sizes of a `ResampleCall` with one or two spatial axes, and neighbours and weights of each;
    one axis is an image row."""
    cdef tuple x = call.x, out = call.out
    args.planes = x[0] * x[1]
    args.H, args.W = (1, x[2]) if len(x) == 3 else (x[2], x[3])
    args.P, args.Q = (1, out[2]) if len(out) == 3 else (out[2], out[3])
    (row, row_weight), (col, col_weight) = sources
    args.row, args.col = <const cnp.int64_t *>data(row), <const cnp.int64_t *>data(col)
    args.row_weight, args.col_weight = <double *>data(row_weight), <double *>data(col_weight)
    args.threads = num_threads()
    return 0


def resample_forward(call, sources, cnp.ndarray x not None, cnp.ndarray y not None):
    """y = x at new rows and columns."""
    cdef resample_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, call, sources)
    args.x, args.y = data(x), data(y)
    with nogil:
        status = table.resample_forward(&args)
    check(status)


def resample_backward(call, sources, cnp.ndarray dy not None, cnp.ndarray dx not None):
    """dx from dy."""
    cdef resample_args args
    cdef int status
    cdef const kernel_table *table = kernels(dy)
    fill(&args, call, sources)
    args.dy, args.dx = data(dy), data(dx)
    with nogil:
        status = table.resample_backward(&args)
    check(status)


cdef int fill_pad(pad_args *args, object axes, int mode, double value) except -1:
    """Axes as (size, before, after), without padding on the first."""
    args.axes = len(axes)
    for i in range(args.axes):
        args.size[i], args.before[i], args.after[i] = axes[i]
    args.mode = mode
    args.value = value
    args.threads = num_threads()
    return 0


def pad_forward(
    tuple axes, int mode, double value, cnp.ndarray x not None, cnp.ndarray y not None
):
    """y = x with cells around it."""
    cdef pad_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill_pad(&args, axes, mode, value)
    args.source, args.to = data(x), data(y)
    with nogil:
        status = table.pad_forward(&args)
    check(status)


def pad_backward(tuple axes, int mode, cnp.ndarray dy not None, cnp.ndarray dx not None):
    """dx from dy."""
    cdef pad_args args
    cdef int status
    cdef const kernel_table *table = kernels(dy)
    fill_pad(&args, axes, mode, 0.0)
    args.source, args.to = data(dy), data(dx)
    with nogil:
        status = table.pad_backward(&args)
    check(status)
