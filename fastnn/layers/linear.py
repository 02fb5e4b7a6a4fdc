"""The fully connected layer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.layers.base import RandomSource, WeightedLayer


class Linear(WeightedLayer):
    """Every output is a learnt weighted sum of all inputs, see `fastnn.linear`.

    ::

        y[..., o] = bias[o] + sum over i of x[..., i] * weight[o, i]

    ``x`` is (..., I), ``y`` (..., O), ``weight`` O I and ``bias`` O. Both are drawn uniformly
    from +-1/sqrt(I), the weight first.

    Parameters
    ----------
    in_features, out_features
        I and O.
    bias
        Whether there is one.
    rng
        A NumPy generator to draw from, a seed, or None.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If a size or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Linear
    >>> layer = Linear(3, 2, rng=0)
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    >>> y = layer(np.ones((5, 3), np.float32))
    >>> layer.backward(np.ones_like(y)).shape
    (5, 3)
    >>> layer.grads["weight"]
    array([[5., 5., 5.],
           [5., 5., 5.]], dtype=float32)
    """

    op: ClassVar[Op[..., Any, Any]] = ops.linear

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rng: RandomSource = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        what = type(self).__name__
        self.in_features = _check.whole(what, "in_features", in_features, 1)
        self.out_features = _check.whole(what, "out_features", out_features, 1)
        self._draw((self.out_features, self.in_features), bias, rng, dtype)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        bias = "bias" in self._params
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"
