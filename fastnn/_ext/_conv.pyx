"""The door to the compiled convolutions; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    check, conv_args, data, idx, kernel_table, kernels, num_threads, workspace,
)

cnp.import_array()


cdef int fill(conv_args *args, object call) except -1:
    """Sizes and options of a `ConvCall` with one or two spatial axes; one axis is an image row."""
    cdef tuple x = call.x, w = call.w, out = call.out, padding = call.padding
    cdef tuple stride = call.stride, dilation = call.dilation
    cdef Py_ssize_t last = len(padding) - 1
    args.N, args.C = x[0], x[1]
    args.K = w[0]
    args.H, args.W = (1, x[2]) if last == 0 else (x[2], x[3])
    args.R, args.S = (1, w[2]) if last == 0 else (w[2], w[3])
    args.P, args.Q = (1, out[2]) if last == 0 else (out[2], out[3])
    args.sh, args.sw = (1, stride[0]) if last == 0 else stride
    args.dh, args.dw_step = (1, dilation[0]) if last == 0 else dilation
    args.top = 0 if last == 0 else (<tuple>padding[0])[0]
    args.left = (<tuple>padding[last])[0]
    # The step of a single window means nothing; a huge one would be walked through cell by cell.
    if args.P == 1:
        args.sh = 1
    if args.Q == 1:
        args.sw = 1
    args.groups = call.groups
    args.threads = num_threads()
    args.workspace = workspace()
    return 0


ctypedef int (*conv_kernel)(const conv_args *) noexcept nogil


cdef int run(conv_kernel kernel, call, x, w, b, dy, y, dx, dw, idx tile=0) except -1:
    """Run one kernel of a `ConvCall` on arrays; None is NULL."""
    cdef conv_args args
    cdef int status
    fill(&args, call)
    args.x, args.w, args.b, args.dy = data(x), data(w), data(b), data(dy)
    args.y, args.dx, args.dw = data(y), data(dx), data(dw)
    args.tile = tile
    with nogil:
        status = kernel(&args)
    return check(status)


def im2col_forward(call, cnp.ndarray x not None, cnp.ndarray w not None, b, cnp.ndarray y not None):
    """y = conv(x, w) + b."""
    run(kernels(x).conv_im2col_forward, call, x, w, b, None, y, None, None)


def im2col_image(call, cnp.ndarray w not None, cnp.ndarray dy not None, b, cnp.ndarray dx not None):
    """dx from w and dy, plus b per channel."""
    run(kernels(dy).conv_im2col_backward_data, call, None, w, b, dy, None, dx, None)


def im2col_filters(
    call, cnp.ndarray x not None, cnp.ndarray dy not None, cnp.ndarray dw not None
):
    """dw from x and dy."""
    run(kernels(dy).conv_im2col_backward_filter, call, x, None, None, dy, None, None, dw)


def direct_forward(call, cnp.ndarray x not None, cnp.ndarray w not None, b, cnp.ndarray y not None):
    """y = conv(x, w) + b."""
    run(kernels(x).conv_direct_forward, call, x, w, b, None, y, None, None)


def direct_image(call, cnp.ndarray w not None, cnp.ndarray dy not None, b, cnp.ndarray dx not None):
    """dx from w and dy, plus b per channel."""
    run(kernels(dy).conv_direct_backward_data, call, None, w, b, dy, None, dx, None)


def direct_filters(
    call, cnp.ndarray x not None, cnp.ndarray dy not None, cnp.ndarray dw not None
):
    """dw from x and dy."""
    run(kernels(dy).conv_direct_backward_filter, call, x, None, None, dy, None, None, dw)


def depthwise_forward(
    call, cnp.ndarray x not None, cnp.ndarray w not None, b, cnp.ndarray y not None
):
    """y = conv(x, w) + b."""
    run(kernels(x).conv_depthwise_forward, call, x, w, b, None, y, None, None)


def depthwise_image(
    call, cnp.ndarray w not None, cnp.ndarray dy not None, b, cnp.ndarray dx not None
):
    """dx from w and dy, plus b per channel."""
    run(kernels(dy).conv_depthwise_backward_data, call, None, w, b, dy, None, dx, None)


def depthwise_filters(
    call, cnp.ndarray x not None, cnp.ndarray dy not None, cnp.ndarray dw not None
):
    """dw from x and dy."""
    run(kernels(dy).conv_depthwise_backward_filter, call, x, None, None, dy, None, None, dw)


def winograd_forward(
    call, idx tile, cnp.ndarray x not None, cnp.ndarray w not None, b, cnp.ndarray y not None
):
    """y = conv(x, w) + b by tiles of `tile` results a side, 2 or 4."""
    run(kernels(x).conv_winograd_forward, call, x, w, b, None, y, None, None, tile)


def winograd_image(
    call, idx tile, cnp.ndarray w not None, cnp.ndarray dy not None, b, cnp.ndarray dx not None
):
    """dx from w and dy, plus b per channel."""
    run(kernels(dy).conv_winograd_backward_data, call, None, w, b, dy, None, dx, None, tile)


def winograd_filters(
    call, idx tile, cnp.ndarray x not None, cnp.ndarray dy not None, cnp.ndarray dw not None
):
    """dw from x and dy."""
    run(kernels(dy).conv_winograd_backward_filter, call, x, None, None, dy, None, None, dw, tile)


def bias(cnp.ndarray dy not None, cnp.ndarray db not None):
    """db = dy, any number of spatial axes, added up over all but its channels."""
    cdef conv_args args
    cdef int status
    cdef const kernel_table *table = kernels(dy)
    args.N, args.K, args.P, args.Q = dy.shape[0], dy.shape[1], 1, 1
    for axis in range(2, dy.ndim):
        args.Q *= dy.shape[axis]
    args.dy, args.db = data(dy), data(db)
    args.threads = num_threads()
    with nogil:
        status = table.conv_backward_bias(&args)
    check(status)


def unfold(call, cnp.ndarray image not None, cnp.ndarray columns not None):
    """Columns of the windows of a `ConvCall`."""
    run(kernels(image).conv_unfold, call, image, None, None, None, columns, None, None)


def fold(call, cnp.ndarray columns not None, cnp.ndarray image not None):
    """Images as sums of columns."""
    run(kernels(image).conv_fold, call, None, None, None, columns, None, image, None)
