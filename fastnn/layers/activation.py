"""Activations: layers without parameters that act on every element."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnn import ops
from fastnn.dispatch import Op
from fastnn.layers.base import OpLayer


class ReLU(OpLayer):
    """The positive part of every element, ``y = max(x, 0)``, see `fastnn.relu`.

    ``x`` and ``y`` have the same, any shape.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import ReLU
    >>> layer = ReLU()
    >>> layer(np.array([-2.0, 3.0]))
    array([0., 3.])
    >>> layer.backward(np.array([5.0, 7.0]))
    array([0., 7.])
    """

    op: ClassVar[Op[..., Any, Any]] = ops.relu
