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


class Reshape(Layer):
    """Give every sample another shape: ``y = x.reshape(N, *shape)``.

    ``x`` is N ... and ``y`` N and then `shape`: a view of x, and dx one of dy, wherever the memory
    layout allows it. Elements keep their row-major order.

    Parameters
    ----------
    *shape
        Sizes of a sample of y, at least 1; one of them may be -1 and follows from x. None at all
        makes every sample a number.

    Raises
    ------
    ShapeError
        If a size is not possible, x has no axis, its samples have another number of elements, or
        dy does not have y's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Reshape
    >>> layer = Reshape(3, -1)
    >>> layer(np.zeros((2, 12))).shape
    (2, 3, 4)
    >>> layer.backward(np.zeros((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        sizes = [s if s == -1 else _check.whole("Reshape", "size", s, 1) for s in shape]
        if sizes.count(-1) > 1:
            raise ShapeError(f"Reshape: shape={shape} has {sizes.count(-1)} sizes of -1; at most 1")
        self.shape = tuple(sizes)

    def _sample(self, x: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a sample of y, which an empty batch has as well."""
        have, fixed = math.prod(x[1:]), math.prod(s for s in self.shape if s != -1)
        if not x or (have % fixed if -1 in self.shape else have != fixed):
            raise ShapeError(
                f"Reshape: x has shape {x}, {have} elements per sample; they must make up "
                f"{self.shape}"
            )
        return tuple(have // fixed if s == -1 else s for s in self.shape)

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        x = np.asarray(x)
        y = x.reshape(x.shape[:1] + self._sample(x.shape))
        return y, (x.shape, y.shape)

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        x, y = context
        same_shape("Reshape", dy, y)
        return np.asarray(dy).reshape(x) if input_grad else None

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return ", ".join(map(str, self.shape))


class Permute(Layer):
    """Put the axes of x in another order: axis i of y is axis ``axes[i]`` of x.

    ``y`` is a view of x and dx one of dy; operations copy such views once, at their front.

    Parameters
    ----------
    *axes
        Every axis number from 0 exactly once, as `numpy.transpose` takes them: ``Permute(0, 2, 1)``
        turns N T C into N C T.

    Raises
    ------
    ShapeError
        If `axes` is no permutation, x has another number of axes, or dy does not have y's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Permute
    >>> layer = Permute(0, 2, 1)
    >>> layer(np.zeros((2, 3, 4))).shape
    (2, 4, 3)
    >>> layer.backward(np.zeros((2, 4, 3))).shape
    (2, 3, 4)
    """

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = tuple(_check.whole("Permute", "axis", axis, 0) for axis in axes)
        if sorted(self.axes) != list(range(len(axes))):
            raise ShapeError(f"Permute: axes={axes}; they must be 0 to {len(axes) - 1}, once each")

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        x = np.asarray(x)
        if x.ndim != len(self.axes):
            raise ShapeError(
                f"Permute: x has {x.ndim} axes, shape {x.shape}; axes={self.axes} needs "
                f"{len(self.axes)}"
            )
        y = x.transpose(self.axes)
        return y, y.shape

    def _backward(self, context: tuple[int, ...], dy: Array, input_grad: bool) -> Array | None:
        same_shape("Permute", dy, context)
        back = np.argsort(self.axes)
        return np.asarray(dy).transpose(back) if input_grad else None

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return ", ".join(map(str, self.axes))


def same_shape(what: str, dy: Array, y: tuple[int, ...]) -> None:
    """`dy` has the shape of the result `y`."""
    if np.shape(dy) != y:
        raise ShapeError(f"{what}: dy has shape {np.shape(dy)}; y has {y}, so must dy")
