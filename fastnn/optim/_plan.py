"""Where a step runs: compiled, or in NumPy where there is no compiled code or naive is wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastnn import _config
from fastnn.dispatch import unavailable

Array = np.ndarray[Any, Any]

SGD, ADAM, RMSPROP, ADAGRAD = range(4)
"""The rules, as C numbers them."""


class Numbers(NamedTuple):
    """A step's hyper-parameters in the form that all rules share, see `_numpy`."""

    rule: int
    rate: float
    keep: float = 1.0
    decay: float = 0.0
    first: float = 0.0
    second: float = 0.0
    root: float = 1.0
    eps: float = 0.0
    nesterov: bool = False
    scale: float = 1.0
    limit: float = math.inf


class Plan(Protocol):
    """Parameters of one dtype with gradients and state, ready to be updated many times."""

    def step(self, *numbers: Any) -> None:
        """Update every parameter and its state; `numbers` are those of `Numbers`."""

    def squares(self) -> float:
        """The sum of the squares of all gradients, in float64."""

    def clip(self, scale: float, limit: float = math.inf) -> None:
        """Multiply every gradient by `scale`, then hold it within -limit to limit."""


Row = Sequence[Array | None]
"""A parameter, its gradient and three states, None where the rule has none."""


def compiled() -> bool:
    """Whether compiled code runs here and now."""
    wish = _config.policy.get().backend or _config.environment.backend
    return wish != "naive" and unavailable("cython") is None


def plans(rows: Sequence[Row], *, compiled: bool) -> list[Plan]:
    """A plan per dtype."""
    kind: Any
    if compiled:
        from fastnn._ext import _optim

        kind = _optim.Plan
    else:
        from fastnn.optim import _numpy

        kind = _numpy.Plan
    by_dtype: dict[Any, list[list[Array | None]]] = {}
    for row in rows:
        if row[0] is not None:
            by_dtype.setdefault(row[0].dtype, []).append(list(row))
    return [kind(same) for same in by_dtype.values()]
