"""The door to the compiled pooling; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    axis, check, data, kernel_table, kernels, num_threads, places_args, pool_args, window_args,
)

cnp.import_array()


cdef int fill(pool_args *args, object call) except -1:
    """Sizes and options of a `PoolCall` with one or two spatial axes; one axis is an image row."""
    cdef tuple x = call.x, window = call.window, y = call.y, padding = call.padding
    cdef tuple stride = call.stride, dilation = call.dilation
    cdef Py_ssize_t last = len(padding) - 1
    args.planes = x[0] * x[1]
    args.H, args.W = (1, x[2]) if last == 0 else (x[2], x[3])
    args.R, args.S = (1, window[0]) if last == 0 else window
    args.P, args.Q = (1, y[2]) if last == 0 else (y[2], y[3])
    args.sh, args.sw = (1, stride[0]) if last == 0 else stride
    args.dh, args.dw_step = (1, dilation[0]) if last == 0 else dilation
    args.top = 0 if last == 0 else (<tuple>padding[0])[0]
    args.left = (<tuple>padding[last])[0]
    args.threads = num_threads()
    return 0


def max_forward(call, cnp.ndarray x not None, cnp.ndarray y not None, offset, index):
    """y = max-pool(x); `offset` and `index`, if not None, get each winner's place: in its window,
    and in its plane."""
    cdef pool_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, call)
    args.x, args.y, args.offset = data(x), data(y), data(offset)
    args.index = <cnp.int64_t *>data(index)
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


cdef int fill_axis(axis *to, object windows) except -1:
    to.size, to.steps, to.taps, to.stride, to.before, to.after = windows
    if to.taps == 0 and to.size % to.steps == 0:  # adaptive, but all windows are alike
        to.taps = to.stride = to.size // to.steps
    return 0


cdef int fill_windows(window_args *args, object call) except -1:
    """Sizes and options of a `WindowCall` with one or two axes; one axis is an image row."""
    cdef tuple x = call.x, axes = call.axes
    args.planes = x[0] * x[1]
    fill_axis(&args.rows, (1, 1, 1, 1, 0, 0) if len(axes) == 1 else axes[0])
    fill_axis(&args.cols, axes[len(axes) - 1])
    args.divisor = call.divisor_override or 0
    args.padding_counts = call.count_include_pad
    args.threads = num_threads()
    return 0


def avg_forward(call, cnp.ndarray x not None, cnp.ndarray y not None):
    """y = averages of the windows of x."""
    cdef window_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill_windows(&args, call)
    args.x, args.y = data(x), data(y)
    with nogil:
        status = table.avg_pool_forward(&args)
    check(status)


def avg_backward(call, cnp.ndarray dy not None, cnp.ndarray dx not None):
    """dx from dy."""
    cdef window_args args
    cdef int status
    cdef const kernel_table *table = kernels(dy)
    fill_windows(&args, call)
    args.dy, args.dx = data(dy), data(dx)
    with nogil:
        status = table.avg_pool_backward(&args)
    check(status)


def window_max(call, cnp.ndarray x not None, cnp.ndarray y not None, index):
    """y = maxima of the windows of x; `index`, if not None, gets the places in the planes."""
    cdef window_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill_windows(&args, call)
    args.x, args.y, args.index = data(x), data(y), <cnp.int64_t *>data(index)
    with nogil:
        status = table.window_max(&args)
    check(status)


cdef int fill_places(places_args *args, planes, cnp.ndarray few, cnp.ndarray many) except -1:
    args.planes = planes
    args.few = cnp.PyArray_SIZE(few) // args.planes
    args.many = cnp.PyArray_SIZE(many) // args.planes
    args.threads = num_threads()
    return 0


def scatter(
    planes, cnp.ndarray few not None, cnp.ndarray place not None, cnp.ndarray many not None,
    bint add,
):
    """many = 0, then many[place] = few, or += with `add`, in order, in each of `planes` planes."""
    cdef places_args args
    cdef int status
    cdef const kernel_table *table = kernels(few)
    fill_places(&args, planes, few, many)
    args.source, args.place, args.to = data(few), <const cnp.int64_t *>data(place), data(many)
    args.add = add
    with nogil:
        status = table.places_scatter(&args)
    check(status)


def gather(
    planes, cnp.ndarray many not None, cnp.ndarray place not None, cnp.ndarray few not None
):
    """few = many[place] in each of `planes` planes."""
    cdef places_args args
    cdef int status
    cdef const kernel_table *table = kernels(few)
    fill_places(&args, planes, few, many)
    args.source, args.place, args.to = data(many), <const cnp.int64_t *>data(place), data(few)
    with nogil:
        status = table.places_gather(&args)
    check(status)
