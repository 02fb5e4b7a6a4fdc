"""Points in a plane with a class each: small problems whose answer can be drawn."""

from __future__ import annotations

import math

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.datasets._sets import Labelled
from fastnn.errors import OptionError
from fastnn.layers.base import RandomSource, generator


def blobs(
    n: int, classes: int = 3, *, std: float = 1.0, spread: float = 4.0, rng: RandomSource = None
) -> Labelled:
    """Normal clouds around centres that stand evenly on a circle: linearly separable if far apart.

    Parameters
    ----------
    n
        Points in all; classes have as equal numbers as can be.
    classes
        Clouds.
    std
        Standard deviation of a cloud along each axis.
    spread
        Radius of the circle of centres.
    rng
        A NumPy generator, or a seed; fresh entropy if not given.

    Returns
    -------
    Labelled
        x (n, 2) float64 and y (n,) int64, in random order.

    Raises
    ------
    OptionError, ShapeError, DtypeError
        If an argument is out of range or not a number.

    Examples
    --------
    >>> import fastnn
    >>> x, y = fastnn.datasets.blobs(300, rng=0)
    >>> x.shape, [int((y == k).sum()) for k in range(3)]
    ((300, 2), [100, 100, 100])
    """
    n, source = _check.whole("blobs", "n", n, 1), generator("blobs", rng)
    classes = _check.whole("blobs", "classes", classes, 1)
    y = np.arange(n) % classes
    angle = 2 * math.pi * y / classes + math.pi / 2
    centres = _at_least("blobs", "spread", spread) * np.stack([np.cos(angle), np.sin(angle)], 1)
    return _shuffled(centres, y, _at_least("blobs", "std", std), source)


def moons(n: int, *, noise: float = 0.1, rng: RandomSource = None) -> Labelled:
    """Two half circles that reach into each other: no straight line parts them.

    Class 0 is the upper half of the unit circle, class 1 the lower half of one around (1, 0.5).

    Parameters
    ----------
    n
        Points in all; the classes differ by one at most.
    noise
        Standard deviation of what is added to each coordinate.
    rng
        A NumPy generator, or a seed; fresh entropy if not given.

    Returns
    -------
    Labelled
        x (n, 2) float64 and y (n,) int64, in random order.

    Raises
    ------
    OptionError, ShapeError, DtypeError
        If an argument is out of range or not a number.

    Examples
    --------
    >>> import fastnn
    >>> x, y = fastnn.datasets.moons(200, noise=0.0, rng=0)
    >>> bool((x[y == 0, 1] >= 0).all()), bool((x[y == 1, 1] <= 0.5).all())
    (True, True)
    """
    n, source = _check.whole("moons", "n", n, 1), generator("moons", rng)
    y = np.arange(n) % 2
    angle = _steps(n, math.pi)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.where(y[:, None] == 0, upper, [1.0, 0.5] - upper)
    return _shuffled(points, y, _at_least("moons", "noise", noise), source)


def circles(
    n: int, *, noise: float = 0.05, factor: float = 0.5, rng: RandomSource = None
) -> Labelled:
    """A circle inside another: no straight line parts them.

    Class 0 is the unit circle, class 1 the one of radius `factor`.

    Parameters
    ----------
    n
        Points in all; the classes differ by one at most.
    noise
        Standard deviation of what is added to each coordinate.
    factor
        Radius of the inner circle, from 0 to 1.
    rng
        A NumPy generator, or a seed; fresh entropy if not given.

    Returns
    -------
    Labelled
        x (n, 2) float64 and y (n,) int64, in random order.

    Raises
    ------
    OptionError, ShapeError, DtypeError
        If an argument is out of range or not a number.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x, y = fastnn.datasets.circles(100, noise=0.0, rng=0)
    >>> np.unique(np.linalg.norm(x, axis=1).round(6))
    array([0.5, 1. ])
    """
    n, source = _check.whole("circles", "n", n, 1), generator("circles", rng)
    if not 0 <= _check.real("circles", "factor", factor) <= 1:
        raise OptionError(f"circles: factor={factor}; it must be from 0 to 1")
    y = np.arange(n) % 2
    angle = _steps(n, 2 * math.pi)
    points = np.where(y == 0, 1.0, factor)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return _shuffled(points, y, _at_least("circles", "noise", noise), source)


def _steps(n: int, end: float) -> Array:
    """Angles from 0, the same for the two points of a pair; a whole turn is not closed twice."""
    pairs = (n + 1) // 2
    step = end / pairs if end > 4 else end / max(1, pairs - 1)
    return np.repeat(np.arange(pairs) * step, 2)[:n]


def _at_least(op: str, name: str, value: float) -> float:
    if not 0 <= _check.real(op, name, value) < math.inf:
        raise OptionError(f"{op}: {name}={value}; it must be at least 0 and finite")
    return float(value)


def _shuffled(points: Array, y: Array, std: float, source: np.random.Generator) -> Labelled:
    order = source.permutation(len(y))
    return Labelled(points[order] + std * source.standard_normal(points.shape), y[order])
