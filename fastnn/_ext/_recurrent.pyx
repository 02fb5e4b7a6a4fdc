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
    call, int cell, cnp.ndarray x not None, cnp.ndarray w_ih not None, cnp.ndarray w_hh not None,
    h0, c0, lengths, cnp.ndarray y not None, cnp.ndarray tape not None, dys, grads,
):
    """Gradients, in the order of the arguments, from those of y and the last states (None: 0).

    Those of the initial states are always made, the others where `grads` has an array.
    """
    cdef recurrent_args args
    cdef int status
    cdef const kernel_table *table = kernels(w_hh)
    fill(&args, call, cell, lengths)
    args.x, args.w_ih, args.w_hh = data(x), data(w_ih), data(w_hh)
    args.h0, args.c0, args.y, args.tape = data(h0), data(c0), data(y), data(tape)
    args.dy, args.dh = data(dys[0]), data(dys[1])
    args.dx, args.dw_ih, args.dw_hh = data(grads[0]), data(grads[1]), data(grads[2])
    args.db_ih, args.db_hh, args.dh0 = data(grads[3]), data(grads[4]), data(grads[5])
    if len(grads) > 6:
        args.dc, args.dc0 = data(dys[2]), data(grads[6])
    with nogil:
        status = table.recurrent_backward(&args)
    check(status)
