"""What a penalty on mean activations means: sizes, costs, cases. No algorithm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn._memory import empty
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]


class SparsityCall(NamedTuple):
    """A sparsity penalty without its numbers."""

    dtype: str
    x: tuple[int, ...]  # N ...
    rho: float

    @property
    def units(self) -> int:
        """How many means there are."""
        return math.prod(self.x[1:])

    @property
    def out(self) -> tuple[int, ...]:
        """One number."""
        return ()

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """An addition per activation; per unit two logarithms and six more."""
        return math.prod(self.x) + 8 * self.units

    @property
    def bytes(self) -> int:
        """x read once."""
        return np.dtype(self.dtype).itemsize * (math.prod(self.x) + 1)


class SparsityGrads(NamedTuple):
    """Gradient of the penalty; None where not needed."""

    x: Array | None


def penalty(call: SparsityCall, mean: Array, out: Array | None) -> Array:
    """The result from the float64 means of the units."""
    y = empty((), call.dtype) if out is None else out
    rho = call.rho
    with np.errstate(all="ignore"):
        divergence = rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))
        y[...] = divergence.sum()
    return y


def spread(call: SparsityCall, mean: Array, dy: Array) -> Array:
    """dx from the means: every sample has an equal part in a unit's mean."""
    with np.errstate(all="ignore"):
        slope = (1 - call.rho) / (1 - mean) - call.rho / mean
        slope[(mean < 0) | (mean > 1)] = np.nan
        row = (slope * (float(dy) / call.x[0])).astype(call.dtype)
    dx = empty(call.x, call.dtype)
    dx.reshape(-1, call.units)[...] = row
    return dx


def terms(call: SparsityCall) -> int:
    """The longest sum: over the samples, then over the units."""
    return call.x[0] + call.units


def draw_activations(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Numbers between 0 and 1, as a sigmoid gives them."""
    x: Array = rng.uniform(0.05, 0.95, case.arrays["x"]).astype(dtype)
    return x


def kl_sparsity_cases() -> Iterator[Case]:
    """Cases of kl_sparsity."""
    yield case("core", x=shape(5, 3))
    yield case("core", x=shape(5, 3), rho=0.2)
    yield case("core", x=shape(7, 2, 3, 5), rho=0.01)
    yield case("core", x=shape(9, 67))
    yield case("core", x=shape(1, 4))
    yield case("core", x=shape(6))
    yield case("core", x=shape(1))
    yield case("edge", x=shape(0, 3))
    yield case("edge", x=shape(700, 2))
    yield case("edge", x=shape(3, 700))
    yield case("edge", x=shape(2, 64))
    yield case(
        "bench", x=shape(256, 200), name="autoencoder", source="the 200 units of CS294A's example"
    )


def kl_sparsity_errors() -> Iterator[Bad]:
    """Calls of kl_sparsity that must fail."""
    x = np.full((4, 3), 0.5, np.float32)
    yield Bad({"x": x[0, 0]}, ShapeError, r"x has 0 axes.*N \.\.\.")
    yield Bad({"x": x[:, :0]}, ShapeError, r"x has shape \.\.\. = \(0,\).*at least 1")
    yield Bad({"x": x[:, None, :0]}, ShapeError, r"x has shape \.\.\. = \(1, 0\).*at least 1")
    yield Bad({"x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({"x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({"x": np.ma.masked_equal(x, 1)}, DtypeError, r"x is a masked array")
    yield Bad({"x": x, "rho": 0}, OptionError, r"rho=0\.0.*between 0 and 1")
    yield Bad({"x": x, "rho": 1.0}, OptionError, r"rho=1\.0.*between 0 and 1")
    yield Bad({"x": x, "rho": -0.1}, OptionError, r"rho=-0\.1.*between 0 and 1")
    yield Bad({"x": x, "rho": float("nan")}, OptionError, r"rho=nan.*between 0 and 1")
    yield Bad({"x": x, "rho": None}, DtypeError, r"rho=None.*number")
    yield Bad({"x": x, "out": x[0]}, ShapeError, r"out has shape \(3,\).*\(\)")
    yield Bad({"x": x, "out": np.ones(())}, DtypeError, r"out is float64")
    yield Bad({"x": x, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
