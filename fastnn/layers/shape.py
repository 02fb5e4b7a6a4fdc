"""Layers that only change the shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.errors import ShapeError
from fastnn.layers.base import Array, Layer


class Flatten(Layer):
    """Join the axes from `start_dim` on into one, as between convolutions and a `Linear`.

    ::

        y[n, (c*H + h)*W + w] = x[n,c,h,w]

    ``x`` is N C H W (any shape with an axis `start_dim`) and ``y`` is N C*H*W: a view of x, and
    dx one of dy, wherever the memory layout allows it.

    Parameters
    ----------
    start_dim
        The first of the axes to join.

    Raises
    ------
    ShapeError
        If `start_dim` is negative, x has no such axis, or dy does not have y's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Flatten
    >>> layer = Flatten()
    >>> layer(np.zeros((2, 3, 4, 5))).shape
    (2, 60)
    >>> layer.backward(np.zeros((2, 60))).shape
    (2, 3, 4, 5)
    """

    def __init__(self, start_dim: int = 1) -> None:
        super().__init__()
        self.start_dim = _check.whole(type(self).__name__, "start_dim", start_dim, 0)

    def _shape(self, x: tuple[int, ...]) -> tuple[int, ...]:
        return (*x[: self.start_dim], math.prod(x[self.start_dim :]))

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        x = np.asarray(x)
        if x.ndim <= self.start_dim:
            raise ShapeError(
                f"Flatten: x has {x.ndim} axes, shape {x.shape}; start_dim={self.start_dim} needs "
                f"at least {self.start_dim + 1}"
            )
        return x.reshape(self._shape(x.shape)), x.shape

    def _backward(self, context: tuple[int, ...], dy: Array, input_grad: bool) -> Array | None:
        same_shape("Flatten", dy, self._shape(context))
        return dy.reshape(context) if input_grad else None

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"start_dim={self.start_dim}"


def same_shape(what: str, dy: Array, y: tuple[int, ...]) -> None:
    """`dy` has the shape of the result `y`."""
    if np.shape(dy) != y:
        raise ShapeError(f"{what}: dy has shape {np.shape(dy)}; y has {y}, so must dy")
