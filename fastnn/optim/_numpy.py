"""The rules in NumPy: what a step means, and what runs where there is no compiled code.

A step works block by block, so that parameters, gradients, state and temporaries stay in the cache
and nothing of a parameter's size is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn.optim._plan import ADAGRAD, ADAM, RMSPROP, SGD, Numbers

Array = np.ndarray[Any, Any]

BLOCK = 4096


def sgd(k: Numbers, p: Array, g: Array, v: Array | None, *absent: None) -> Array:
    """The step's direction: the gradient, or the momentum v, or one step further."""
    if v is None:
        return g
    v[...] = k.first * v + g
    return g + k.first * v if k.nesterov else v


def adam(k: Numbers, p: Array, g: Array, m: Array, v: Array, most: Array | None) -> Array:
    """The mean over the root of the mean square, or of the largest there was."""
    m += (1 - k.first) * (g - m)
    v[...] = k.second * v + (1 - k.second) * g * g
    square = v
    if most is not None:
        square = np.maximum(most, v, out=most)
    return m / (np.sqrt(square) * k.root + k.eps)


def rmsprop(k: Numbers, p: Array, g: Array, v: Array, mean: Array | None, b: Array | None) -> Array:
    """The gradient over the root of the mean square, or of the variance; with momentum b."""
    v[...] = k.second * v + (1 - k.second) * g * g
    square = v
    if mean is not None:
        mean += (1 - k.second) * (g - mean)
        square = np.maximum(v - mean * mean, 0)  # rounding must not make it negative
    step: Array = g / (np.sqrt(square) + k.eps)
    if b is None:
        return step
    b[...] = k.first * b + step
    return b


def adagrad(k: Numbers, p: Array, g: Array, total: Array, *absent: None) -> Array:
    """The gradient over the root of the sum of all squares."""
    total += g * g
    return g / (np.sqrt(total) + k.eps)


RULES: dict[int, Any] = {SGD: sgd, ADAM: adam, RMSPROP: rmsprop, ADAGRAD: adagrad}


def gradient(k: Numbers, p: Array, g: Array) -> Array:
    """What a rule sees: clipped, and with L2 decay."""
    g = g * k.scale
    if k.limit < math.inf:
        np.clip(g, -k.limit, k.limit, out=g)
    if k.decay:
        g += k.decay * p
    return g


class Plan:
    """The parameters of one dtype; see `fastnn.optim._plan`."""

    def __init__(self, rows: list[list[Array | None]]) -> None:
        self._rows = rows

    def _blocks(self) -> Iterator[list[Any]]:
        for row in self._rows:
            flat = [None if a is None else a.reshape(-1) for a in row]
            for start in range(0, flat[0].size if flat[0] is not None else 0, BLOCK):
                yield [None if a is None else a[start : start + BLOCK] for a in flat]

    def step(self, *numbers: Any) -> None:
        """p = keep * p - rate * direction."""
        k = Numbers(*numbers)
        rule = RULES[k.rule]
        with np.errstate(all="ignore"):  # overflow gives infinity, as in PyTorch
            for p, g, *state in self._blocks():
                direction = rule(k, p, gradient(k, p, g), *state)
                p[...] = k.keep * p - k.rate * direction

    def squares(self) -> float:
        """The sum of the squares of all gradients, in float64."""
        with np.errstate(all="ignore"):
            return float(sum(np.sum(np.square(g, dtype=float)) for _, g, *_ in self._blocks()))

    def clip(self, scale: float, limit: float = math.inf) -> None:
        """Multiply every gradient by `scale`, then hold it within -limit to limit."""
        with np.errstate(all="ignore"):
            for _, g, *_ in self._blocks():
                g *= scale
                np.clip(g, -limit, limit, out=g)
