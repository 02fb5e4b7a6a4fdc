"""The door to the compiled losses; arrays come checked, contiguous and allocated."""

cimport numpy as cnp

from fastnn._ext._core cimport (
    check, colmean_args, data, kernel_table, kernels, margin_args, num_threads, pointloss_args,
    xent_args,
)

cnp.import_array()


cdef int fill_xent(
    xent_args *args, cnp.ndarray x, labels, target, w, double smoothing, ignore, state
) except -1:
    args.n, args.c, args.inner = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), 1
    if cnp.PyArray_NDIM(x) > 2 and cnp.PyArray_SIZE(x) > 0:
        args.inner = cnp.PyArray_SIZE(x) // (args.n * args.c)
        args.n *= args.inner
    args.x, args.target, args.w = data(x), data(target), data(w)
    args.labels = <const cnp.int64_t *>data(labels)
    args.smoothing, args.ignore = smoothing, ignore
    args.state = <double *>data(state)
    args.threads = num_threads()
    return 0


def softmax_xent_forward(
    cnp.ndarray x not None, labels, target, w, double smoothing, ignore,
    cnp.ndarray loss not None, state,
):
    """Loss of each row of x[n,c], or of x[n,c,...] along c, as float64, a row after the other;
    `state`, three numbers for each row, [3,n], if not None, for backward.

    Returns the sum of the losses and that of what their mean divides by.
    """
    cdef xent_args args
    cdef double totals[2]
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill_xent(&args, x, labels, target, w, smoothing, ignore, state)
    args.loss, args.totals = <double *>data(loss), totals
    with nogil:
        status = table.softmax_xent_forward(&args)
    check(status)
    return totals[0], totals[1]


def softmax_xent_backward(
    cnp.ndarray x not None, labels, target, w, double smoothing, ignore,
    cnp.ndarray state not None, scale, double gain, dx, dtarget,
):
    """Gradients of the rows' losses times scale[n], or `gain` if that is None; None skips one."""
    cdef xent_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill_xent(&args, x, labels, target, w, smoothing, ignore, state)
    args.scale, args.gain = <const double *>data(scale), gain
    args.dx, args.dtarget = data(dx), data(dtarget)
    with nogil:
        status = table.softmax_xent_backward(&args)
    check(status)


def multi_margin(
    cnp.ndarray x not None, cnp.ndarray labels not None, double margin, int power, loss, scale, dx
):
    """Hinge loss of each row of x[n,c] as float64[n] or, if `loss` is None, dx from scale[n]."""
    cdef margin_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    args.n, args.c = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    args.x, args.labels = data(x), <const cnp.int64_t *>data(labels)
    args.loss, args.scale = <double *>data(loss), <const double *>data(scale)
    args.dx = data(dx)
    args.margin, args.power = margin, power
    args.threads = num_threads()
    with nogil:
        if args.loss != NULL:
            status = table.multi_margin_forward(&args)
        else:
            status = table.multi_margin_backward(&args)
    check(status)


cdef int fill_pointloss(
    pointloss_args *args, int kind, double delta, cnp.ndarray x, cnp.ndarray target, w, pos_weight
) except -1:
    args.kind, args.delta = kind, delta
    args.size = cnp.PyArray_SIZE(x)
    args.x, args.target, args.w, args.pos_weight = data(x), data(target), data(w), data(pos_weight)
    args.threads = num_threads()
    return 0


def pointloss_forward(
    int kind, double delta, cnp.ndarray x not None, cnp.ndarray target not None, w, pos_weight, y
):
    """Losses of the elements into y or, if that is None, their sum in float64 as the result."""
    cdef pointloss_args args
    cdef int status
    cdef double total = 0
    cdef const kernel_table *table = kernels(x)
    fill_pointloss(&args, kind, delta, x, target, w, pos_weight)
    args.y, args.total = data(y), NULL
    if y is None:
        args.total = &total
    with nogil:
        status = table.pointloss_forward(&args)
    check(status)
    return total


def pointloss_backward(
    int kind, double delta, cnp.ndarray x not None, cnp.ndarray target not None, w, pos_weight,
    dy, double scale, dx, dtarget,
):
    """Gradients times dy, or times `scale` if that is None; None skips one."""
    cdef pointloss_args args
    cdef int status
    cdef const kernel_table *table = kernels(x)
    fill_pointloss(&args, kind, delta, x, target, w, pos_weight)
    args.dy, args.scale = data(dy), scale
    args.dx, args.dtarget = data(dx), data(dtarget)
    with nogil:
        status = table.pointloss_backward(&args)
    check(status)


def column_means(cnp.ndarray a not None, cnp.ndarray mean not None):
    """mean[j] = mean over i of a[i,j], in float64."""
    cdef colmean_args args
    cdef int status
    cdef const kernel_table *table = kernels(a)
    args.m, args.n = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(a, 1)
    args.a, args.mean = data(a), <double *>data(mean)
    args.threads = num_threads()
    with nogil:
        status = table.column_means(&args)
    check(status)


def within(cnp.ndarray a not None, cnp.int64_t size, cnp.int64_t also):
    """Whether all of the contiguous int64 array `a` is from 0 to size-1, or `also`."""
    cdef const cnp.int64_t *p = <const cnp.int64_t *>data(a)
    cdef Py_ssize_t i
    cdef bint wrong = False
    cdef cnp.uint64_t signs = 0  # of those and of what is missing to the last
    for i in range(cnp.PyArray_SIZE(a)):
        signs |= <cnp.uint64_t>p[i] | (<cnp.uint64_t>(size - 1) - <cnp.uint64_t>p[i])
    if signs >> 63 == 0:
        return True
    for i in range(cnp.PyArray_SIZE(a)):
        wrong |= (<cnp.uint64_t>p[i] >= <cnp.uint64_t>size) & (p[i] != also)
    return not wrong
