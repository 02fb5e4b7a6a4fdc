"""What dropout means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn._memory import empty
from fastnn.errors import DtypeError, OptionError
from fastnn.ops.activation.spec import errors as common_errors

Array = np.ndarray[Any, Any]


class DropoutCall(NamedTuple):
    """A dropout without its numbers and without its key."""

    dtype: str
    x: tuple[int, ...]  # any shape
    p: float
    training: bool

    @property
    def out(self) -> tuple[int, ...]:
        """The shape of x."""
        return self.x

    @property
    def empty(self) -> bool:
        """No elements."""
        return 0 in self.x

    @property
    def random(self) -> bool:
        """Whether there is anything to draw; if not, y is x."""
        return self.training and self.p > 0

    @property
    def least(self) -> int:
        """An element is kept if its 32 bits are at least this."""
        return round(self.p * 2**32)

    @property
    def scale(self) -> float:
        """What is kept is multiplied with this, to keep the mean."""
        return 1 / (1 - self.p) if self.p < 1 else 0.0

    @property
    def flops(self) -> int:
        """A comparison and a product per element; the bits are not counted."""
        return 2 * math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x read once, y written once."""
        return 2 * np.dtype(self.dtype).itemsize * math.prod(self.x)


class DropoutGrads(NamedTuple):
    """Gradient of a dropout; None where not needed."""

    x: Array | None


Apply = Callable[[DropoutCall, Array | None, Array, Array], Array]


def passes(apply: Apply) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Forward and backward of an implementation: ``apply(call, key, x, y)`` on x, then on dy."""

    def forward(
        call: DropoutCall, x: Array, key: Array | None, *, out: Array | None, save: bool
    ) -> tuple[Array, Any]:
        return apply(call, key, x, empty(call.out, call.dtype) if out is None else out), key

    def backward(
        call: DropoutCall, saved: Any, dy: Array, needs: tuple[str, ...]
    ) -> tuple[Array | None, ...]:
        return (apply(call, saved, dy, empty(call.x, call.dtype)) if "x" in needs else None,)

    return forward, backward


def terms(call: DropoutCall) -> int:
    """There are no sums."""
    return 1


def cases() -> Iterator[Case]:
    """Cases of dropout: every rank, sizes around blocks of random bits, vectors and tasks."""
    yield case("core", x=shape(7, 5), rng=1)
    yield case("core", x=shape(37), p=0.3, rng=2)
    yield case("core", x=shape(2, 3, 4), p=0.25, rng=3, training=True)
    yield case("core", x=shape(2, 3, 5, 4), p=0.9, rng=4)
    yield case("core", x=shape(33, 31), p=0.1, rng=2**100)
    yield case("core", x=shape(3, 5), training=False)
    yield case("core", x=shape(3, 6), p=0.0)
    yield case("core", x=shape(5, 3), p=1.0, rng=0)
    yield case("core", x=shape(1, 1), p=0.2, rng=0)
    yield case("edge", x=shape(), rng=5)
    yield case("edge", x=shape(0), rng=5)
    yield case("edge", x=shape(3, 0, 4), rng=5)
    yield case("edge", x=shape(63), p=1e-12, rng=6)
    yield case("edge", x=shape(65), rng=7)
    yield case("edge", x=shape(16389), p=0.4, rng=8)
    yield case(
        "bench", name="cifar", source="the peers' table", x=shape(64, 32, 32, 32), p=0.5, rng=0
    )
    yield case("bench", name="hidden", source="CS231n's FullyConnectedNet", x=shape(64, 500), rng=0)


_common = common_errors(
    p=(
        (-0.1, OptionError, r"p=-0.1; it must be from 0 to 1"),
        (1.5, OptionError, r"p=1.5; it must be from 0 to 1"),
        (np.nan, OptionError, r"p=nan; it must be from 0 to 1"),
        ("1", DtypeError, r"p='1'; it must be a number"),
        (None, DtypeError, r"p=None; it must be a number"),
    ),
    training=((1, DtypeError, r"training=1; it must be True or False"),),
    rng=(
        (-1, OptionError, r"rng=-1; it must be a numpy Generator or a seed of at least 0"),
        ("a", OptionError, r"rng='a'; it must be a numpy Generator or a seed"),
        (None, OptionError, r"rng not given with training=True and p=0.5; .*a seed"),
    ),
)


def errors() -> Iterator[Bad]:
    """Calls of dropout that must fail; without an error of their own they have an rng."""
    for bad in _common():
        yield bad._replace(arguments={"rng": 0} | dict(bad.arguments))
