"""Resampling and padding: the fronts with their docstrings and checks, and the operations."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.ops.resample import cases, spec
from fastnn.ops.resample.spec import PadCall, ResampleCall, ResampleGrads

__all__ = ["interpolate", "pad"]


def _interpolate(
    x: Array,
    size: int | tuple[int, ...] | None = None,
    *,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Bring images to another size, by their nearest pixels or between them.

    ::

        nearest:   y[n,c,p,q] = x[n, c, floor(p*H/P), floor(q*W/Q)]
        bilinear:  y[n,c,p,q] = (1-a)*(1-b)*x[n,c,h,w]   + (1-a)*b*x[n,c,h,w+1]
                              +     a*(1-b)*x[n,c,h+1,w] +     a*b*x[n,c,h+1,w+1]
                   h + a = (p + 1/2)*H/P - 1/2,     or with align_corners  p*(H-1)/(P-1)

    where 0 <= a < 1, likewise w + b; places before the first pixel or behind the last are moved to
    it.

    Parameters
    ----------
    x : N C H W, or N C L for ``"nearest"``
        Images, or sequences, float32 or float64.
    size
        (P, Q), or one number for all axes.
    scale_factor
        Instead of `size`: a number above 0, or one per axis. P = floor(H*scale_factor), and 1 by it
        takes the place of H/P above, which is not the same if H*scale_factor is no whole number.
    mode
        ``"nearest"`` or ``"bilinear"``.
    align_corners
        For ``"bilinear"``: corner pixels' centres stay where they are, instead of their corners.
    out : N C P Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C P Q, or N C P
        There is no smoothing before pixels are left out. A NaN or Inf reaches, for ``"bilinear"``,
        all outputs that have it among their four pixels, as NaN if its weight is 0. An empty batch
        gives an empty result.
        ``backward`` gives ``(x,)``: each dy is added to its pixels with their weights, in the order
        of rows of y.

    Raises
    ------
    ShapeError
        If x has other axes, or a size of y would be less than 1.
    DtypeError
        If an array is not float32 or float64, or an option is no number or flag.
    OptionError
        If not exactly one of `size` and `scale_factor` is given, or `mode` is something else.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    ``"nearest"`` costs no FLOP, ``"bilinear"`` at most 9 N C P Q, and the bytes of x and of y once
    each. Coordinates are those of PyTorch in float64, for sizes alone in whole numbers. See
    W. Press et al., "Numerical Recipes", 3rd edition (2007), equation 3.6.5.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> fastnn.interpolate(x, scale_factor=(1, 2))
    array([[[[1., 1., 2., 2.],
             [3., 3., 4., 4.]]]])
    >>> y, ctx = fastnn.interpolate.forward(x, (2, 4), mode="bilinear")
    >>> y
    array([[[[1.  , 1.25, 1.75, 2.  ],
             [3.  , 3.25, 3.75, 4.  ]]]])
    >>> fastnn.interpolate.backward(ctx, y).x
    array([[[[2.375, 3.625],
             [6.375, 7.625]]]])
    """
    op = "interpolate"
    x = _check.array(op, "x", x)
    mode = _check.choice(op, "mode", mode, ("nearest", "bilinear"))
    align_corners = _check.flag(op, "align_corners", align_corners)
    if align_corners and mode == "nearest":
        raise OptionError(f"{op}: align_corners=True with mode='nearest'; it needs 'bilinear'")
    if x.ndim != 4 and (x.ndim != 3 or mode != "nearest"):
        layout = "N C H W" + " or N C L" * (mode == "nearest")
        raise ShapeError(f"{op}: x has {x.ndim} axes, shape {x.shape}; it must be {layout}")
    if (size is None) == (scale_factor is None):
        raise OptionError(
            f"{op}: size={size!r} and scale_factor={scale_factor!r}; it must be one of them"
        )
    axes = x.ndim - 2
    call = _describe(
        op,
        _check.dtype_name(x),
        x.shape,
        None if size is None else _check.per_axis(op, "size", size, axes, 1),
        None if scale_factor is None else _scales(op, scale_factor, axes),
        mode,
        align_corners,
    )
    return Described(call, (x,), out, backend)


def _scales(op: str, value: Any, axes: int) -> tuple[float, ...]:
    """A factor per spatial axis."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(values) != axes:
        raise ShapeError(f"{op}: scale_factor={value!r} has {len(values)} entries; it needs {axes}")
    scales = tuple(_check.real(op, "scale_factor", v) for v in values)
    for scale in scales:
        if not 0 < scale < math.inf:
            raise OptionError(f"{op}: scale_factor={scale:g}; it must be above 0 and finite")
    return scales


@lru_cache(4096)
def _describe(
    op: str,
    dtype: str,
    x: tuple[int, ...],
    size: tuple[int, ...] | None,
    scales: tuple[float, ...] | None,
    mode: str,
    align_corners: bool,
) -> ResampleCall:
    """The `ResampleCall` of checked options; every rule about sizes is here."""
    letters = ("H", "W") if len(x) == 4 else ("L",)
    _check.positive_sizes(op, "x", x[1:], " ".join(("C", *letters)))
    if size is not None:
        return ResampleCall(dtype, x, mode, align_corners, (None,) * len(letters), (*x[:2], *size))
    factors = scales or ()
    for letter, cells, scale in zip(letters, x[2:], factors, strict=True):
        if cells * scale < 1:
            raise ShapeError(f"{op}: {letter}={cells} times {scale:g} is less than 1")
        if cells * scale > _check.MOST:
            raise ShapeError(
                f"{op}: {letter}={cells} times {scale:g}; it must be at most {_check.MOST}"
            )
    steps = (math.floor(n * scale) for n, scale in zip(x[2:], factors, strict=True))
    return ResampleCall(dtype, x, mode, align_corners, factors, (*x[:2], *steps))


def _pad(
    x: Array,
    padding: tuple[int, ...],
    *,
    mode: str = "constant",
    value: float = 0.0,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Put cells around an array: a constant, its mirror image or its edge.

    ::

        y[o, ...] = x[i, ...]   with i = o - before, along each axis of H cells, if 0 <= i < H; else
        constant:   y = value
        reflect:    i is replaced by -i, or 2*(H-1) - i
        replicate:  i is replaced by 0, or H-1

    Parameters
    ----------
    x : ...
        Any number of axes, float32 or float64.
    padding
        Cells before and after each axis, the last axis first: (left, right), (left, right, top,
        bottom), and so on for as many axes as wanted. Unlike PyTorch's they may not be negative.
    mode
        ``"constant"``, ``"reflect"`` (the edge itself is not repeated; less cells than the axis
        has) or ``"replicate"``, for any number of axes.
    value
        The constant.
    out : ..., optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : ...
        Each axis of x with its padding. NaN and Inf are copied like all numbers. An axis without
        cells can be padded with the constant only.
        ``backward`` gives ``(x,)``: dx is the sum of dy over the copies of a cell, in the order of
        rows of y.

    Raises
    ------
    ShapeError
        If `padding` is not made of pairs, is negative, or is more than the mode allows.
    DtypeError
        If an array is not float32 or float64, or an option is no number.
    OptionError
        If `mode` is something else, or there is a `value` for another mode than the constant.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs no FLOP forward; moves the bytes of x and of y once. See A. Oppenheim, R. Schafer,
    "Discrete-Time Signal Processing", 3rd edition (2010), section 8.8 for such symmetric
    extensions: reflection is that of type 1.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[1.0, 2.0, 3.0]])
    >>> fastnn.pad(x, (1, 2), value=9)
    array([[9., 1., 2., 3., 9., 9.]])
    >>> fastnn.pad(x, (2, 1), mode="replicate")
    array([[1., 1., 1., 2., 3., 3.]])
    >>> y, ctx = fastnn.pad.forward(x, (2, 1), mode="reflect")
    >>> y
    array([[3., 2., 1., 2., 3., 2.]])
    >>> fastnn.pad.backward(ctx, np.ones_like(y)).x
    array([[1., 3., 2.]])
    """
    op = "pad"
    x = _check.array(op, "x", x)
    mode = _check.choice(op, "mode", mode, spec.PAD_MODES)
    value = _check.real(op, "value", value)
    if mode != "constant" and value != 0:
        raise OptionError(f"{op}: value={value} with mode={mode!r}; it needs 'constant'")
    if not isinstance(padding, tuple | list):
        raise DtypeError(f"{op}: padding={padding!r}; it must be a tuple of whole numbers")
    if len(padding) % 2 or not padding or len(padding) > 2 * x.ndim:
        raise ShapeError(
            f"{op}: padding={padding!r} has {len(padding)} entries and x has {x.ndim} axes; it "
            f"must have a pair per axis, at most {2 * x.ndim}"
        )
    flat = [_check.whole(op, "padding", p, 0) for p in padding]
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]
    sides = (*((0, 0),) * (x.ndim - len(pairs)), *reversed(pairs))
    for axis, (cells, side) in enumerate(zip(x.shape, sides, strict=True)):
        least = max(side) + 1 if mode == "reflect" else 1
        if mode != "constant" and any(side) and cells < least:
            rule = f"less than {cells}" if cells else "of an axis of size at least 1"
            raise ShapeError(
                f"{op}: axis {axis} has size {cells} and padding {side}, mode={mode!r}; it must "
                f"be {rule}"
            )
    return Described(PadCall(_check.dtype_name(x), x.shape, sides, mode, value), (x,), out, backend)


interpolate = Op(
    _interpolate,
    returns=Array,
    grads=ResampleGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.interpolate_cases,
    errors=cases.interpolate_errors,
    terms=spec.resample_terms,
    exact=False,
    smooth=True,
)
pad = Op(
    _pad,
    returns=Array,
    grads=ResampleGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.pad_cases,
    errors=cases.pad_errors,
    terms=spec.pad_terms,
    smooth=True,
)
