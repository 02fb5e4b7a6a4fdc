"""Dropout."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.errors import OptionError
from fastnn.layers.base import Array, OpLayer, RandomSource, generator
from fastnn.layers.shape import same_shape


class Dropout(OpLayer):
    """Set random elements to zero in training and scale the others up, see `fastnn.dropout`.

    ::

        y = x * keep / (1 - p),   keep[...] = 1 with probability 1 - p, else 0      in training
        y = x                                                                       in evaluation

    Each `forward` draws one key from `rng`; the mask follows from it, whatever the backend.

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
    array([2., 2., 0., 2., 0., 2.])
    >>> layer.backward(np.ones(6))
    array([2., 2., 0., 2., 0., 2.])
    >>> layer.eval()(np.ones(6))
    array([1., 1., 1., 1., 1., 1.])
    """

    op: ClassVar[Op[..., Any, Any]] = ops.dropout

    def __init__(self, p: float = 0.5, *, rng: RandomSource = None) -> None:
        super().__init__()
        self.p = _check.real("Dropout", "p", p)
        if not 0 <= self.p <= 1:
            raise OptionError(f"Dropout: p={p}; it must be from 0 to 1")
        self._rng = generator("Dropout", rng)

    def _options(self) -> dict[str, Any]:
        return {"p": self.p, "rng": self._rng}

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        x = _check.array("Dropout", "x", x)
        if self.training and self.p > 0:
            return super()._forward(x, save)
        return x, x.shape

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        if not isinstance(context, tuple):
            return super()._backward(context, dy, input_grad)
        same_shape("Dropout", dy, context)
        return dy if input_grad else None

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"p={self.p}"
