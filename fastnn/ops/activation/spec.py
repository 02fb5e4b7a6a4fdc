"""What an activation means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]


class ActivationCall(NamedTuple):
    """An activation without its numbers."""

    dtype: str
    x: tuple[int, ...]  # any shape

    @property
    def out(self) -> tuple[int, ...]:
        """The shape of x."""
        return self.x

    @property
    def empty(self) -> bool:
        """No elements."""
        return 0 in self.x

    @property
    def flops(self) -> int:
        """One comparison per element."""
        return math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x read once, y written once."""
        return 2 * np.dtype(self.dtype).itemsize * math.prod(self.x)


class ActivationGrads(NamedTuple):
    """Gradient of an activation; None where not needed."""

    x: Array | None


def terms(call: ActivationCall) -> int:
    """There are no sums."""
    return 1


def relu_cases() -> Iterator[Case]:
    """Cases of relu: every rank, and sizes around whole vectors and whole tasks."""
    yield case("core", x=shape(7))
    yield case("core", x=shape(3, 5))
    yield case("core", x=shape(2, 3, 4))
    yield case("core", x=shape(2, 3, 5, 4))
    yield case("core", x=shape(2, 1, 3, 2, 5))
    yield case("core", x=shape(64))
    yield case("core", x=shape(33, 31))
    yield case("core", x=shape(1, 1))
    yield case("edge", x=shape())
    yield case("edge", x=shape(0))
    yield case("edge", x=shape(0, 3, 4))
    yield case("edge", x=shape(3, 0, 4))
    yield case("edge", x=shape(16384))
    yield case("edge", x=shape(16385))
    yield case("edge", x=shape(3, 16383))
    yield case("bench", name="cifar", source="the peers' table", x=shape(64, 32, 32, 32))
    yield case("bench", name="hidden", source="CS231n's two-layer net", x=shape(64, 500))


def relu_errors() -> Iterator[Bad]:
    """Calls of relu that must fail."""
    x = np.ones((2, 3), np.float32)
    frozen = np.ones((2, 3), np.float32)
    frozen.flags.writeable = False
    yield Bad({"x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({"x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({"x": x.astype(np.complex64)}, DtypeError, r"x has dtype complex64")
    yield Bad({"x": x > 0}, DtypeError, r"x has dtype bool")
    yield Bad({"x": [["a"]]}, DtypeError, r"x has dtype <U1")
    yield Bad({"x": None}, DtypeError, r"x has dtype object")
    yield Bad({"x": [1, 2]}, DtypeError, r"x has dtype int64")
    yield Bad({"x": np.ma.masked_less(x, 0)}, DtypeError, r"x is a masked array")
    yield Bad({"x": x, "out": x[:, :2]}, ShapeError, r"out has shape \(2, 2\).*\(2, 3\)")
    yield Bad({"x": x, "out": x.ravel()}, ShapeError, r"out has shape \(6,\).*\(2, 3\)")
    yield Bad({"x": x, "out": np.ones((2, 3))}, DtypeError, r"out is float64.*float32")
    yield Bad({"x": x, "out": [0.0]}, DtypeError, r"out is list")
    yield Bad({"x": x, "out": frozen}, ShapeError, r"out is read-only")
    yield Bad({"x": x, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
    yield Bad({"x": x, "backend": "cython:im2col"}, OptionError, r"'cython:im2col' is unknown")
