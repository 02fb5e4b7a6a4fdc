"""The door to the compiled convolutions; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport check, conv_args, data, kernel_table, kernels, num_threads, workspace

cnp.import_array()


cdef int fill(conv_args *args, object call) except -1:
    """Sizes and options of a `ConvCall` with one or two spatial axes; one axis is an image row."""
    one = len(call.x) == 3
    ones, zero = ((1,) if one else ()), (((0, 0),) if one else ())
    args.N, args.C, args.H, args.W = call.x[:2] + ones + call.x[2:]
    args.K, _, args.R, args.S = call.w[:2] + ones + call.w[2:]
    out = call.out
    args.P, args.Q = ones + out[2:]
    args.sh, args.sw = ones + call.stride
    args.dh, args.dw_step = ones + call.dilation
    (args.top, _), (args.left, _) = zero + call.padding
    args.groups = call.groups
    args.threads = num_threads()
    args.workspace = workspace()
    return 0


def im2col_forward(call, cnp.ndarray x not None, cnp.ndarray w not None, b, cnp.ndarray y not None):
    """y = conv(x, w) + b."""
    cdef conv_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, call)
    args.x, args.w, args.b, args.y = data(x), data(w), data(b), data(y)
    with nogil:
        status = table.conv_im2col_forward(&args)
    check(status)


def im2col_backward_data(
    call, cnp.ndarray w not None, cnp.ndarray dy not None, cnp.ndarray dx not None
):
    """dx from w and dy."""
    cdef conv_args args
    cdef int status
    cdef const kernel_table *table = kernels(dy)
    fill(&args, call)
    args.w, args.dy, args.dx = data(w), data(dy), data(dx)
    with nogil:
        status = table.conv_im2col_backward_data(&args)
    check(status)


def im2col_backward_filter(call, cnp.ndarray x not None, cnp.ndarray dy not None, dw, db):
    """dw and db from x and dy; None for either skips it."""
    cdef conv_args args
    cdef int status
    cdef const kernel_table *table = kernels(dy)
    fill(&args, call)
    args.x, args.dy, args.dw, args.db = data(x), data(dy), data(dw), data(db)
    with nogil:
        status = table.conv_im2col_backward_filter(&args)
    check(status)
