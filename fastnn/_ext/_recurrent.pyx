"""The door to the compiled recurrent layers; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from libc.string cimport memset

from fastnn._ext._core cimport check, data, kernel_table, kernels, num_threads, recurrent_args

cnp.import_array()


cdef int fill(recurrent_args *args, object call, int cell, object lengths) except -1:
    """Sizes and options of a `RecurrentCall`; no arrays yet."""
    memset(args, 0, sizeof(recurrent_args))
    args.steps, args.batch, args.inputs, args.hidden = call.sizes
    args.cell = cell
    args.reverse = call.reverse
    args.lengths = <const cnp.int64_t *>data(lengths)
    args.threads = num_threads()
    return 0


def forward(
    call, int cell, cnp.ndarray x not None, cnp.ndarray w_ih not None, cnp.ndarray w_hh not None,
    b_ih, b_hh, h0, c0, lengths, cnp.ndarray y not None, cnp.ndarray h not None, c, tape,
):
    """y and the last states; `tape`, if not None, for backward."""
    cdef recurrent_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill(&args, call, cell, lengths)
    args.x, args.w_ih, args.w_hh = data(x), data(w_ih), data(w_hh)
    args.b_ih, args.b_hh, args.h0, args.c0 = data(b_ih), data(b_hh), data(h0), data(c0)
    args.y, args.h, args.c, args.tape = data(y), data(h), data(c), data(tape)
    with nogil:
        status = table.recurrent_forward(&args)
    check(status)


def backward(
    call, int cell, cnp.ndarray w_hh not None, start, lengths, cnp.ndarray tape not None,
    dy, dh, dc, cnp.ndarray dg not None, rh, cnp.ndarray dh0 not None, dc0,
):
    """Gradients of the gates and of the initial states, from those of the results (None: 0)."""
    cdef recurrent_args args
    cdef int status
    cdef const kernel_table *table = kernels(w_hh)
    fill(&args, call, cell, lengths)
    args.w_hh, args.start, args.tape = data(w_hh), data(start), data(tape)
    args.dy, args.dh, args.dc = data(dy), data(dh), data(dc)
    args.dg, args.rh, args.dh0, args.dc0 = data(dg), data(rh), data(dh0), data(dc0)
    with nogil:
        status = table.recurrent_backward(&args)
    check(status)
