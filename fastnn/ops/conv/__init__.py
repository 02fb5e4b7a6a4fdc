"""Convolution: the fronts with their docstrings and checks, and the operation objects."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.conv import spec
from fastnn.ops.conv.spec import ConvCall, ConvGrads

__all__ = ["check_ranks", "check_window", "conv1d", "conv2d"]


def _conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | str | tuple[Any, Any] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Two-dimensional convolution (cross-correlation) of a batch of images with filters.

    ::

        y[n,k,p,q] = b[k] + sum over c,r,s of w[k,c,r,s]
                     * x[n, g*C/groups + c, p*sh + r*dh - top, q*sw + s*dw - left]

    where g = k // (K/groups) is the group of filter k and x is 0 outside the image.

    Parameters
    ----------
    x : N C H W
        Images, float32 or float64.
    w : K C/groups R S
        Filters, of the same dtype.
    b : K, optional
        Added to every pixel of a filter's output.
    stride
        Step of the window, one number or (sh, sw).
    padding
        Zeros around the image: one number, (rows, columns), ((top, bottom), (left, right)), or
        ``"valid"`` for none, or ``"same"`` (stride 1) for P Q = H W; an odd cell goes to the end.
    dilation
        Distance of neighbouring taps, one number or (dh, dw).
    groups
        Filters are split into this many groups, each seeing C/groups channels; groups = C is
        depthwise.
    out : N K P Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:im2col") to run on;
        a command, never a wish.

    Returns
    -------
    y : N K P Q
        P = (H + top + bottom - dh*(R-1) - 1)//sh + 1, likewise Q. Rows and columns of x that no
        whole window reaches are ignored. An empty batch gives an empty result. NaN and Inf reach
        the outputs whose window holds them; where an infinite weight meets padding, y, and dx
        beside the border, is NaN or not as the implementation has it, for 0 times Inf is NaN.
        With Winograd's algorithm (below) they also reach, as NaN, the other outputs of a tile, at
        most one pixel away (three in F(4x4,3x3); times the dilation), and in dw all taps of their
        filter and channel.
        ``backward`` gives ``(x, w, b)``; b is None if there was none.

    Raises
    ------
    ShapeError
        If channels, groups, bias or sizes do not fit, or the window is larger than the padded x.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option is no whole number.
    OptionError
        If `padding` is an unknown name.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 2 N K P Q C/groups R S FLOP and moves the bytes of x, w and y once. Each of dx and
    dw costs as much again. See V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
    learning" (arXiv 1603.07285), relationship 6 for the sizes.

    Filters of 3x3 with stride 1 mostly run Winograd's algorithm, 2.25 times fewer products (4 times
    in dw) at the accuracy of a plain sum; ``fastnn.use(precision="exact")`` turns it off,
    ``"fast"`` lets y and dx save 4 times too, at about five times the error. See A. Lavin, S. Gray,
    "Fast algorithms for convolutional neural networks" (arXiv 1509.09308).

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> w = np.ones((1, 1, 2, 2), np.float32)
    >>> fastnn.conv2d(x, w, stride=2)
    array([[[[10., 18.],
             [42., 50.]]]], dtype=float32)
    >>> y, ctx = fastnn.conv2d.forward(x, w, stride=2)
    >>> fastnn.conv2d.backward(ctx, np.ones_like(y)).w
    array([[[[20., 24.],
             [36., 40.]]]], dtype=float32)
    """
    return _described("conv2d", "H W", x, w, b, stride, padding, dilation, groups, out, backend)


def _conv1d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: int | tuple[int] = 1,
    padding: int | str | tuple[Any] = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """One-dimensional convolution (cross-correlation) of a batch of signals with filters.

    ::

        y[n,k,q] = b[k] + sum over c,s of w[k,c,s]
                   * x[n, g*C/groups + c, q*stride + s*dilation - left]

    where g = k // (K/groups) is the group of filter k and x is 0 outside the signal.

    Parameters
    ----------
    x : N C L
        Signals, float32 or float64.
    w : K C/groups S
        Filters, of the same dtype.
    b : K, optional
        Added to every position of a filter's output.
    stride
        Step of the window.
    padding
        Zeros around the signal: one number, ((left, right),), or ``"valid"`` for none, or
        ``"same"`` (stride 1) for Q = L, where an odd cell goes to the end, or ``"causal"`` for
        dilation*(S-1) before the signal and none after it, so that y[n,k,q] depends on
        nothing behind x[n,:,q*stride].
    dilation
        Distance of neighbouring taps.
    groups
        Filters are split into this many groups, each seeing C/groups channels; groups = C is
        depthwise.
    out : N K Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:im2col") to run on;
        a command, never a wish.

    Returns
    -------
    y : N K Q
        Q = (L + left + right - dilation*(S-1) - 1)//stride + 1. Cells of x that no whole window
        reaches are ignored. An empty batch gives an empty result. NaN and Inf reach the outputs
        whose window holds them; how padding's zeros meet an infinite weight is as in `conv2d`.
        ``backward`` gives ``(x, w, b)``; b is None if there was none.

    Raises
    ------
    ShapeError
        If channels, groups, bias or sizes do not fit, or the window is larger than the padded x.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option is no whole number.
    OptionError
        If `padding` is an unknown name.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 2 N K Q C/groups S FLOP and moves the bytes of x, w and y once. Each of dx and dw
    costs as much again. See V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
    learning" (arXiv 1603.07285), relationship 6 for the sizes; A. van den Oord et al., "WaveNet"
    (arXiv 1609.03499), section 2.1 for causal convolution.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[1, 2, 4, 8]]], np.float32)
    >>> w = np.array([[[1, 10]]], np.float32)
    >>> fastnn.conv1d(x, w)
    array([[[21., 42., 84.]]], dtype=float32)
    >>> y, ctx = fastnn.conv1d.forward(x, w, padding="causal")
    >>> y
    array([[[10., 21., 42., 84.]]], dtype=float32)
    >>> fastnn.conv1d.backward(ctx, np.ones_like(y)).x
    array([[[11., 11., 11., 10.]]], dtype=float32)
    """
    return _described("conv1d", "L", x, w, b, stride, padding, dilation, groups, out, backend)


def _described(
    op: str,
    letters: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    out: Array | None,
    backend: str | None,
) -> Described:
    """What the fronts do with their arguments, for any rank."""
    x, w, b = _check.weighted(op, x, w, b)
    shapes = x.shape, w.shape, None if b is None else b.shape
    # Whole numbers are keys that mean one thing (True and 1.0 are equal to 1), so that the common
    # call is one look-up; it makes 0.5 us of 1.7.
    plain = type(stride) is type(padding) is type(dilation) is type(groups) is int
    describe = _describe_numbers if plain else _describe_any
    call = describe(op, letters, _check.dtype_name(x), *shapes, stride, padding, dilation, groups)
    return Described(call, (x, w, b), out, backend)


def check_ranks(
    op: str, letters: str, filters: str, x: tuple[int, ...], w: tuple[int, ...]
) -> None:
    """Axes of x and w: none missing, none empty but the batch; `filters` names w's first two."""
    axes = len(letters.split())
    for name, sizes, layout in (
        ("x", x, f"N C {letters}"),
        ("w", w, f"{filters} {'R S'[-len(letters) :]}"),
    ):
        if len(sizes) != 2 + axes:
            raise ShapeError(
                f"{op}: {name} has {len(sizes)} axes, shape {sizes}; it must be {layout}"
            )
    _check.positive_sizes(op, "x", x[1:], f"C {letters}")
    _check.positive_sizes(op, "w", w, f"{filters} and the window")


def check_window(
    op: str,
    letters: str,
    sizes: tuple[int, ...],
    taps: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
) -> None:
    """The window fits into the padded image."""
    axes = zip(letters.split(), sizes, taps, padding, dilation, strict=True)
    for letter, size, many, side, step in axes:
        span = step * (many - 1) + 1
        if span > size + sum(side):
            raise ShapeError(
                f"{op}: x has {letter}={size}, padded by {side} to {size + sum(side)}, but the "
                f"window spans {span}; it must fit"
            )


def _describe_any(
    op: str,
    letters: str,
    dtype: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    b: tuple[int, ...] | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> ConvCall:
    """The `ConvCall` of options as they were given."""
    axes = len(letters.split())
    return _describe(
        op,
        letters,
        dtype,
        x,
        w,
        b,
        _check.per_axis(op, "stride", stride, axes, 1),
        padding if isinstance(padding, str) else _check.per_side(op, "padding", padding, axes),
        _check.per_axis(op, "dilation", dilation, axes, 1),
        _check.whole(op, "groups", groups, 1),
    )


_describe_numbers = lru_cache(4096)(_describe_any)


@lru_cache(4096)
def _describe(
    op: str,
    letters: str,
    dtype: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    b: tuple[int, ...] | None,
    stride: tuple[int, ...],
    padding: str | tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> ConvCall:
    """The `ConvCall` of checked options; every rule about sizes is here, for any rank."""
    check_ranks(op, letters, "K C/groups", x, w)
    if x[1] != w[1] * groups:
        raise ShapeError(
            f"{op}: x has C={x[1]} channels but w takes {w[1]} per group and groups={groups}; "
            f"C must be {w[1] * groups}"
        )
    if w[0] % groups:
        raise ShapeError(f"{op}: w has K={w[0]} filters and groups={groups}; groups must divide K")
    if b is not None and b != w[:1]:
        raise ShapeError(f"{op}: b has shape {b} but w has K={w[0]} filters; b must be {w[:1]}")
    sides = _sides(op, padding, w[2:], stride, dilation)
    check_window(op, letters, x[2:], w[2:], sides, dilation)
    return spec.conv_call(dtype, x, w, b is not None, stride, sides, dilation, groups)


def _sides(
    op: str,
    padding: str | tuple[tuple[int, int], ...],
    taps: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    """Padding as (before, after) per axis, names resolved."""
    if not isinstance(padding, str):
        return padding
    names = ("same", "valid", "causal") if len(taps) == 1 else ("same", "valid")
    if _check.choice(op, "padding", padding, names) == "valid":
        return ((0, 0),) * len(taps)
    totals = [d * (t - 1) for t, d in zip(taps, dilation, strict=True)]
    if padding == "causal":
        return tuple((total, 0) for total in totals)
    if any(s != 1 for s in stride):
        raise ShapeError(f"{op}: padding='same' with stride={stride}; it needs stride 1")
    return tuple((total // 2, total - total // 2) for total in totals)


conv1d = Op(
    _conv1d,
    returns=Array,
    grads=ConvGrads,
    impls=["cython:depthwise", "cython:direct", "cython:im2col", "numba:direct", "naive"],
    cases=spec.conv1d_cases,
    errors=spec.conv1d_errors,
    terms=spec.terms,
    smooth=True,
)

conv2d = Op(
    _conv2d,
    returns=Array,
    grads=ConvGrads,
    impls=[
        "cython:depthwise",
        "cython:winograd",
        "cython:direct",
        "cython:im2col",
        "numba:direct",
        "naive",
    ],
    cases=spec.conv2d_cases,
    errors=spec.conv2d_errors,
    terms=spec.terms,
    smooth=True,
)
