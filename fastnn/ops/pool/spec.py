"""What pooling means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastnn import _check
from fastnn.errors import ShapeError

Array = np.ndarray[Any, Any]


class PoolCall(NamedTuple):
    """A pooling without its numbers, for any number of spatial axes."""

    dtype: str
    x: tuple[int, ...]  # N C H W
    window: tuple[int, ...]  # R S
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # (before, after) per spatial axis
    dilation: tuple[int, ...]
    ceil_mode: bool
    indices: bool  # whether the winners' places in x are a result, too
    y: tuple[int, ...]  # N C P Q; follows from the rest, `pool_call` fills it in

    @property
    def out(self) -> tuple[Any, ...]:
        """The shape of y, or of y and of indices."""
        return (self.y, self.y) if self.indices else self.y

    @property
    def offset_dtype(self) -> str:
        """What holds a winner's place in its window, or "nobody": the largest uint8, or -1."""
        return "uint8" if math.prod(self.window) <= 255 else "int32"

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """One comparison per cell of a window, borders counted as if they were inside."""
        return math.prod(self.y) * math.prod(self.window)

    @property
    def bytes(self) -> int:
        """x read once, y and indices written once."""
        item = np.dtype(self.dtype).itemsize
        return item * math.prod(self.x) + (item + 8 * self.indices) * math.prod(self.y)


class PoolGrads(NamedTuple):
    """Gradient of a pooling; None where not needed."""

    x: Array | None


class PoolIndices(NamedTuple):
    """Results of a max-pooling that tells its winners."""

    y: Array
    indices: Array


class UnpoolCall(NamedTuple):
    """An unpooling without its numbers."""

    dtype: str
    x: tuple[int, ...]  # N C P Q
    output_size: tuple[int, ...]  # H W

    @property
    def out(self) -> tuple[int, ...]:
        """N C H W."""
        return (*self.x[:2], *self.output_size)

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """Numbers are only moved."""
        return 0

    @property
    def bytes(self) -> int:
        """x and indices read once, y written once."""
        item = np.dtype(self.dtype).itemsize
        return (item + 8) * math.prod(self.x) + item * math.prod(self.out)


def output_size(
    size: int, taps: int, stride: int, padding: tuple[int, int], dilation: int, ceil_mode: bool
) -> int:
    """Positions of a window of `taps` along an axis of `size`, see `max_pool2d`."""
    room = size + sum(padding) - dilation * (taps - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    last = -(-room // stride)
    return last if last * stride >= size + padding[0] else last + 1


def check_windows(
    op: str,
    letters: str,
    x: tuple[int, ...],
    window: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
) -> None:
    """Every rule about sizes of a pooling of N C and `letters`, for any rank."""
    axes = letters.split()
    if len(x) != 2 + len(axes):
        raise ShapeError(f"{op}: x has {len(x)} axes, shape {x}; it must be N C {letters}")
    _check.positive_sizes(op, "x", x[1:], f"C {letters}")
    cells = math.prod(window)
    if cells >= 2**31:
        raise ShapeError(
            f"{op}: kernel_size={window} has {cells} cells; it must be less than {2**31}"
        )
    for letter, size, taps, side, step in zip(axes, x[2:], window, padding, dilation, strict=True):
        span = step * (taps - 1) + 1
        if 2 * max(side) > span:
            raise ShapeError(
                f"{op}: padding of {letter} is {side} but the window spans {span}; each side must "
                f"be at most half of it, {span // 2}"
            )
        if span > size + sum(side):
            raise ShapeError(
                f"{op}: x has {letter}={size}, padded by {side} to {size + sum(side)}, but the "
                f"window spans {span}; it must fit"
            )


def pool_call(
    dtype: str,
    x: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
    indices: bool,
) -> PoolCall:
    """The call with its result's shape, worked out once."""
    axes = zip(x[2:], window, stride, padding, dilation, strict=True)
    y = (*x[:2], *(output_size(*axis, ceil_mode) for axis in axes))
    return PoolCall(dtype, x, window, stride, padding, dilation, ceil_mode, indices, y)


def unpool_terms(call: UnpoolCall) -> int:
    """Nothing is added up."""
    return 1


def terms(call: PoolCall) -> int:
    """The longest sum: a cell of dx collects from at most R S windows."""
    return math.prod(call.window)
