"""What PReLU means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]

ROW = 4096  # numbers in a row where one weight serves all


class PreluCall(NamedTuple):
    """A PReLU without its numbers."""

    dtype: str
    x: tuple[int, ...]  # N C ... or any shape
    w: tuple[int, ...]  # C or 1

    @property
    def out(self) -> tuple[int, ...]:
        """The shape of x."""
        return self.x

    @property
    def empty(self) -> bool:
        """No elements."""
        return 0 in self.x

    @property
    def sizes(self) -> tuple[int, int, int]:
        """N, C and what follows in one; with one weight rows of ROW, the last perhaps shorter."""
        size = math.prod(self.x)
        if self.w == (1,):
            return max(1, -(-size // ROW)), 1, max(2, min(size, ROW))
        return self.x[0], self.x[1], math.prod(self.x[2:])

    @property
    def flops(self) -> int:
        """A comparison and a product per element."""
        return 2 * math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x and w read once, y written once."""
        return np.dtype(self.dtype).itemsize * (2 * math.prod(self.x) + math.prod(self.w))


class PreluGrads(NamedTuple):
    """Gradients of a PReLU; None where not needed."""

    x: Array | None
    w: Array | None


def terms(call: PreluCall) -> int:
    """The sum in dw, over all numbers that a weight serves."""
    return max(1, math.prod(call.x) // call.w[0])


def cases() -> Iterator[Case]:
    """Cases of prelu: one weight and many, sizes around whole vectors, rows and chunks."""
    yield case("core", x=shape(3, 5), w=shape(5))
    yield case("core", x=shape(3, 5), w=shape(1))
    yield case("core", x=shape(2, 3, 4), w=shape(3))
    yield case("core", x=shape(2, 3, 5, 4), w=shape(3))
    yield case("core", x=shape(4, 2, 7, 5), w=shape(1))
    yield case("core", x=shape(3, 2, 33), w=shape(2))
    yield case("core", x=shape(41, 37), w=shape(37))
    yield case("core", x=shape(7), w=shape(1))
    yield case("core", x=shape(1, 1), w=shape(1))
    yield case("edge", x=shape(), w=shape(1))
    yield case("edge", x=shape(0, 3), w=shape(3))
    yield case("edge", x=shape(0, 3, 4), w=shape(1))
    yield case("edge", x=shape(2, 3, 0), w=shape(3))
    yield case("edge", x=shape(4, 1, 3), w=shape(1))
    yield case("edge", x=shape(300, 31), w=shape(31))
    yield case("edge", x=shape(3, 2731), w=shape(1))
    yield case("edge", x=shape(5, 2, 2003), w=shape(2))
    yield case(
        "bench", name="cifar", source="the peers' table", x=shape(64, 32, 32, 32), w=shape(32)
    )
    yield case(
        "bench", name="hidden", source="CS231n's two-layer net", x=shape(64, 500), w=shape(1)
    )


def errors() -> Iterator[Bad]:
    """Calls of prelu that must fail."""
    x, w = np.ones((2, 3, 4), np.float32), np.ones(3, np.float32)
    k = {"x": x, "w": w}
    yield Bad({**k, "w": w[:2]}, ShapeError, r"w has shape \(2,\) but x has C=3.*\(1,\) or \(3,\)")
    yield Bad({**k, "w": w[:0]}, ShapeError, r"w has shape \(0,\) but x has C=3")
    yield Bad({**k, "w": w[None]}, ShapeError, r"w has shape \(1, 3\).*\(1,\) or \(3,\)")
    yield Bad({**k, "w": np.float32(1)}, ShapeError, r"w has shape \(\)")
    yield Bad({**k, "x": x[0, 0], "w": w[:2]}, ShapeError, r"w has shape \(2,\).*\(4,\).*\(1,\)")
    yield Bad({**k, "w": w.astype(float)}, DtypeError, r"x is float32 but w is float64")
    yield Bad({**k, "w": None}, DtypeError, r"w has dtype object")
    yield Bad({**k, "w": [1, 2, 3]}, DtypeError, r"w has dtype int64")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({**k, "x": np.ma.masked_less(x, 0)}, DtypeError, r"x is a masked array")
    yield Bad({**k, "out": x[:, :2]}, ShapeError, r"out has shape \(2, 2, 4\).*\(2, 3, 4\)")
    yield Bad({**k, "out": np.ones((2, 3, 4))}, DtypeError, r"out is float64.*float32")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
