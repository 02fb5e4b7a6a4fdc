"""Batches from what the user has: a pair of arrays, or anything that gives batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fastnn.errors import DtypeError, ShapeError, StateError
from fastnn.layers.base import Array

Data = tuple[Array, Array] | Iterable[tuple[Array, Array]]
"""A pair of arrays with the samples along the first axis, or (x, y) batches, again each epoch."""


def is_pair(data: Any) -> bool:
    """Whether `data` is arrays (x, y), to be cut into batches here."""
    return (
        isinstance(data, tuple) and len(data) == 2 and all(isinstance(a, np.ndarray) for a in data)
    )


def check(what: str, name: str, data: Any) -> None:
    """Refuse what cannot give batches."""
    if is_pair(data):
        x, y = data
        if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
            raise ShapeError(
                f"{what}: {name} has x of shape {x.shape} and y of shape {y.shape}; both must have "
                "the same number of samples, at least 1, along the first axis"
            )
    elif isinstance(data, np.ndarray) or not hasattr(data, "__iter__"):
        raise DtypeError(
            f"{what}: {name} is {type(data).__name__}; it must be a pair of arrays (x, y) or give "
            "such batches"
        )


def batches(
    what: str, data: Any, size: int, rng: np.random.Generator | None = None
) -> Iterator[tuple[Array, Array]]:
    """The batches of one epoch; arrays are shuffled if there is `rng`, else cut without a copy."""
    if is_pair(data):
        x, y = data
        if rng is None:
            yield from ((x[i : i + size], y[i : i + size]) for i in range(0, len(x), size))
            return
        order = rng.permutation(len(x))
        for start in range(0, len(x), size):
            chosen = order[start : start + size]
            yield x.take(chosen, axis=0), y.take(chosen, axis=0)
        return
    batch = None
    for batch in data:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise DtypeError(f"{what}: a batch is {type(batch).__name__}; it must be a pair (x, y)")
        yield batch[0], batch[1]
    if batch is None:
        raise StateError(
            f"{what}: the data gave no batch; it must give them anew each time that it is iterated"
        )


def count(data: Any, size: int) -> int | None:
    """The number of batches of an epoch, None if unknown."""
    if is_pair(data):
        return math.ceil(len(data[0]) / size)
    return len(data) if hasattr(data, "__len__") else None
