"""What a linear layer means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]


class LinearCall(NamedTuple):
    """A linear layer without its numbers."""

    dtype: str
    x: tuple[int, ...]  # ... I
    w: tuple[int, ...]  # O I
    bias: bool

    @property
    def out(self) -> tuple[int, ...]:
        """... O."""
        return (*self.x[:-1], self.w[0])

    @property
    def rows(self) -> int:
        """M, the leading axes of x flattened."""
        return math.prod(self.x[:-1])

    @property
    def empty(self) -> bool:
        """No rows."""
        return 0 in self.x

    @property
    def flops(self) -> int:
        """Two per multiply-add."""
        return 2 * self.rows * math.prod(self.w)

    @property
    def bytes(self) -> int:
        """x, w and b read once, y written once."""
        sizes = math.prod(self.x) + math.prod(self.w) + math.prod(self.out)
        return np.dtype(self.dtype).itemsize * (sizes + self.bias * self.w[0])


class LinearGrads(NamedTuple):
    """Gradients of a linear layer; None where not needed or not there."""

    x: Array | None
    w: Array | None
    b: Array | None


def terms(call: LinearCall) -> int:
    """The longest sum: over I forward, over O for dx, over the rows for dw and db."""
    return max(*call.w, call.rows)


def linear_cases() -> Iterator[Case]:
    """Cases of linear; sizes differ along every pair of axes that could be swapped."""
    yield case("core", x=shape(5, 7), w=shape(4, 7), b=shape(4))
    yield case("core", x=shape(5, 7), w=shape(4, 7))
    yield case("core", x=shape(7), w=shape(4, 7), b=shape(4))
    yield case("core", x=shape(2, 3, 7), w=shape(4, 7), b=shape(4))
    yield case("core", x=shape(2, 3, 5, 6), w=shape(9, 6))
    yield case("core", x=shape(1, 1), w=shape(1, 1), b=shape(1))
    yield case("core", x=shape(17, 33), w=shape(65, 33), b=shape(65))
    yield case("core", x=shape(70, 19), w=shape(3, 19), b=shape(3))
    yield case("core", x=shape(13, 300), w=shape(21, 300), b=shape(21))
    yield case("edge", x=shape(0, 7), w=shape(4, 7), b=shape(4))
    yield case("edge", x=shape(3, 0, 7), w=shape(4, 7))
    yield case("edge", x=shape(1, 700), w=shape(2, 700), b=shape(2))
    yield case("edge", x=shape(700, 1), w=shape(1, 1), b=shape(1))
    yield case("edge", x=shape(3, 2), w=shape(500, 2), b=shape(500))
    yield case("edge", x=shape(130, 11), w=shape(35, 11), b=shape(35))
    yield case("edge", x=shape(1), w=shape(5, 1))
    yield case("edge", x=shape(2, 270), w=shape(37, 270), b=shape(37))
    yield case("edge", x=shape(5, 75), w=shape(40, 75), b=shape(40))
    yield case("edge", x=shape(8, 75), w=shape(40, 75), b=shape(40))
    peers = "the peers' table"
    yield _bench("hidden", "CS231n's two-layer net, CIFAR-10", 64, 3072, 500)
    yield _bench("middle", peers, 256, 1024, 1024)
    yield _bench("head", peers, 64, 128, 10)


def _bench(name: str, source: str, m: int, i: int, o: int) -> Case:
    return case("bench", name=name, source=source, x=shape(m, i), w=shape(o, i), b=shape(o))


def linear_errors() -> Iterator[Bad]:
    """Calls of linear that must fail."""
    x, w, b = (np.ones(s, np.float32) for s in ((2, 3, 5), (4, 5), (4,)))
    yield Bad({"x": x[0, 0, 0], "w": w}, ShapeError, r"x has 0 axes.*at least one")
    yield Bad({"x": x, "w": w[0]}, ShapeError, r"w has 1 axes, shape \(5,\).*O I")
    yield Bad({"x": x, "w": w[None]}, ShapeError, r"w has 3 axes, shape \(1, 4, 5\).*O I")
    yield Bad({"x": x[..., :4], "w": w}, ShapeError, r"I=4 .*\(2, 3, 4\).* w takes I=5")
    yield Bad({"x": x, "w": w.T}, ShapeError, r"I=5 .* w takes I=4")
    yield Bad(
        {"x": x[..., :0], "w": w[:, :0]}, ShapeError, r"w has shape O I = \(4, 0\).*at least 1"
    )
    yield Bad({"x": x, "w": w[:0]}, ShapeError, r"w has shape O I = \(0, 5\).*at least 1")
    yield Bad({"x": x, "w": w, "b": b[:3]}, ShapeError, r"b has shape \(3,\).*O=4.*\(4,\)")
    yield Bad({"x": x, "w": w, "b": b[:, None]}, ShapeError, r"b has shape \(4, 1\)")
    yield Bad({"x": x, "w": w, "b": b[0]}, ShapeError, r"b has shape \(\)")
    yield Bad({"x": x, "w": w.astype(np.float64)}, DtypeError, r"x is float32 but w is float64")
    yield Bad({"x": x, "w": w, "b": b.astype(np.float64)}, DtypeError, r"but b is float64")
    yield Bad({"x": x.astype(np.int32), "w": w}, DtypeError, r"x has dtype int32")
    yield Bad({"x": x, "w": w.astype(np.float16)}, DtypeError, r"w has dtype float16")
    yield Bad({"x": x, "w": None}, DtypeError, r"w has dtype object")
    yield Bad({"x": x, "w": w, "out": x}, ShapeError, r"out has shape \(2, 3, 5\).*\(2, 3, 4\)")
    yield Bad({"x": x, "w": w, "out": np.ones((2, 3, 4))}, DtypeError, r"out is float64")
    yield Bad({"x": x, "w": w, "backend": "blas"}, OptionError, r"'blas' is unknown")
