"""What pooling means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

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
    out: tuple[int, ...]  # N C P Q; follows from the rest, `pool_call` fills it in

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
        return math.prod(self.out) * math.prod(self.window)

    @property
    def bytes(self) -> int:
        """x read once, y written once."""
        return np.dtype(self.dtype).itemsize * (math.prod(self.x) + math.prod(self.out))


class PoolGrads(NamedTuple):
    """Gradient of a pooling; None where not needed."""

    x: Array | None


def output_size(
    size: int, taps: int, stride: int, padding: tuple[int, int], dilation: int, ceil_mode: bool
) -> int:
    """Positions of a window of `taps` along an axis of `size`, see `max_pool2d`."""
    room = size + sum(padding) - dilation * (taps - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    last = -(-room // stride)
    return last if last * stride >= size + padding[0] else last + 1


def pool_call(
    dtype: str,
    x: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> PoolCall:
    """The call with its result's shape, worked out once."""
    axes = zip(x[2:], window, stride, padding, dilation, strict=True)
    out = (*x[:2], *(output_size(*axis, ceil_mode) for axis in axes))
    return PoolCall(dtype, x, window, stride, padding, dilation, ceil_mode, out)


def terms(call: PoolCall) -> int:
    """The longest sum: a cell of dx collects from at most R S windows."""
    return math.prod(call.window)


def max_pool2d_cases() -> Iterator[Case]:
    """Cases of max_pool2d; sizes differ along every pair of axes that could be swapped."""
    yield case("core", x=shape(2, 3, 8, 6), kernel_size=2)
    yield case("core", x=shape(2, 3, 9, 7), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0))
    yield case("core", x=shape(3, 2, 7, 10), kernel_size=3, stride=2, padding=1)
    yield case("core", x=shape(1, 4, 7, 9), kernel_size=(2, 3), ceil_mode=True)
    yield case("core", x=shape(2, 1, 8, 11), kernel_size=3, stride=2, padding=1, ceil_mode=True)
    yield case("core", x=shape(2, 3, 11, 13), kernel_size=(3, 2), stride=1, dilation=(2, 3))
    yield case("core", x=shape(1, 2, 6, 5), kernel_size=(2, 3), stride=1, padding=((1, 0), (0, 1)))
    yield case("core", x=shape(2, 3, 5, 4), kernel_size=1)
    yield case("core", x=shape(1, 1, 1, 1), kernel_size=1)
    yield case("core", x=shape(2, 3, 5, 4), kernel_size=(5, 4))
    yield case("core", x=shape(2, 3, 10, 9), kernel_size=2, stride=3, dilation=2, padding=1)
    yield case("core", x=shape(1, 2, 12, 17), kernel_size=4, stride=(1, 3), padding=2)
    yield case("edge", x=shape(0, 3, 6, 5), kernel_size=2)
    yield case("edge", x=shape(2, 2, 1, 1), kernel_size=2, dilation=4, padding=2)
    yield case(
        "edge", x=shape(1, 2, 1, 6), kernel_size=2, stride=1, dilation=(4, 1), padding=(2, 1)
    )
    yield case("edge", x=shape(1, 2, 4, 4), kernel_size=1, stride=5, ceil_mode=True)
    yield case("edge", x=shape(1, 2, 5, 3), kernel_size=2, stride=(4, 3), padding=1, ceil_mode=True)
    yield case("edge", x=shape(1, 1, 3, 300), kernel_size=(2, 3), stride=1, padding=1)
    yield case("edge", x=shape(1, 2, 2, 300), kernel_size=2)
    yield case(
        "edge", x=shape(2, 1, 2, 517), kernel_size=(1, 5), stride=3, dilation=2, padding=(0, 4)
    )
    yield case("edge", x=shape(1, 2, 17, 18), kernel_size=(15, 17), stride=1)
    yield case("edge", x=shape(1, 2, 20, 23), kernel_size=(16, 17), stride=(2, 3), padding=(8, 3))
    yield case("edge", x=shape(2, 1, 1, 270), kernel_size=(1, 256), stride=1, padding=(0, 1))
    yield case("edge", x=shape(1, 300, 3, 2), kernel_size=2, stride=1)
    peers = "the peers' table"
    yield _bench("seed_pool", "CS231n's timing cell", (100, 3, 32, 32), 2)
    yield _bench("cifar2x2", peers, (64, 32, 32, 32), 2)
    yield _bench("stem3x3", "ResNet-50's pool1", (16, 64, 112, 112), 3, stride=2, padding=1)


def _bench(name: str, source: str, x: tuple[int, ...], kernel_size: int, **options: Any) -> Case:
    return case("bench", name=name, source=source, x=shape(*x), kernel_size=kernel_size, **options)


def max_pool2d_errors() -> Iterator[Bad]:
    """Calls of max_pool2d that must fail."""
    x = np.ones((2, 3, 6, 5), np.float32)
    k = {"x": x, "kernel_size": 2}
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 3 axes, shape \(3, 6, 5\).*N C H W")
    yield Bad({**k, "x": x[..., :0]}, ShapeError, r"x has shape C H W = \(3, 6, 0\).*at least 1")
    yield Bad({**k, "x": x[:, :0]}, ShapeError, r"x has shape C H W = \(0, 6, 5\).*at least 1")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({**k, "kernel_size": 0}, ShapeError, r"kernel_size=0.*at least 1")
    yield Bad({**k, "kernel_size": 2.0}, DtypeError, r"kernel_size=2\.0.*whole number")
    yield Bad({**k, "kernel_size": None}, DtypeError, r"kernel_size=None.*whole number")
    yield Bad(
        {**k, "kernel_size": (2, 2, 2)}, ShapeError, r"kernel_size=\(2, 2, 2\) has 3.*needs 2"
    )
    yield Bad({**k, "kernel_size": 7}, ShapeError, r"H=6, padded by \(0, 0\) to 6.*spans 7")
    yield Bad({**k, "kernel_size": (2, 6)}, ShapeError, r"W=5.*spans 6")
    yield Bad({**k, "kernel_size": (2, 6), "ceil_mode": True}, ShapeError, r"W=5.*spans 6")
    yield Bad(
        {**k, "kernel_size": 2**16, "padding": 2**15}, ShapeError, r"4294967296 cells.*2147483648"
    )
    yield Bad({**k, "stride": 0}, ShapeError, r"stride=0.*at least 1")
    yield Bad({**k, "stride": (1,)}, ShapeError, r"stride=\(1,\) has 1")
    yield Bad({**k, "dilation": (1, 5)}, ShapeError, r"W=5.*spans 6")
    yield Bad({**k, "dilation": True}, DtypeError, r"dilation=True.*whole number")
    yield Bad({**k, "padding": 2}, ShapeError, r"padding of H is \(2, 2\).*spans 2.*half of it, 1")
    yield Bad({**k, "padding": (0, (0, 2))}, ShapeError, r"padding of W is \(0, 2\).*spans 2")
    yield Bad({**k, "padding": -1}, ShapeError, r"padding=-1.*at least 0")
    yield Bad({**k, "padding": "same"}, DtypeError, r"padding='same'.*whole number")
    yield Bad({**k, "ceil_mode": 1}, DtypeError, r"ceil_mode=1.*True or False")
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 6, 5\).*\(2, 3, 3, 2\)")
    yield Bad({**k, "out": np.ones((2, 3, 3, 2))}, DtypeError, r"out is float64")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
