"""The checks of the four fronts: arguments made plain, and every rule about sizes and options."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.errors import OptionError, ShapeError
from fastnn.ops.rownorm.spec import RowCall


def arguments(
    op: str, x: Any, w: Any, b: Any, eps: Any
) -> tuple[Array, Array | None, Array | None, float]:
    """x, w and b as plain arrays of one dtype, and eps as a float."""
    x = _check.array(op, "x", x)
    w = _check.optional(op, "w", w)
    b = _check.optional(op, "b", b)
    _check.same_dtype(op, "x", x, w=w, b=b)
    return x, w, b, _check.real(op, "eps", eps)


def shape(a: Array | None) -> tuple[int, ...] | None:
    """The shape of an array that may not be there."""
    return None if a is None else a.shape


def axes(op: str, value: Any) -> tuple[int, ...]:
    """`normalized_shape` as a tuple of sizes of at least 1."""
    name = "normalized_shape"
    if not isinstance(value, tuple | list):
        return (_check.whole(op, name, value, 1),)
    if not value:
        raise ShapeError(f"{op}: {name}={value!r}; it must name at least 1 axis")
    return tuple(_check.whole(op, name, size, 1) for size in value)


@lru_cache(4096)
def trailing(
    op: str,
    dtype: str,
    x: tuple[int, ...],
    sizes: tuple[int, ...],
    w: tuple[int, ...] | None,
    b: tuple[int, ...] | None,
    centred: bool,
    eps: float,
) -> RowCall:
    """The call of a normalisation over the last axes."""
    before = len(x) - len(sizes)
    if before < 0 or x[before:] != sizes:
        raise ShapeError(
            f"{op}: x has shape {x} but normalized_shape={sizes}; the last {len(sizes)} axes of x "
            "must have these sizes"
        )
    _check_affine(op, f"normalized_shape={sizes}", sizes, w, b)
    _check_eps(op, eps)
    rows = (math.prod(x[:before]), 1, math.prod(sizes), 1)
    return RowCall(dtype, x, rows, sizes, w is not None, b is not None, centred, eps)


@lru_cache(4096)
def channels(
    op: str,
    dtype: str,
    x: tuple[int, ...],
    num_groups: int | None,
    w: tuple[int, ...] | None,
    b: tuple[int, ...] | None,
    eps: float,
) -> RowCall:
    """The call of a normalisation of groups of channels, or of each channel if it is None."""
    least = 3 if num_groups is None else 2
    if len(x) < least:
        rule = "N C L, N C H W or have more axes" if num_groups is None else "N C ..."
        raise ShapeError(f"{op}: x has {len(x)} axes, shape {x}; it must be {rule}")
    _check.positive_sizes(op, "x", x[1:], "C ...")
    c = x[1]
    groups = num_groups or c
    if c % groups:
        raise ShapeError(
            f"{op}: x has C={c} channels and num_groups={groups}; C must be a multiple of "
            "num_groups"
        )
    _check_affine(op, f"C={c}", (c,), w, b)
    _check_eps(op, eps)
    sizes = (x[0], groups, c // groups, math.prod(x[2:]))
    return RowCall(dtype, x, sizes, (c,), w is not None, b is not None, True, eps)


def _check_affine(
    op: str,
    why: str,
    want: tuple[int, ...],
    w: tuple[int, ...] | None,
    b: tuple[int, ...] | None,
) -> None:
    for name, given in (("w", w), ("b", b)):
        if given is not None and given != want:
            raise ShapeError(f"{op}: {name} has shape {given} but {why}; {name} must be {want}")


def _check_eps(op: str, eps: float) -> None:
    if not 0 < eps < math.inf:
        raise OptionError(f"{op}: eps={eps}; it must be positive and finite")
