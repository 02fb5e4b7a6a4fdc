"""Average pooling: the fronts with their docstrings and checks, and the operation objects."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.ops.avgpool import cases, spec
from fastnn.ops.avgpool.spec import Axis, WindowCall, WindowGrads
from fastnn.ops.pool.spec import check_windows, output_size

__all__ = ["avg_pool1d", "avg_pool2d"]


def _avg_pool1d(
    x: Array,
    kernel_size: int | tuple[int],
    *,
    stride: int | tuple[int] | None = None,
    padding: int | tuple[Any] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """One-dimensional average pooling: the mean of each window.

    ::

        y[n,c,p] = sum over r of x[n, c, p*s + r - before] / D[p]

    with r in [0, R), where x is 0 outside the sequence, and D[p] counts the elements of window p.

    Parameters
    ----------
    x : N C L
        Sequences, float32 or float64.
    kernel_size
        R, the size of the window.
    stride
        s, the step of the window; None is `kernel_size`, so that windows tile.
    padding
        Zeros around the sequence: one number, or ((before, after),); each at most R/2.
    ceil_mode
        Keep a last window that reaches beyond the padded sequence.
    count_include_pad
        Whether D[p] counts elements in the padding. What is beyond it, as in a last window of
        `ceil_mode`, never counts.
    out : N C P, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C P
        P = (L + before + after - R)//s + 1, rounded up with `ceil_mode`, as in `max_pool1d`. NaN
        and Inf follow IEEE 754 and stay in their windows. An empty batch gives an empty result.
        ``backward`` gives ``(x,)``: dx is the sum of dy[p]/D[p] over the windows of an element.

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
    Forward costs N C P R FLOP and the bytes of x and of y once each, backward as much. See
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (arXiv
    1603.07285), section 3, relationship 7 for the sizes.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[1.0, 3.0, 5.0, 8.0]]])
    >>> fastnn.avg_pool1d(x, 2)
    array([[[2. , 6.5]]])
    >>> y, ctx = fastnn.avg_pool1d.forward(x, 2, padding=1)
    >>> y
    array([[[0.5, 4. , 4. ]]])
    >>> fastnn.avg_pool1d.backward(ctx, y).x
    array([[[0.25, 2.  , 2.  , 2.  ]]])
    """
    return _front(
        "avg_pool1d",
        "L",
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        None,
        out,
        backend,
    )


def _avg_pool2d(
    x: Array,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[Any, Any] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Two-dimensional average pooling: the mean of each window.

    ::

        y[n,c,p,q] = sum over r,s of x[n, c, p*sh + r - top, q*sw + s - left] / D[p,q]

    with r in [0, R), s in [0, S), where x is 0 outside the image, and D[p,q] counts the cells of
    the window.

    Parameters
    ----------
    x : N C H W
        Images, float32 or float64.
    kernel_size
        Size of the window, one number or (R, S).
    stride
        Step of the window, one number or (sh, sw); None is `kernel_size`, so that windows tile.
    padding
        Zeros around the image: one number, (rows, columns), or ((top, bottom), (left, right)); each
        at most half of the window, R/2 or S/2.
    ceil_mode
        Keep a last window that reaches beyond the padded image.
    count_include_pad
        Whether D[p,q] counts cells in the padding. What is beyond it, as in a last window of
        `ceil_mode`, never counts.
    divisor_override
        A number of at least 1 to take for every D[p,q].
    out : N C P Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C P Q
        P = (H + top + bottom - R)//sh + 1, likewise Q: rows and columns that no whole window
        reaches are ignored. With `ceil_mode` the division rounds up instead, but a last window that
        would start beyond the image and its leading padding is dropped. NaN and Inf follow IEEE 754
        and stay in their windows. An empty batch gives an empty result.
        ``backward`` gives ``(x,)``: dx is the sum of dy/D over the windows of a cell.

    Raises
    ------
    ShapeError
        If sizes do not fit, the padding is more than half of the window, the window is larger
        than the padded x (with `ceil_mode`, too), or the divisor is less than 1.
    DtypeError
        If an array is not float32 or float64, or an option is no whole number or flag.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs N C P Q R S FLOP and the bytes of x and of y once each, backward as much. See
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (arXiv
    1603.07285), section 3, relationship 7 for the sizes.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1.0, 2, 0, 5], [4, 3, 5, 1]]]])
    >>> fastnn.avg_pool2d(x, 2)
    array([[[[2.5 , 2.75]]]])
    >>> y, ctx = fastnn.avg_pool2d.forward(x, 2, divisor_override=1)
    >>> y
    array([[[[10., 11.]]]])
    >>> fastnn.avg_pool2d.backward(ctx, y).x
    array([[[[10., 10., 11., 11.],
             [10., 10., 11., 11.]]]])
    """
    return _front(
        "avg_pool2d",
        "H W",
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        out,
        backend,
    )


def _front(
    op: str,
    letters: str,
    x: Array,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor: Any,
    out: Array | None,
    backend: str | None,
) -> Described:
    """What the fronts share."""
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
        _check.flag(op, "ceil_mode", ceil_mode),
        _check.flag(op, "count_include_pad", count_include_pad),
        None if divisor is None else _check.whole(op, "divisor_override", divisor, 1),
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
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> WindowCall:
    """The `WindowCall` of checked options."""
    check_windows(op, letters, x, window, padding, (1,) * len(window))
    axes = tuple(
        Axis(size, output_size(size, taps, step, sides, 1, ceil_mode), taps, step, *sides)
        for size, taps, step, sides in zip(x[2:], window, stride, padding, strict=True)
    )
    out = (*x[:2], *(axis.steps for axis in axes))
    return WindowCall(dtype, x, axes, out, count_include_pad, divisor)


avg_pool1d = Op(
    _avg_pool1d,
    returns=Array,
    grads=WindowGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.avg_pool1d_cases,
    errors=cases.avg_pool1d_errors,
    terms=spec.terms,
    exact=False,
    smooth=True,
)
avg_pool2d = Op(
    _avg_pool2d,
    returns=Array,
    grads=WindowGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.avg_pool2d_cases,
    errors=cases.avg_pool2d_errors,
    terms=spec.terms,
    exact=False,
    smooth=True,
)
