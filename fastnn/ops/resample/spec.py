"""What resampling and padding mean: sizes, coordinates, costs. No algorithm."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

PAD_MODES = ("constant", "reflect", "replicate")


class ResampleCall(NamedTuple):
    """An interpolation without its numbers."""

    dtype: str
    x: tuple[int, ...]  # N C H W or N C L
    mode: str
    align_corners: bool
    scale: tuple[float | None, ...]  # as given, per axis; None where the size was
    out: tuple[int, ...]  # N C P Q or N C P

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """Three linear interpolations of three each, or none."""
        return 9 * math.prod(self.out) if self.mode == "bilinear" else 0

    @property
    def bytes(self) -> int:
        """x read once, y written once."""
        return np.dtype(self.dtype).itemsize * (math.prod(self.x) + math.prod(self.out))


@lru_cache(32)
def _sources(
    size: int, steps: int, scale: float | None, mode: str, align_corners: bool
) -> tuple[Array, Array | None]:
    """For `steps` positions along an axis the cells of x before them and the weights of the next.

    Weights are None for the nearest cell alone.
    """
    i = np.arange(steps)
    if mode == "nearest":
        if scale is None:  # i * size // steps without overflow
            cells = size // steps * i + size % steps * i // steps
        else:
            cells = np.floor(i / scale).astype(np.int64)
        return _frozen(np.minimum(cells, size - 1)), None
    if align_corners:
        places = i * ((size - 1) / max(steps - 1, 1))
    else:
        places = (i + 0.5) * (size / steps if scale is None else 1 / scale) - 0.5
    places = np.clip(places, 0.0, size - 1)
    cells = places.astype(np.int64)
    return _frozen(cells), _frozen(places - cells)


def _frozen(a: Array) -> Array:
    a.flags.writeable = False
    return a


def sources(call: ResampleCall) -> tuple[tuple[Array, Array | None], ...]:
    """`_sources` of rows and columns; a call with one spatial axis has one row."""
    rows = [(np.zeros(1, np.int64), None)] if len(call.x) == 3 else []
    axes = zip(call.x[2:], call.out[2:], call.scale, strict=True)
    return *rows, *(_sources(*axis, call.mode, call.align_corners) for axis in axes)


class PadCall(NamedTuple):
    """A padding without its numbers."""

    dtype: str
    x: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # (before, after) per axis of x
    mode: str
    value: float

    @property
    def out(self) -> tuple[int, ...]:
        """Each axis with its padding."""
        return tuple(size + sum(p) for size, p in zip(self.x, self.padding, strict=True))

    @property
    def empty(self) -> bool:
        """Nothing in x."""
        return 0 in self.x

    @property
    def flops(self) -> int:
        """Numbers are only moved."""
        return 0

    @property
    def bytes(self) -> int:
        """x read once, y written once."""
        return np.dtype(self.dtype).itemsize * (math.prod(self.x) + math.prod(self.out))

    def source(self, axis: int, o: int) -> int | None:
        """The index of x behind index o of y along `axis`; None for the constant."""
        size = self.x[axis]
        i = o - self.padding[axis][0]
        if 0 <= i < size:
            return i
        if self.mode == "constant":
            return None
        if self.mode == "replicate":
            return 0 if i < 0 else size - 1
        return -i if i < 0 else 2 * (size - 1) - i


class ResampleGrads(NamedTuple):
    """Gradient of a resampling or padding; None where not needed."""

    x: Array | None


def merged_axes(call: PadCall) -> tuple[tuple[int, int, int], ...]:
    """(size, before, after) of each axis; neighbours without padding are one.

    There are at least two, the first without padding.
    """
    axes = [(1, 0, 0)]
    for size, (before, after) in zip(call.x, call.padding, strict=True):
        if (before, after) == axes[-1][1:] == (0, 0):
            axes[-1] = (axes[-1][0] * size, 0, 0)
        else:
            axes.append((size, before, after))
    return ((1, 0, 0), *axes) if len(axes) == 1 else tuple(axes)


def resample_terms(call: ResampleCall) -> int:
    """The longest sum: a pixel of dx collects from all that it is next to."""
    pairs = zip(call.x[2:], call.out[2:], strict=True)
    return 4 * math.prod(2 * (out // size + 2) for size, out in pairs)


def pad_terms(call: PadCall) -> int:
    """The longest sum: at an edge that is replicated, or where reflections meet."""
    return math.prod(max(p) + 2 for p in call.padding if any(p))
