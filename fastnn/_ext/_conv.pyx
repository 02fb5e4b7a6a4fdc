"""The door to the compiled convolutions; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport check, conv_args, data, kernel_table, kernels, num_threads, workspace

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
