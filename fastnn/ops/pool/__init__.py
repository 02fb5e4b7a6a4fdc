"""Pooling: the fronts with their docstrings and checks, and the operation objects."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.pool import spec
from fastnn.ops.pool.spec import PoolCall, PoolGrads

__all__ = ["max_pool2d"]


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
    op = "max_pool2d"
    x = _check.array(op, "x", x)
    window = _check.per_axis(op, "kernel_size", kernel_size, 2, 1)
    call = _describe(
        op,
        "H W",
        x.dtype.name,
        x.shape,
        window,
        window if stride is None else _check.per_axis(op, "stride", stride, 2, 1),
        _check.per_side(op, "padding", padding, 2),
        _check.per_axis(op, "dilation", dilation, 2, 1),
        _check.flag(op, "ceil_mode", ceil_mode),
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
) -> PoolCall:
    """The `PoolCall` of checked options; every rule about sizes is here, for any rank."""
    axes = letters.split()
    if len(x) != 2 + len(axes):
        raise ShapeError(f"{op}: x has {len(x)} axes, shape {x}; it must be N C {letters}")
    _check.positive_sizes(op, "x", x[1:], f"C {letters}")
    cells = math.prod(window)
    if cells >= 2**31:
        raise ShapeError(
            f"{op}: kernel_size={window} has {cells} cells; it must be less than {2**31}"
        )
    for letter, size, taps, side, step in zip(axes, x[2:], window, padding, dilation, strict=True):
        span = step * (taps - 1) + 1
        if 2 * max(side) > span:
            raise ShapeError(
                f"{op}: padding of {letter} is {side} but the window spans {span}; each side must "
                f"be at most half of it, {span // 2}"
            )
        if span > size + sum(side):
            raise ShapeError(
                f"{op}: x has {letter}={size}, padded by {side} to {size + sum(side)}, but the "
                f"window spans {span}; it must fit"
            )
    return spec.pool_call(dtype, x, window, stride, padding, dilation, ceil_mode)


max_pool2d = Op(
    _max_pool2d,
    returns=Array,
    grads=PoolGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.max_pool2d_cases,
    errors=spec.max_pool2d_errors,
    terms=spec.terms,
)
