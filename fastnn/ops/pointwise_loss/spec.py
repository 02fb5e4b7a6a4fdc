"""What a loss that is a sum over elements means: sizes and costs. No algorithm."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

KINDS = ("mse", "l1", "huber", "bce", "kl", "kl_log")
"""Which loss of an element; the compiled code's numbers are the places in this tuple."""


class PointCall(NamedTuple):
    """A loss of x against a target of its shape, without the numbers."""

    dtype: str
    kind: str
    x: tuple[int, ...]  # any
    reduction: str
    weight: bool = False
    pos_weight: bool = False
    delta: float = 1.0

    @property
    def size(self) -> int:
        """Elements of x."""
        return math.prod(self.x)

    @property
    def out(self) -> tuple[int, ...]:
        """One number, or the shape of x without reduction."""
        return self.x if self.reduction == "none" else ()

    @property
    def divisor(self) -> float:
        """What the sum of the losses is divided by."""
        if self.reduction == "batchmean":
            return float(self.x[0])
        return float(self.size if self.reduction == "mean" else 1)

    @property
    def empty(self) -> bool:
        """No elements."""
        return 0 in self.x

    @property
    def flops(self) -> int:
        """Per element, an exponential and a logarithm counted as one each."""
        each = {"mse": 3, "l1": 3, "huber": 6, "bce": 9, "kl": 4, "kl_log": 4}
        return each[self.kind] * self.size

    @property
    def bytes(self) -> int:
        """x, target and weights read once, y written once."""
        sizes = self.size * (2 + self.weight + self.pos_weight) + math.prod(self.out)
        return np.dtype(self.dtype).itemsize * sizes


class PointGrads(NamedTuple):
    """Gradients of a loss; None where not needed."""

    x: Array | None
    target: Array | None


def terms(call: PointCall) -> int:
    """The longest sum: over all elements."""
    return max(call.size, 1)
