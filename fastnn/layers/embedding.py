"""The table of learnt vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.layers.base import Array, OpLayer, RandomSource, float_dtype, generator


class Embedding(OpLayer):
    """A learnt vector for each of a number of words, see `fastnn.embedding`.

    ::

        y[..., e] = weight[x[...], e]

    ``x`` is whole numbers of any shape, ``y`` (..., E) and ``weight`` V E, drawn from the standard
    normal distribution. x has no gradient: `backward` returns None, so the layer comes first.

    Parameters
    ----------
    num_embeddings, embedding_dim
        V and E.
    padding_idx
        A row that is 0 at first and gets no gradient; negative numbers count from the end.
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
    >>> from fastnn.layers import Embedding
    >>> layer = Embedding(5, 2, padding_idx=0, rng=0)
    >>> layer
    Embedding(5, 2, padding_idx=0)
    >>> y = layer(np.array([[3, 0, 3]]))
    >>> y.shape
    (1, 3, 2)
    >>> layer.backward(np.ones_like(y))
    >>> layer.grads["weight"][:, 0]
    array([0., 0., 0., 2., 0.], dtype=float32)
    """

    op: ClassVar[Op[..., Any, Any]] = ops.embedding
    _roles: ClassVar[dict[str, str]] = {"w": "weight"}

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        padding_idx: int | None = None,
        rng: RandomSource = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        what = type(self).__name__
        self.num_embeddings = _check.whole(what, "num_embeddings", num_embeddings, 1)
        self.embedding_dim = _check.whole(what, "embedding_dim", embedding_dim, 1)
        self.padding_idx = padding_idx
        kind, source = float_dtype(what, dtype), generator(what, rng)
        shape = self.num_embeddings, self.embedding_dim
        # Drawn in float64 for either dtype, so that one seed means one network.
        weight = source.standard_normal(shape).astype(kind)
        self.op.front(np.empty(0, np.int64), weight, padding_idx=padding_idx)
        if padding_idx is not None:
            weight[padding_idx] = 0
        self.add_parameter("weight", weight)

    def _options(self) -> dict[str, Any]:
        return {"padding_idx": self.padding_idx}

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        self._grads["weight"] += self.op.backward(context, dy).w
        return None

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
