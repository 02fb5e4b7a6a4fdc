"""Unfold and fold: the fronts with their docstrings and checks, and the operations."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.conv import check_window
from fastnn.ops.conv.spec import output_size as places
from fastnn.ops.patches import spec
from fastnn.ops.patches.spec import UnfoldCall, UnfoldGrads

__all__ = ["fold", "unfold"]


def _unfold(
    x: Array,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[Any, Any] = 0,
    dilation: int | tuple[int, int] = 1,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Windows of images as columns (im2col): what a convolution multiplies its filters with.

    ::

        y[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*sh + r*dh - top, q*sw + s*dw - left]

    where x is 0 outside the image.

    Parameters
    ----------
    x : N C H W
        Images, float32 or float64.
    kernel_size
        Size of the window, one number or (R, S).
    stride
        Step of the window, one number or (sh, sw).
    padding
        Zeros around the image: one number, (rows, columns), or ((top, bottom), (left, right)).
    dilation
        Distance of neighbouring taps, one number or (dh, dw).
    out : N C*R*S P*Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on;
        a command, never a wish.

    Returns
    -------
    y : N C*R*S P*Q
        With P = (H + top + bottom - dh*(R-1) - 1)//sh + 1, likewise Q. Every number is copied, NaN
        and Inf too. An empty batch gives an empty result.
        ``backward`` gives ``(x,)``, which is `fold` of dy.

    Raises
    ------
    ShapeError
        If sizes do not fit or the window is larger than the padded x.
    DtypeError
        If x is not float32 or float64, or an option is no whole number.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs no FLOP and moves the bytes of x and of y once, y being up to R S times as large
    as x. See K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks
    for Document Processing" (2006), section 3.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> y, ctx = fastnn.unfold.forward(x, 2)
    >>> y
    array([[[0., 1., 3., 4.],
            [1., 2., 4., 5.],
            [3., 4., 6., 7.],
            [4., 5., 7., 8.]]], dtype=float32)
    >>> fastnn.unfold.backward(ctx, np.ones_like(y)).x
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]], dtype=float32)
    """
    op = "unfold"
    x = _check.array(op, "x", x)
    _check.ndim(op, "x", x, "N C H W")
    options = _options(op, kernel_size, stride, padding, dilation)
    return Described(
        _describe(op, _check.dtype_name(x), x.shape, *options, False), (x,), out, backend
    )


def _fold(
    x: Array,
    output_size: int | tuple[int, int],
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[Any, Any] = 0,
    dilation: int | tuple[int, int] = 1,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Columns added up into images (col2im): the transpose, not the inverse, of `unfold`.

    ::

        y[n,c,h,w] = sum over p,q,r,s with p*sh + r*dh - top = h and q*sw + s*dw - left = w
                     of x[n, (c*R + r)*S + s, p*Q + q]

    What falls outside the image is dropped. ``fold(unfold(x))`` is x times the number of windows
    that hold each pixel.

    Parameters
    ----------
    x : N C*R*S P*Q
        Columns, float32 or float64.
    output_size
        Size of the images, one number or (H, W).
    kernel_size
        Size of the window, one number or (R, S).
    stride
        Step of the window, one number or (sh, sw).
    padding
        Rows and columns around the image that windows reach: one number, (rows, columns), or ((top,
        bottom), (left, right)).
    dilation
        Distance of neighbouring taps, one number or (dh, dw).
    out : N C H W, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on;
        a command, never a wish.

    Returns
    -------
    y : N C H W
        Pixels that no window holds are 0. NaN and Inf reach the pixel that they fall on. An empty
        batch gives an empty result.
        ``backward`` gives ``(x,)``, which is `unfold` of dy.

    Raises
    ------
    ShapeError
        If x does not have C R S rows and P Q columns for the places of a window in the padded
        image, P = (H + top + bottom - dh*(R-1) - 1)//sh + 1 and likewise Q, or no window fits.
    DtypeError
        If x is not float32 or float64, or an option is no whole number.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs N C R S P Q FLOP, all additions, and moves the bytes of x and of y once. See Y.
    Jia, "Learning Semantic Image Representations at a Large Scale" (UC Berkeley, 2014), section 7.2
    on im2col and its reverse.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.ones((1, 4, 4), np.float32)
    >>> fastnn.fold(x, 3, 2)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]], dtype=float32)
    """
    op = "fold"
    x = _check.array(op, "x", x)
    _check.ndim(op, "x", x, "N C*R*S P*Q")
    size = _check.per_axis(op, "output_size", output_size, 2, 1)
    window, *rest = _options(op, kernel_size, stride, padding, dilation)
    _check.positive_sizes(op, "x", x.shape[1:], "C*R*S P*Q")
    cells = math.prod(window)
    if x.shape[1] % cells:
        raise ShapeError(
            f"{op}: x has {x.shape[1]} rows and windows of {cells} cells; rows must be a multiple "
            f"of {cells}"
        )
    image = (x.shape[0], x.shape[1] // cells, *size)
    call = _describe(op, _check.dtype_name(x), image, window, *rest, True)
    if x.shape != call.columns:
        raise ShapeError(
            f"{op}: x has {x.shape[2]} columns but a window has {call.places} places in "
            f"output_size={size}; columns must be {call.columns[2]}"
        )
    return Described(call, (x,), out, backend)


def _options(
    op: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[Any, ...]:
    """The options that both have, normalised."""
    return (
        _check.per_axis(op, "kernel_size", kernel_size, 2, 1),
        _check.per_axis(op, "stride", stride, 2, 1),
        _check.per_side(op, "padding", padding, 2),
        _check.per_axis(op, "dilation", dilation, 2, 1),
    )


@lru_cache(4096)
def _describe(
    op: str,
    dtype: str,
    image: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    back: bool,
) -> UnfoldCall:
    """The `UnfoldCall` of checked options."""
    _check.positive_sizes(op, "x", image[1:], "C H W")
    check_window(op, "H W", image[2:], window, padding, dilation)
    axes = zip(image[2:], window, stride, padding, dilation, strict=True)
    found = tuple(places(*axis) for axis in axes)
    return UnfoldCall(dtype, image, window, stride, padding, dilation, found, back)


unfold = Op(
    _unfold,
    returns=Array,
    grads=UnfoldGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.unfold_cases,
    errors=spec.unfold_errors,
    terms=spec.terms,
    smooth=True,
)

fold = Op(
    _fold,
    returns=Array,
    grads=UnfoldGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.fold_cases,
    errors=spec.fold_errors,
    terms=spec.terms,
    smooth=True,
)
