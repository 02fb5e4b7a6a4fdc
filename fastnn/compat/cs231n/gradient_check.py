"""The course's gradient_check.py: central differences, and the notebooks' relative error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compat.cs231n._cache import Array

__all__ = ["eval_numerical_gradient", "eval_numerical_gradient_array", "rel_error"]


def eval_numerical_gradient(
    f: Callable[[Array], Any], x: Array, verbose: bool = True, h: float = 0.00001
) -> Array:
    """Gradient of the number f(x): ``(f(x + h) - f(x - h)) / (2 h)`` for every element.

    `x` is changed in place while f runs and put back; `verbose` prints every slope.
    """
    grad = eval_numerical_gradient_array(f, x, 1.0, h)
    if verbose:
        for index in np.ndindex(x.shape):
            print(index, grad[index])
    return grad


def eval_numerical_gradient_array(
    f: Callable[[Array], Any], x: Array, df: Any, h: float = 1e-5
) -> Array:
    """Gradient of ``sum(f(x) * df)`` for f with an array for a result, by central differences."""
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + h
        above = np.copy(f(x))
        x[index] = kept - h
        below = np.copy(f(x))
        x[index] = kept
        grad[index] = np.sum((above - below) * df) / (2 * h)
    return grad


def rel_error(x: Any, y: Any) -> Any:
    """Largest relative difference: ``max(|x - y| / max(1e-8, |x| + |y|))``."""
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))
