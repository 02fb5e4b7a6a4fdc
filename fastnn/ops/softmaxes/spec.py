"""What softmax and its logarithm mean: sizes, costs, cases. No algorithm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, ShapeError
from fastnn.ops.activation.spec import errors as common_errors

Array = np.ndarray[Any, Any]


class SoftmaxCall(NamedTuple):
    """A softmax, or its logarithm, without its numbers."""

    dtype: str
    x: tuple[int, ...]  # any shape with an axis
    axis: int  # from 0
    log: bool

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
        """x as three axes: before `axis`, the axis, and after it."""
        before, after = self.x[: self.axis], self.x[self.axis + 1 :]
        return math.prod(before), self.x[self.axis], math.prod(after)

    @property
    def flops(self) -> int:
        """Comparison, subtraction, exponential, sum and product, five per element."""
        return 5 * math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x read once, y written once."""
        return 2 * np.dtype(self.dtype).itemsize * math.prod(self.x)


class SoftmaxGrads(NamedTuple):
    """Gradient of a softmax; None where not needed."""

    x: Array | None


def terms(call: SoftmaxCall) -> int:
    """The sum along the axis."""
    return call.x[call.axis]


def cases() -> Iterator[Case]:
    """Cases of both: every place of the axis, sizes around whole vectors and tasks."""
    yield case("core", x=shape(3, 5))
    yield case("core", x=shape(4, 7, 3), axis=1)
    yield case("core", x=shape(2, 3, 5), axis=0)
    yield case("core", x=shape(5, 19), axis=-1)
    yield case("core", x=shape(2, 3, 4, 5), axis=-2)
    yield case("core", x=shape(6, 33), axis=1)
    yield case("core", x=shape(17), axis=0)
    yield case("core", x=shape(9, 37), axis=0)
    yield case("core", x=shape(2, 5, 16), axis=1)
    yield case("core", x=shape(1, 1))
    yield case("edge", x=shape(0, 3))
    yield case("edge", x=shape(3, 0))
    yield case("edge", x=shape(2, 0, 3), axis=2)
    yield case("edge", x=shape(5, 1))
    yield case("edge", x=shape(5, 1), axis=0)
    yield case("edge", x=shape(700, 2))
    yield case("edge", x=shape(2, 5003))
    yield case("edge", x=shape(2, 150, 67), axis=1)
    yield _bench("imagenet", "ImageNet's classes", 128, 1000)
    yield _bench("attention", "BERT-base's heads, 128 tokens", 4, 12, 128, 128)
    yield _bench("voc", "PASCAL VOC's classes for every pixel", 4, 21, 64, 64, axis=1)


def _bench(name: str, source: str, *x: int, **options: Any) -> Case:
    return case("bench", name=name, source=source, x=shape(*x), **options)


_axis_errors = common_errors(
    axis=(
        (2, ShapeError, r"axis=2 but x has 2 axes, shape \(2, 3\); .*from -2 to 1"),
        (-3, ShapeError, r"axis=-3 but x has 2 axes, shape \(2, 3\); .*from -2 to 1"),
        (1.0, DtypeError, r"axis=1.0; it must be a whole number"),
        (True, DtypeError, r"axis=True; it must be a whole number"),
        (None, DtypeError, r"axis=None; it must be a whole number"),
        ((0, 1), DtypeError, r"axis=\(0, 1\); it must be a whole number"),
    )
)


def errors() -> Iterator[Bad]:
    """Calls of both that must fail."""
    yield from _axis_errors()
    yield Bad({"x": np.ones(())}, ShapeError, r"x has 0 axes, shape \(\); it needs at least 1")
