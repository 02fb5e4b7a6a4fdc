"""The same numbers in other memory: what a user's array may look like."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import Array

LAYOUTS = ("C", "F", "strided", "negative", "offset", "readonly", "bigendian", "unaligned")


def layout(a: Array, name: str) -> Array:
    """An array equal to `a` in the memory layout `name`, one of `LAYOUTS`."""
    if name == "C":
        return np.array(a, order="C")
    if name == "F":
        return np.array(a, order="F")
    if name == "strided":
        wide = np.full([2 * n for n in a.shape], np.nan if a.dtype.kind == "f" else -1, a.dtype)
        view: Array = wide[_every(2, a)]
        view[...] = a
        return view
    if name == "negative":
        turned: Array = np.array(a[_every(-1, a)], order="C")[_every(-1, a)]
        return turned
    if name == "offset":
        return _from_bytes(a, a.itemsize)
    if name == "readonly":
        copy = np.array(a, order="C")
        copy.flags.writeable = False
        return copy
    if name == "bigendian":
        return a.astype(a.dtype.newbyteorder(">"))
    if name == "unaligned":
        return _from_bytes(a, 1)
    raise ValueError(f"layout {name!r} is unknown; there are {LAYOUTS}")


def _every(step: int, a: Array) -> Any:
    """Index of every `step`-th entry along each axis, which is a view even without axes."""
    return (..., *(slice(None, None, step),) * a.ndim)


def _from_bytes(a: Array, offset: int) -> Array:
    """A copy of `a` that starts `offset` bytes into its buffer."""
    buffer = np.zeros(a.nbytes + offset, np.uint8)
    view = buffer[offset:].view(a.dtype) if offset % a.itemsize == 0 else None
    if view is None:
        view = np.ndarray(a.size, a.dtype, buffer.data, offset)
    view = view.reshape(a.shape)
    view[...] = a
    return view
