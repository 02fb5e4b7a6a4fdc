"""Transposed convolution: the fronts with their docstrings and checks, and the operations."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.conv import check_ranks
from fastnn.ops.conv.spec import ConvGrads
from fastnn.ops.conv_transpose import spec
from fastnn.ops.conv_transpose.spec import ConvTransposeCall

__all__ = ["conv_transpose1d", "conv_transpose2d"]


def _conv_transpose1d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: int | tuple[int] = 1,
    padding: int | tuple[Any] = 0,
    output_padding: int | tuple[int] = 0,
    groups: int = 1,
    dilation: int | tuple[int] = 1,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """One-dimensional transposed convolution: the gradient of a `conv1d`, as a layer.

    ::

        y[n,k,q] = b[k] + sum over c,s,l with l*stride + s*dilation - left = q
                   of w[c, k - g*K/groups, s] * x[n,c,l]

    where g = k // (K/groups) is the group of k and c goes over the group's C/groups channels: every
    cell of x adds its multiple of the filters to y.

    Parameters
    ----------
    x : N C L
        Signals, float32 or float64.
    w : C K/groups S
        Filters, of the same dtype; as conv1d has them whose gradient this is.
    b : K, optional
        Added to every position of a channel of the result.
    stride
        Step of the filters in y.
    padding
        Cells that are cut off y: one number or ((left, right),).
    output_padding
        Cells that y has more at its end, where nothing may fall but b; smaller than the stride or
        the dilation. It says which of the sizes is meant that a `conv1d` maps to L.
    groups
        Channels are split into this many groups, each giving K/groups channels.
    dilation
        Distance of neighbouring taps.
    out : N K Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:im2col") to run on;
        a command, never a wish.

    Returns
    -------
    y : N K Q
        Q = (L-1)*stride - left - right + dilation*(S-1) + output_padding + 1. An empty batch gives
        an empty result. NaN and Inf of x reach what their multiples of w fall on.
        ``backward`` gives ``(x, w, b)``; b is None if there was none.

    Raises
    ------
    ShapeError
        If channels, groups, bias or sizes do not fit, `output_padding` is too large, or nothing is
        left of y.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option is no whole number.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 2 N C L K/groups S FLOP and moves the bytes of x, w and y once. Each of dx and dw
    costs as much again. See V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
    learning" (arXiv 1603.07285), section 4, relationship 14 for the sizes.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[1, 2, 3]]], np.float32)
    >>> w = np.array([[[1, 10]]], np.float32)
    >>> fastnn.conv_transpose1d(x, w)
    array([[[ 1., 12., 23., 30.]]], dtype=float32)
    >>> y, ctx = fastnn.conv_transpose1d.forward(x, w, stride=2)
    >>> y
    array([[[ 1., 10.,  2., 20.,  3., 30.]]], dtype=float32)
    >>> fastnn.conv_transpose1d.backward(ctx, np.ones_like(y)).w
    array([[[6., 6.]]], dtype=float32)
    """
    return _described(
        "conv_transpose1d",
        "L",
        x,
        w,
        b,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        out,
        backend,
    )


def _conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[Any, Any] = 0,
    output_padding: int | tuple[int, int] = 0,
    groups: int = 1,
    dilation: int | tuple[int, int] = 1,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Two-dimensional transposed convolution: the gradient of a `conv2d`, as a layer.

    ::

        y[n,k,p,q] = b[k] + sum over c,r,s,h,w' with h*sh + r*dh - top = p, w'*sw + s*dw - left = q
                     of w[c, k - g*K/groups, r, s] * x[n,c,h,w']

    where g = k // (K/groups) is the group of k and c goes over the group's C/groups channels: every
    pixel of x adds its multiple of the filters to y.

    Parameters
    ----------
    x : N C H W
        Images, float32 or float64.
    w : C K/groups R S
        Filters, of the same dtype; as conv2d has them whose gradient this is.
    b : K, optional
        Added to every pixel of a channel of the result.
    stride
        Step of the filters in y, one number or (sh, sw).
    padding
        Rows and columns that are cut off y: one number, (rows, columns), or ((top, bottom), (left,
        right)).
    output_padding
        Rows and columns that y has more at its end, where nothing may fall but b: one number or
        one per axis, smaller than the axis' stride or dilation. It says which of the sizes is meant
        that a `conv2d` maps to H W.
    groups
        Channels are split into this many groups, each giving K/groups channels.
    dilation
        Distance of neighbouring taps, one number or (dh, dw).
    out : N K P Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:im2col") to run on;
        a command, never a wish.

    Returns
    -------
    y : N K P Q
        P = (H-1)*sh - top - bottom + dh*(R-1) + output_padding + 1, likewise Q. An empty batch
        gives an empty result. NaN and Inf of x reach what their multiples of w fall on.
        ``backward`` gives ``(x, w, b)``; b is None if there was none.

    Raises
    ------
    ShapeError
        If channels, groups, bias or sizes do not fit, `output_padding` is too large, or nothing is
        left of y.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option is no whole number.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 2 N C H W K/groups R S FLOP and moves the bytes of x, w and y once. Each of dx and
    dw costs as much again. See V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
    learning" (arXiv 1603.07285), section 4, relationship 14 for the sizes.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    >>> w = np.array([[[[1, 1], [1, 0]]]], np.float32)
    >>> fastnn.conv_transpose2d(x, w, stride=2)
    array([[[[1., 1., 2., 2.],
             [1., 0., 2., 0.],
             [3., 3., 4., 4.],
             [3., 0., 4., 0.]]]], dtype=float32)
    >>> y, ctx = fastnn.conv_transpose2d.forward(x, w)
    >>> fastnn.conv_transpose2d.backward(ctx, np.ones_like(y)).x
    array([[[[3., 3.],
             [3., 3.]]]], dtype=float32)
    """
    return _described(
        "conv_transpose2d",
        "H W",
        x,
        w,
        b,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        out,
        backend,
    )


def _described(
    op: str,
    letters: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    out: Array | None,
    backend: str | None,
) -> Described:
    """What the fronts do with their arguments, for any rank."""
    x, w, b = _check.weighted(op, x, w, b)
    axes = len(letters.split())
    call = _describe(
        op,
        letters,
        _check.dtype_name(x),
        x.shape,
        w.shape,
        None if b is None else b.shape,
        _check.per_axis(op, "stride", stride, axes, 1),
        _check.per_side(op, "padding", padding, axes),
        _check.per_axis(op, "output_padding", output_padding, axes, 0),
        _check.per_axis(op, "dilation", dilation, axes, 1),
        _check.whole(op, "groups", groups, 1),
    )
    return Described(call, (x, w, b), out, backend)


@lru_cache(4096)
def _describe(
    op: str,
    letters: str,
    dtype: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    b: tuple[int, ...] | None,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> ConvTransposeCall:
    """The `ConvTransposeCall` of checked options; every rule about sizes is here, for any rank."""
    check_ranks(op, letters, "C K/groups", x, w)
    if x[1] != w[0]:
        raise ShapeError(f"{op}: x has C={x[1]} channels but w takes {w[0]}; they must be the same")
    if x[1] % groups:
        raise ShapeError(f"{op}: groups={groups} and x has C={x[1]} channels; groups must divide C")
    channels = w[1] * groups
    if b is not None and b != (channels,):
        raise ShapeError(
            f"{op}: b has shape {b} but w and groups={groups} give K={channels} channels; b must "
            f"be {(channels,)}"
        )
    sizes = []
    axes = zip(x[2:], w[2:], stride, padding, output_padding, dilation, strict=True)
    for letter, (size, taps, step, sides, extra, gap) in zip(letters.split(), axes, strict=True):
        if extra >= max(step, gap):
            raise ShapeError(
                f"{op}: output_padding={extra} of {letter} with stride={step} and dilation={gap}; "
                "it must be smaller than one of them"
            )
        sizes.append(spec.output_size(size, taps, step, sides, extra, gap))
        if sizes[-1] < 1:
            raise ShapeError(
                f"{op}: the result's {letter} would be {sizes[-1]}, {size} windows spanning "
                f"{gap * (taps - 1) + 1} at stride={step} less padding {sides}; it must be at "
                "least 1"
            )
    out = (x[0], channels, *sizes)
    return ConvTransposeCall(
        dtype, x, w, b is not None, stride, padding, output_padding, dilation, groups, out
    )


conv_transpose1d = Op(
    _conv_transpose1d,
    returns=Array,
    grads=ConvGrads,
    impls=["cython:depthwise", "cython:direct", "cython:im2col", "numba:direct", "naive"],
    cases=spec.conv_transpose1d_cases,
    errors=spec.conv_transpose1d_errors,
    terms=spec.terms,
    smooth=True,
)

conv_transpose2d = Op(
    _conv_transpose2d,
    returns=Array,
    grads=ConvGrads,
    impls=["cython:depthwise", "cython:direct", "cython:im2col", "numba:direct", "naive"],
    cases=spec.conv_transpose2d_cases,
    errors=spec.conv_transpose2d_errors,
    terms=spec.terms,
    smooth=True,
)
