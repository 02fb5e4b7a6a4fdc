"""The same numbers in other memory: what a user's array may look like."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from fastnn._check import Array

LAYOUTS = (
    "C", "F", "rotated", "swapped", "channels",
    "strided", "first", "last", "negative", "flipped", "upturned", "negative F",
    "padded", "inner", "field", "offset", "line", "page", "unaligned",
    "readonly", "readonly strided", "bigendian", "bigendian F", "bigendian strided",
)  # fmt: skip

# A step, and the axes that have it.
_STEPS = {
    "strided": (2, slice(None)), "first": (2, slice(1)), "last": (3, slice(-1, None)),
    "negative": (-1, slice(None)), "upturned": (-1, slice(1)), "flipped": (-1, slice(-1, None)),
}  # fmt: skip


def layout(a: Array, name: str) -> Array:
    """An array equal to `a` in the memory layout `name`, one of `LAYOUTS`."""
    if name not in LAYOUTS:
        raise ValueError(f"layout {name!r} is unknown; there are {LAYOUTS}")
    kind, _, rest = name.partition(" ")
    if kind == "bigendian":
        return layout(a.astype(a.dtype.newbyteorder(">")), rest or "C")
    if kind == "readonly":
        held = layout(a, rest or "C")
        held.flags.writeable = False
        return held
    if rest == "F":
        return layout(a.T, kind).T
    if name in _STEPS:
        return _stepped(a, *_STEPS[name])
    if name in ("padded", "inner"):
        return _within(a, border=int(name == "inner"))
    if name == "field":  # of packed records
        fields: Array = np.zeros(a.shape, [("tag", "u1"), ("value", a.dtype)])["value"]
        fields[...] = a
        return fields
    if name in ("offset", "line", "page", "unaligned"):
        past = {"offset": a.itemsize, "line": 32, "page": -a.nbytes % mmap.PAGESIZE}
        return _from_bytes(a, past.get(name, 1))
    return _ordered(a, name)


def _ordered(a: Array, name: str) -> Array:
    """Another order of axes in memory: all reversed, the first or the second one last."""
    axes = list(range(a.ndim))
    moved = {
        "C": axes,
        "F": axes[::-1],
        "rotated": axes[1:] + axes[:1],
        "swapped": axes[:-2] + axes[-2:][::-1],
        "channels": axes[:1] + axes[2:] + axes[1:2],
    }[name]
    return np.array(a.transpose(moved), order="C").transpose(np.argsort(moved))


def _fill(a: Array) -> Any:
    return np.nan if a.dtype.kind == "f" else -1


def _stepped(a: Array, step: int, which: slice) -> Array:
    """Every `step`-th number along the axes `which`; what is between is no number."""
    steps = [1] * a.ndim
    steps[which] = [step] * len(steps[which])
    shape = [n * abs(s) for n, s in zip(a.shape, steps, strict=True)]
    every: list[Any] = [..., *(slice(None, None, s) for s in steps)]
    view: Array = np.full(shape, _fill(a), a.dtype)[tuple(every)]
    view[...] = a
    return view


def _within(a: Array, border: int) -> Array:
    """A block of a larger array, which has one more number at each end; no border: at the last."""
    block: list[Any] = [..., *(slice(border, border + n) for n in a.shape)]
    view: Array = np.full([n + border + 1 for n in a.shape], _fill(a), a.dtype)[tuple(block)]
    view[...] = a
    return view


def _from_bytes(a: Array, offset: int) -> Array:
    """A copy of `a` that starts `offset` bytes into a buffer of pages, which it may end with."""
    pages = mmap.mmap(-1, max(1, a.nbytes + offset))
    view: Array = np.ndarray(a.shape, a.dtype, pages, offset)
    view[...] = a
    return view
