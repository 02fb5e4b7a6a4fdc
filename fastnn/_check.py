"""Normalising of arguments, shared by the fronts of all operations.

A front calls these before any implementation is chosen, so that kernels may assume native,
aligned, C-contiguous arrays of one dtype and sane whole numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _ext
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]

MOST = 2**31
"""The largest stride, padding, dilation or group count: products of them with sizes stay exact."""

_REALS = (int, float, np.integer, np.floating)
# A bool is an int, and timedelta64 an np.integer.
_NO_NUMBERS = (bool, np.bool_, np.timedelta64)

_plain_floats = None if _ext.missing else _ext._core.plain_floats
_compiled_within = None if _ext.missing else _ext._loss.within

F4, F8, I8 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)


def array(op: str, name: str, value: Any) -> Array:
    """`value` as a native, aligned, C-contiguous float32 or float64 array; no copy if it is one."""
    if type(value) is np.ndarray and (value.dtype is F4 or value.dtype is F8):
        flags = value.flags
        if flags.c_contiguous and flags.aligned:
            return value
    plain = _plain(op, name, value)
    return np.require(plain, _native(op, name, plain), ["C", "A"])


def _plain(op: str, name: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise DtypeError(f"{op}: {name} is a masked array; its mask would be lost, so fill it")
    try:
        return np.asarray(value)
    except ValueError:  # nested lists of unequal lengths
        raise DtypeError(
            f"{op}: {name} is a {type(value).__name__} that is no array; its rows must be alike"
        ) from None


def _native(op: str, name: str, plain: Array) -> np.dtype[Any]:
    dtype: np.dtype[Any] = plain.dtype
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return F4 if dtype.itemsize == 4 else F8
    raise DtypeError(f"{op}: {name} has dtype {dtype}; it must be float32 or float64")


def dtype_name(a: Array) -> str:
    """The name of an array's dtype, after `array`; NumPy's own ``dtype.name`` takes 1.5 us."""
    return "float32" if a.dtype is F4 else "float64"


def wide(a: Array) -> Array:
    """`a` in float64 for a naive sum, or complex128 where tests take a complex step."""
    return a.astype(wide_dtype(a.dtype))


def wide_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype that naive code adds up in: float64, or complex128 for complex arrays."""
    return np.result_type(np.float64, dtype)


def optional(op: str, name: str, value: Any) -> Array | None:
    """`array`, or None for None."""
    return None if value is None else array(op, name, value)


def labels(op: str, name: str, value: Any) -> Array:
    """`value` as an aligned, C-contiguous int64 array; any integer dtype is taken, nothing else."""
    if type(value) is np.ndarray and value.dtype is I8:
        flags = value.flags
        if flags.c_contiguous and flags.aligned:
            return value
    plain = _plain(op, name, value)
    if plain.dtype.kind not in "iu":
        raise DtypeError(f"{op}: {name} has dtype {plain.dtype}; it must be an integer dtype")
    if plain.dtype == np.uint64 and plain.size and plain.max() > np.iinfo(np.int64).max:
        raise ShapeError(f"{op}: {name} holds {plain.max()}; it must fit in int64")
    return np.require(plain, np.int64, ["C", "A"])


def _within(a: Array, size: int, also: int) -> bool:
    """Whether all of the int64 array `a` is in [0, size), or `also`; False may mean not known."""
    if _compiled_within is not None:
        return bool(_compiled_within(a, size, also))
    # As unsigned numbers, negative ones are huge: one pass finds both kinds of error.
    return not a.size or bool(a.view(np.uint64).max() < size)


def below(
    op: str, name: str, a: Array, size: int, limit: str, also: tuple[str, int] | None = None
) -> None:
    """Entries of the int64 array `a` are from 0 to size-1, or the option `also`, (name, value).

    `limit` says where the size is from, with braces for it: "x has C={} classes".
    """
    if size and _within(a, size, 0 if also is None else also[1]):
        return
    wrong = a.view(np.uint64) >= size
    if also is not None:
        wrong &= a != also[1]
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f"{name}[{', '.join(map(str, place))}]" if place else name
        rule = "" if also is None else f" or {also[0]}={also[1]}"
        raise ShapeError(
            f"{op}: {where} is {a[place]} but {limit.format(size)}; {name} must be from 0 to "
            f"{size - 1}{rule}"
        )


def same_dtype(op: str, first: str, x: Array, **others: Array | None) -> None:
    """Every array in `others` has the dtype of `x`: nothing is converted in silence."""
    for name, a in others.items():
        if a is not None and a.dtype is not x.dtype:
            raise DtypeError(
                f"{op}: {first} is {x.dtype} but {name} is {a.dtype}; they must be the same"
            )


def weighted(op: str, x: Any, w: Any, b: Any) -> tuple[Array, Array, Array | None]:
    """x, w and an optional b normalised, of one dtype."""
    if _plain_floats is not None and _plain_floats(x, w, b):  # 0.5 us less than one by one
        return x, w, b
    x = array(op, "x", x)
    w = array(op, "w", w)
    b = optional(op, "b", b)
    same_dtype(op, "x", x, w=w, b=b)
    return x, w, b


def whole(op: str, name: str, value: Any, least: int) -> int:
    """`value` as an int of at least `least`; bool and float are refused."""
    if type(value) is not int:
        if isinstance(value, _NO_NUMBERS) or not isinstance(value, int | np.integer):
            raise DtypeError(f"{op}: {name}={value!r}; it must be a whole number")
        value = int(value)
    if value < least:
        raise ShapeError(f"{op}: {name}={value}; it must be at least {least}")
    if value > MOST:
        raise ShapeError(f"{op}: {name}={value}; it must be at most {MOST}")
    return int(value)


def per_axis(op: str, name: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    """One whole number per spatial axis, from one number for all or a sequence of `axes`."""
    if type(value) is int and least <= value <= MOST:
        return (value,) * axes
    if isinstance(value, tuple | list):
        if len(value) != axes:
            raise ShapeError(f"{op}: {name}={value!r} has {len(value)} entries; it needs {axes}")
        return tuple(whole(op, name, v, least) for v in value)
    return (whole(op, name, value, least),) * axes


def per_side(op: str, name: str, value: Any, axes: int) -> tuple[tuple[int, int], ...]:
    """(before, after) per spatial axis, from a number, one number or one pair per axis."""
    if type(value) is int and 0 <= value <= MOST:
        return ((value, value),) * axes
    if isinstance(value, tuple | list) and len(value) == axes:
        return tuple(_sides(op, name, v) for v in value)
    return tuple((p, p) for p in per_axis(op, name, value, axes, 0))


def _sides(op: str, name: str, value: Any) -> tuple[int, int]:
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ShapeError(f"{op}: {name} has {value!r} for one axis; it needs (before, after)")
        return whole(op, name, value[0], 0), whole(op, name, value[1], 0)
    p = whole(op, name, value, 0)
    return p, p


def flag(op: str, name: str, value: Any) -> bool:
    """`value` as a bool; only True and False (also NumPy's) are taken."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise DtypeError(f"{op}: {name}={value!r}; it must be True or False")


def real(op: str, name: str, value: Any) -> float:
    """`value` as a float; any real number except bool."""
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, _REALS):
        raise DtypeError(f"{op}: {name}={value!r}; it must be a number")
    try:
        return float(value)
    except OverflowError:
        raise OptionError(f"{op}: {name} is an int of over 1024 bits; it must be less") from None


def choice(op: str, name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """`value` if it is one of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise OptionError(f"{op}: {name}={value!r}; it must be one of {', '.join(allowed)}")
    return str(value)


def ndim(op: str, name: str, a: Array, axes: str) -> None:
    """`a` has one axis per letter of `axes`, blank separated, e.g. ``"N C H W"``."""
    need = len(axes.split())
    if a.ndim != need:
        raise ShapeError(f"{op}: {name} has {a.ndim} axes, shape {a.shape}; it must be {axes}")


def positive_sizes(op: str, name: str, sizes: tuple[int, ...], axes: str) -> None:
    """No size is zero; only the batch may be empty, and the caller leaves it out of `sizes`."""
    if 0 in sizes:
        raise ShapeError(f"{op}: {name} has shape {axes} = {sizes}; these must be at least 1")
