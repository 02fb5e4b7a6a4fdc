"""The arrays of a row, the same for every library."""

from __future__ import annotations

from typing import Any

import numpy as np

from peers.rows import Row

Array = np.ndarray[Any, Any]


def draw(row: Row) -> dict[str, Array]:
    """Normal data of deviation 1 for x, small for weights, so that nothing overflows."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in row.arrays.items():
        scale = 1.0 if name == "x" else 0.05
        arrays[name] = (scale * rng.standard_normal(shape)).astype(row.dtype)
    return arrays


def labels(row: Row) -> Array:
    """A class for every row or pixel of x."""
    n, classes, *pixels = row.arrays["x"]
    return np.random.default_rng(1).integers(0, classes, (n, *pixels))


def like(array: Array) -> Array:
    """A gradient for `array`."""
    return np.random.default_rng(2).standard_normal(array.shape).astype(array.dtype)
