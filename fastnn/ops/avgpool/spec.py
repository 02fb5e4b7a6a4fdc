"""What pooling over windows means: windows of each axis, costs. No algorithm.

Average pooling and the adaptive and global poolings of `fastnn.ops.adaptive` share it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Axis(NamedTuple):
    """The windows along one axis; `taps` 0 stands for adaptive ones, which share the axis out."""

    size: int
    steps: int
    taps: int = 0
    stride: int = 0
    before: int = 0
    after: int = 0

    def window(self, i: int, padding_counts: bool) -> tuple[slice, int]:
        """Cells of window i inside the image, and how many an average counts."""
        if self.taps == 0:
            first, last = i * self.size // self.steps, -(-(i + 1) * self.size // self.steps)
            return slice(first, last), last - first
        start = i * self.stride - self.before
        end = min(start + self.taps, self.size + self.after)
        first, last = max(start, 0), min(end, self.size)
        return slice(first, last), end - start if padding_counts else last - first

    @property
    def cells(self) -> int:
        """Cells of all windows; of adaptive ones about."""
        return self.steps * self.taps if self.taps else max(self.size, self.steps)

    @property
    def terms(self) -> int:
        """The most cells of a window, or windows of a cell."""
        return self.taps or max(self.size // self.steps, self.steps // self.size) + 2


class WindowCall(NamedTuple):
    """A pooling over windows without its numbers.

    `axes` are the spatial axes; a global pooling has all of them as one.
    """

    dtype: str
    x: tuple[int, ...]  # N C H W
    axes: tuple[Axis, ...]
    out: tuple[int, ...]  # N C P Q
    count_include_pad: bool = True
    divisor_override: int | None = None

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """One per cell of a window, borders counted as if they were inside."""
        return math.prod(self.x[:2]) * math.prod(axis.cells for axis in self.axes)

    @property
    def bytes(self) -> int:
        """x read once, y written once."""
        return np.dtype(self.dtype).itemsize * (math.prod(self.x) + math.prod(self.out))

    def planes(self, x: Array) -> Array:
        """An array of the shape of x as N, C and one axis per entry of `axes`."""
        return x.reshape(*self.x[:2], *(axis.size for axis in self.axes))

    def windows(self, y: Array) -> Array:
        """An array of the shape of y, likewise."""
        return y.reshape(*self.x[:2], *(axis.steps for axis in self.axes))

    def window(self, pq: tuple[int, ...]) -> tuple[tuple[slice, ...], int]:
        """Cells of a window inside the image, and the divisor of their sum."""
        pairs = [
            axis.window(i, self.count_include_pad) for axis, i in zip(self.axes, pq, strict=True)
        ]
        divisor = self.divisor_override or math.prod(count for _, count in pairs)
        return tuple(cells for cells, _ in pairs), divisor


class WindowGrads(NamedTuple):
    """Gradient of a pooling; None where not needed."""

    x: Array | None


def terms(call: WindowCall) -> int:
    """The longest sum: over a window, or over the windows that a cell is in."""
    return math.prod(axis.terms for axis in call.axes)
