"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _check
from fastnn.errors import OptionError
from fastnn.layers.base import Array, Layer, RandomSource, generator
from fastnn.layers.shape import same_shape


class Dropout(Layer):
    """Set random elements to zero in training, and scale the others up to keep the mean.

    ::

        y = x * keep / (1 - p),   keep[...] = 1 with probability 1 - p, else 0      in training
        y = x                                                                       in evaluation

    ``x`` and ``y`` have the same, any shape; in evaluation y is x itself.

    Parameters
    ----------
    p
        The probability of a zero, from 0 to 1.
    rng
        A NumPy generator to draw from, a seed, or None. It is not part of the state dict.

    Raises
    ------
    OptionError, DtypeError
        If `p` or `rng` is not possible, or x is not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Dropout
    >>> layer = Dropout(0.5, rng=1)
    >>> layer(np.ones(6))
    array([0., 2., 2., 2., 0., 0.])
    >>> layer.backward(np.ones(6))
    array([0., 2., 2., 2., 0., 0.])
    >>> layer.eval()(np.ones(6))
    array([1., 1., 1., 1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, rng: RandomSource = None) -> None:
        super().__init__()
        self.p = _check.real("Dropout", "p", p)
        if not 0 <= self.p <= 1:
            raise OptionError(f"Dropout: p={p}; it must be from 0 to 1")
        self._rng = generator("Dropout", rng)

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        x = _check.array("Dropout", "x", x)
        keep: Array | None = None
        if self.training and self.p > 0:
            # float32 for either dtype, so that one seed means one mask
            keep = np.greater_equal(self._rng.random(x.shape, np.float32), self.p)
        return self._masked(x, keep), (x.shape, keep)

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        shape, keep = context
        same_shape("Dropout", dy, shape)
        return self._masked(dy, keep) if input_grad else None

    def _masked(self, a: Array, keep: Array | None) -> Array:
        if keep is None:
            return a
        out: Array = np.multiply(a, keep)
        out *= 0.0 if self.p == 1 else 1 / (1 - self.p)
        return out

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"p={self.p}"
