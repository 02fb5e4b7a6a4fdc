"""What an activation means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]

# FLOP per element, an exponential, a logarithm or an error function counted as one.
FLOPS = {
    "relu": 1,
    "leaky_relu": 2,
    "elu": 3,
    "gelu": 4,
    "gelu_tanh": 8,
    "silu": 4,
    "sigmoid": 4,
    "tanh": 1,
    "softplus": 5,
    "hardsigmoid": 4,
    "hardswish": 5,
}
FUNCTIONS = {name: number for number, name in enumerate(FLOPS)}
"""What can be computed element by element, with a number for each."""

# Their derivative comes from the result, which forward keeps; the others' from x.
_FROM_RESULT = ("relu", "sigmoid", "tanh")

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


class ActivationCall(NamedTuple):
    """An activation without its numbers."""

    dtype: str
    x: tuple[int, ...]  # any shape
    function: str  # of FUNCTIONS
    parameters: tuple[float, float]  # a and b of the formulas in naive.py

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
        """A few per element."""
        return FLOPS[self.function] * math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x read once, y written once."""
        return 2 * np.dtype(self.dtype).itemsize * math.prod(self.x)

    def saved(self, x: Array, y: Array) -> Array:
        """What backward starts from: x or y."""
        return y if self.function in _FROM_RESULT else x


class ActivationGrads(NamedTuple):
    """Gradient of an activation; None where not needed."""

    x: Array | None


def terms(call: ActivationCall) -> int:
    """There are no sums."""
    return 1


def cases(*options: Mapping[str, Any]) -> Callable[[], Iterator[Case]]:
    """Cases of an activation: every rank, sizes around whole vectors and tasks, each option."""
    turns = options or ({},)

    def generate() -> Iterator[Case]:
        core = [(7,), (3, 5), (2, 3, 4), (2, 3, 5, 4), (2, 1, 3, 2, 5), (64,), (33, 31), (1, 1)]
        for i, x in enumerate(core):
            yield case("core", x=shape(*x), **turns[i % len(turns)])
        for i, x in enumerate([(), (0,), (0, 3, 4), (3, 0, 4), (16385,)]):
            yield case("edge", x=shape(*x), **turns[i % len(turns)])
        yield _bench("cifar", "the peers' table", 64, 32, 32, 32)
        yield _bench("hidden", "CS231n's two-layer net", 64, 500)

    return generate


def _bench(name: str, source: str, *x: int) -> Case:
    return case("bench", name=name, source=source, x=shape(*x))


def errors(**rules: tuple[tuple[Any, type[Exception], str], ...]) -> Callable[[], Iterator[Bad]]:
    """Calls of an activation that must fail; for each option (value, error, pattern)."""

    def generate() -> Iterator[Bad]:
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
        for option, bad in rules.items():
            for value, error, match in bad:
                yield Bad({"x": x, option: value}, error, match)

    return generate


def finite_errors(name: str) -> tuple[tuple[Any, type[Exception], str], ...]:
    """What an option that must be a finite number may not be."""
    return (
        (np.nan, OptionError, rf"{name}=nan; it must be finite"),
        (-np.inf, OptionError, rf"{name}=-inf; it must be finite"),
        ("1", DtypeError, rf"{name}='1'; it must be a number"),
        (True, DtypeError, rf"{name}=True; it must be a number"),
        (None, DtypeError, rf"{name}=None; it must be a number"),
    )
