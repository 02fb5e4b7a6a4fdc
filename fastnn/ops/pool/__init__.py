"""Max-pooling: the fronts with their docstrings and checks, and the operation objects."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.pool import cases, spec
from fastnn.ops.pool.spec import PoolCall, PoolGrads, PoolIndices, UnpoolCall

__all__ = ["max_pool1d", "max_pool2d", "max_pool2d_with_indices", "max_unpool2d"]


def _max_pool1d(
    x: Array,
    kernel_size: int | tuple[int],
    *,
    stride: int | tuple[int] | None = None,
    padding: int | tuple[Any] = 0,
    dilation: int | tuple[int] = 1,
    ceil_mode: bool = False,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """One-dimensional max-pooling: the largest element of each window.

    ::

        y[n,c,p] = max over r of  x[n, c, p*s + r*d - before]

    with r in [0, R), where x is -inf outside the sequence.

    Parameters
    ----------
    x : N C L
        Sequences, float32 or float64.
    kernel_size
        R, the size of the window.
    stride
        s, the step of the window; None is `kernel_size`, so that windows tile.
    padding
        Elements around the sequence: one number, or ((before, after),); each at most half of the
        span d*(R-1) + 1 of the window.
    dilation
        d, the distance of neighbouring elements of a window.
    ceil_mode
        Keep a last window that reaches beyond the padded sequence.
    out : N C P, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C P
        P = (L + before + after - d*(R-1) - 1)//s + 1, rounded up with `ceil_mode`, as in
        `max_pool2d`; so are NaN, windows without any element inside (-inf) and empty batches.
        ``backward`` gives ``(x,)``: dx is the sum of dy over the windows that an element has won,
        as the first maximum or the first NaN.

    Raises
    ------
    ShapeError
        If sizes do not fit, the padding is more than half of the window, or the window is larger
        than the padded x.
    DtypeError
        If x is not float32 or float64, or an option is no whole number or flag.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs N C P R FLOP, all comparisons, and the bytes of x and of y once each. See
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (arXiv
    1603.07285), section 3, relationship 7 for the sizes.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[1, 4, 2, 0, 5]]], np.float32)
    >>> fastnn.max_pool1d(x, 3, stride=2)
    array([[[4., 5.]]], dtype=float32)
    >>> y, ctx = fastnn.max_pool1d.forward(x, 3, stride=2)
    >>> fastnn.max_pool1d.backward(ctx, np.ones_like(y)).x
    array([[[0., 1., 0., 0., 1.]]], dtype=float32)
    """
    return _front(
        "max_pool1d", "L", x, kernel_size, stride, padding, dilation, ceil_mode, out, backend
    )


def _max_pool2d(
    x: Array,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[Any, Any] = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Two-dimensional max-pooling: the largest cell of each window.

    ::

        y[n,c,p,q] = max over r,s of  x[n, c, p*sh + r*dh - top, q*sw + s*dw - left]

    with r in [0, R), s in [0, S), where x is -inf outside the image.

    Parameters
    ----------
    x : N C H W
        Images, float32 or float64.
    kernel_size
        Size of the window, one number or (R, S).
    stride
        Step of the window, one number or (sh, sw); None is `kernel_size`, so that windows tile.
    padding
        Cells around the image: one number, (rows, columns), or ((top, bottom), (left, right)); each
        at most half of the span dh*(R-1) + 1 or dw*(S-1) + 1 of the window.
    dilation
        Distance of neighbouring cells of a window, one number or (dh, dw).
    ceil_mode
        Keep a last window that reaches beyond the padded image.
    out : N C P Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C P Q
        P = (H + top + bottom - dh*(R-1) - 1)//sh + 1, likewise Q: rows and columns that no whole
        window reaches are ignored. With `ceil_mode` the division rounds up instead, but a last
        window that would start beyond the image and its leading padding is dropped. A NaN in a
        window wins. A window without any cell inside the image gives -inf. An empty batch gives an
        empty result.
        ``backward`` gives ``(x,)``: dx is the sum of dy over the windows that a cell has won. The
        winner is the first maximum in row-major order, or the first NaN; a window without any cell
        inside the image has none.

    Raises
    ------
    ShapeError
        If sizes do not fit, the padding is more than half of the window, or the window is larger
        than the padded x (with `ceil_mode`, too).
    DtypeError
        If an array is not float32 or float64, or an option is no whole number or flag.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs N C P Q R S FLOP, all comparisons, and the bytes of x and of y once each.
    ``forward`` keeps the winners for ``backward``, N C P Q bytes if R S <= 255, else four times as
    many; inference keeps nothing. See V. Dumoulin, F. Visin, "A guide to convolution
    arithmetic for deep learning" (arXiv 1603.07285), section 3, relationship 7 for the sizes.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1, 2, 0, 5], [4, 3, 5, 1]]]], np.float32)
    >>> fastnn.max_pool2d(x, 2)
    array([[[[4., 5.]]]], dtype=float32)
    >>> y, ctx = fastnn.max_pool2d.forward(x, 2)
    >>> fastnn.max_pool2d.backward(ctx, np.ones_like(y)).x
    array([[[[0., 0., 0., 1.],
             [1., 0., 0., 0.]]]], dtype=float32)
    """
    return _front(
        "max_pool2d", "H W", x, kernel_size, stride, padding, dilation, ceil_mode, out, backend
    )


def _max_pool2d_with_indices(
    x: Array,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[Any, Any] = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    backend: str | None = None,
) -> Described:
    """Two-dimensional max-pooling that also tells where each window's winner is.

    ::

        y[n,c,p,q]       = max over r,s of  x[n, c, h(p,r), w(q,s)]
        indices[n,c,p,q] = h*W + w  of the winner
        h(p,r) = p*sh + r*dh - top,   w(q,s) = q*sw + s*dw - left

    with r in [0, R), s in [0, S), where x is -inf outside the image.

    Parameters
    ----------
    x : N C H W
        Images, float32 or float64.
    kernel_size, stride, padding, dilation, ceil_mode
        As in `max_pool2d`.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C P Q
        As in `max_pool2d`.
    indices : N C P Q
        int64: the flat index of the winner in its plane of H*W cells, which is the first maximum
        in row-major order, or the first NaN; -1 for a window without any cell inside the image.
        ``backward`` gives ``(x,)``, as that of `max_pool2d` does; indices have no gradient.

    Raises
    ------
    ShapeError
        If sizes do not fit, the padding is more than half of the window, or the window is larger
        than the padded x (with `ceil_mode`, too).
    DtypeError
        If an array is not float32 or float64, or an option is no whole number or flag.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs N C P Q R S FLOP, all comparisons, and the bytes of x, y and indices once each;
    where only gradients are wanted, `max_pool2d` is cheaper. See M. Zeiler, R. Fergus, "Visualizing
    and Understanding Convolutional Networks" (arXiv 1311.2901), section 2.1 for what such switches
    are for.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1, 2, 0, 5], [4, 3, 5, 1]]]], np.float32)
    >>> y, indices = fastnn.max_pool2d_with_indices(x, 2)
    >>> y, indices
    (array([[[[4., 5.]]]], dtype=float32), array([[[[4, 3]]]]))
    >>> fastnn.max_unpool2d(y, indices, output_size=(2, 4))
    array([[[[0., 0., 0., 5.],
             [4., 0., 0., 0.]]]], dtype=float32)
    """
    return _front(
        "max_pool2d_with_indices",
        "H W",
        x,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        None,
        backend,
        indices=True,
    )


def _max_unpool2d(
    x: Array,
    indices: Array,
    *,
    output_size: int | tuple[int, int],
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Undo max-pooling: put each number back to where it came from, among zeros.

    ::

        y[n, c, indices[n,c,p,q] // W, indices[n,c,p,q] % W] = x[n,c,p,q],   y = 0 elsewhere

    Parameters
    ----------
    x : N C P Q
        Images, float32 or float64.
    indices : N C P Q
        Flat indices into each plane of y, from 0 to H*W - 1, of any integer dtype: the second
        result of `max_pool2d_with_indices`.
    output_size
        (H, W), or one number for both.
    out : N C H W, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C H W
        Where several numbers have one index, as after pooling with overlap, the last in row-major
        order is kept. An empty batch gives an empty result.
        ``backward`` gives ``(x,)``: dx[n,c,p,q] is dy at its index, which is PyTorch's rule. Among
        several numbers with one index each gets dy, the overwritten ones too.

    Raises
    ------
    ShapeError
        If shapes do not fit, or an index is not in [0, H*W).
    DtypeError
        If x is not float32 or float64, indices are no integers or `output_size` is no whole number.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs no FLOP; moves the bytes of x, indices and y once. See M. Zeiler, R. Fergus, "Visualizing
    and Understanding Convolutional Networks" (arXiv 1311.2901), section 2.1.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[4.0, 5.0]]]])
    >>> y, ctx = fastnn.max_unpool2d.forward(x, [[[[4, 3]]]], output_size=(2, 4))
    >>> y
    array([[[[0., 0., 0., 5.],
             [4., 0., 0., 0.]]]])
    >>> fastnn.max_unpool2d.backward(ctx, np.arange(8.0).reshape(1, 1, 2, 4)).x
    array([[[[4., 3.]]]])
    """
    op = "max_unpool2d"
    x = _check.array(op, "x", x)
    indices = _check.labels(op, "indices", indices)
    size = _check.per_axis(op, "output_size", output_size, 2, 1)
    _check.ndim(op, "x", x, "N C P Q")
    _check.positive_sizes(op, "x", x.shape[1:], "C P Q")
    if indices.shape != x.shape:
        raise ShapeError(
            f"{op}: indices has shape {indices.shape} but x has {x.shape}; they must be the same"
        )
    cells = math.prod(size)
    # As unsigned numbers, negative indices are huge: one pass finds both kinds of error.
    if indices.size and indices.view(np.uint64).max() >= cells:
        where = np.unravel_index(int((indices.view(np.uint64) >= cells).argmax()), x.shape)
        at = tuple(int(i) for i in where)
        raise ShapeError(
            f"{op}: indices{list(at)} is {indices[at]} but a plane of {size} has {cells} cells; "
            f"indices must be from 0 to {cells - 1}"
        )
    return Described(UnpoolCall(_check.dtype_name(x), x.shape, size), (x, indices), out, backend)


def _front(
    op: str,
    letters: str,
    x: Array,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    out: Array | None,
    backend: str | None,
    indices: bool = False,
) -> Described:
    """What the fronts of max-pooling share."""
    x = _check.array(op, "x", x)
    axes = len(letters.split())
    window = _check.per_axis(op, "kernel_size", kernel_size, axes, 1)
    call = _describe(
        op,
        letters,
        _check.dtype_name(x),
        x.shape,
        window,
        window if stride is None else _check.per_axis(op, "stride", stride, axes, 1),
        _check.per_side(op, "padding", padding, axes),
        _check.per_axis(op, "dilation", dilation, axes, 1),
        _check.flag(op, "ceil_mode", ceil_mode),
        indices,
    )
    return Described(call, (x,), out, backend)


@lru_cache(4096)
def _describe(
    op: str,
    letters: str,
    dtype: str,
    x: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
    indices: bool,
) -> PoolCall:
    """The `PoolCall` of checked options."""
    spec.check_windows(op, letters, x, window, padding, dilation)
    return spec.pool_call(dtype, x, window, stride, padding, dilation, ceil_mode, indices)


max_pool1d = Op(
    _max_pool1d,
    returns=Array,
    grads=PoolGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.max_pool1d_cases,
    errors=cases.max_pool1d_errors,
    terms=spec.terms,
)
max_pool2d = Op(
    _max_pool2d,
    returns=Array,
    grads=PoolGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.max_pool2d_cases,
    errors=cases.max_pool2d_errors,
    terms=spec.terms,
)
max_pool2d_with_indices = Op(
    _max_pool2d_with_indices,
    returns=PoolIndices,
    grads=PoolGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.max_pool2d_cases,
    errors=cases.max_pool2d_with_indices_errors,
    terms=spec.terms,
    has_gradient=1,
)
max_unpool2d = Op(
    _max_unpool2d,
    returns=Array,
    grads=PoolGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.max_unpool2d_cases,
    errors=cases.max_unpool2d_errors,
    terms=spec.unpool_terms,
    draw={"indices": cases.draw_indices},
)
