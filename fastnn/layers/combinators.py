"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

import numpy as np

from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.layers import _fused
from fastnn.layers.base import Array, Layer
from fastnn.layers.shape import same_shape


class Sequential(Layer):
    """Layers one after the other: ``y = layers[-1](... layers[1](layers[0](x)))``.

    The children are named "0", "1", and so on, hence parameters are "0.weight" and the like.
    ``backward(dy, input_grad=False)`` ends at the first layer that has parameters: neither its
    dx nor anything before it is computed.

    Neighbours that fit run together, with the same results, so that less memory is moved: a
    convolution with the batch norm (in evaluation), the activation and the max-pooling after it,
    and activations in place after most layers with weights. ``fastnn.use(fuse=False)`` runs each
    layer on its own.

    Parameters
    ----------
    *layers
        The layers, each used once; activations are layers as well.

    Raises
    ------
    DtypeError
        If something is no layer.
    OptionError
        If a layer is used twice.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Flatten, Linear, ReLU, Sequential
    >>> rng = np.random.default_rng(0)
    >>> model = Sequential(Flatten(), Linear(12, 5, rng=rng), ReLU(), Linear(5, 2, rng=rng))
    >>> model
    Sequential(
      (0): Flatten(start_dim=1)
      (1): Linear(in_features=12, out_features=5, bias=True)
      (2): ReLU()
      (3): Linear(in_features=5, out_features=2, bias=True)
    )
    >>> y = model(np.ones((7, 3, 4), np.float32))
    >>> model.backward(np.ones_like(y), input_grad=False)
    >>> model.grads["3.bias"]
    array([7., 7.], dtype=float32)
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        for i, layer in enumerate(layers):
            self.add_child(str(i), layer)

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._children.values())

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        """One layer, or a `Sequential` of some of these same layers."""
        chosen = list(self)[index]
        if isinstance(chosen, Layer):
            return chosen
        part = Sequential(*chosen)
        part.training = self.training
        return part

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        return _fused.forward(list(self), x, save), None

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        layers = list(self)
        while layers and not input_grad and not any(layers[0].parameters()):
            layers.pop(0).drop_context()
        for layer in reversed(layers[1:]):
            dy = layer.backward(dy)
        if layers:
            return layers[0].backward(dy, input_grad=input_grad)
        return dy if input_grad else None


class Residual(Layer):
    """A shortcut around layers: what they compute is added to what they were given.

    ::

        y = layers[-1](... layers[0](x)) + shortcut(x)

    where shortcut(x) is x itself if there is none. Both must have the same shape: nothing is
    broadcast. The children are named "body", a `Sequential` of the layers, and "shortcut", hence
    parameters are "body.0.weight" and "shortcut.weight".

    Parameters
    ----------
    *layers
        The layers of the body, one after the other.
    shortcut
        A layer that gives x the shape of the body's result, such as a `Conv2d` with windows of 1.

    Raises
    ------
    DtypeError
        If something is no layer, or the two results have different dtypes.
    OptionError
        If a layer is used twice.
    ShapeError
        By `forward`, if the two results have different shapes; by `backward`, if dy has another.

    Notes
    -----
    See K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition" (arXiv
    1512.03385), equations 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Linear, ReLU, Residual
    >>> model = Residual(Linear(3, 3, rng=0), ReLU())
    >>> x = np.full((2, 3), -1.0, np.float32)
    >>> model.params["body.0.weight"][...] = np.eye(3)
    >>> model.params["body.0.bias"][...] = 3
    >>> model(x)
    array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)
    >>> model.backward(np.ones((2, 3), np.float32))
    array([[2., 2., 2.],
           [2., 2., 2.]], dtype=float32)
    """

    def __init__(self, *layers: Layer, shortcut: Layer | None = None) -> None:
        super().__init__()
        self.add_child("body", Sequential(*layers))
        if shortcut is not None:
            self.add_child("shortcut", shortcut)

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        body, shortcut = self._children["body"], self._children.get("shortcut")
        y = body.forward(x, save=save)
        short = np.asarray(x) if shortcut is None else shortcut.forward(x, save=save)
        if y.shape != short.shape:
            raise ShapeError(
                f"Residual: the body gives shape {y.shape} but the shortcut {short.shape}; these "
                "must be equal"
            )
        _same_dtype("Residual: the body", y, "the shortcut", short)
        return np.add(y, short), y.shape

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        same_shape("Residual", dy, context)
        dx = self._children["body"].backward(dy, input_grad=input_grad)
        short: Array | None = dy
        if "shortcut" in self._children:
            short = self._children["shortcut"].backward(dy, input_grad=input_grad)
        return None if dx is None or short is None else np.add(dx, short)


class Concat(Layer):
    """Layers side by side: each is given x, and their results are joined along an axis.

    ::

        y[n, start[i] + k, ...] = branches[i](x)[n, k, ...],   start[i] = K[0] + ... + K[i-1]

    where K[i] is the size of branch i's result along `axis`; all other sizes must be equal. The
    children are named "0", "1", and so on. dx is the sum of the branches' dx, in their order.

    Parameters
    ----------
    *branches
        The layers, at least one; an empty `Sequential` passes x through.
    axis
        The axis to join along, 1 for channels; negative counts from the last.

    Raises
    ------
    DtypeError
        If a branch is no layer, or results have different dtypes.
    OptionError
        If a layer is used twice, or there is none.
    ShapeError
        By `forward`, if results have no such axis or differ along another; by `backward`, if dy
        does not have y's shape.

    Notes
    -----
    See C. Szegedy et al., "Going deeper with convolutions" (arXiv 1409.4842), figure 2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Concat, Conv2d, MaxPool2d, Sequential
    >>> model = Concat(Conv2d(3, 4, 1, rng=0), Sequential(), MaxPool2d(3, stride=1, padding=1))
    >>> y = model(np.ones((2, 3, 5, 6), np.float32))
    >>> y.shape
    (2, 10, 5, 6)
    >>> model.backward(np.ones_like(y)).shape
    (2, 3, 5, 6)
    """

    def __init__(self, *branches: Layer, axis: int = 1) -> None:
        super().__init__()
        if not branches:
            raise OptionError("Concat: 0 branches; it needs at least 1")
        for i, branch in enumerate(branches):
            self.add_child(str(i), branch)
        if isinstance(axis, bool | np.bool_) or not isinstance(axis, int | np.integer):
            raise DtypeError(f"Concat: axis={axis!r}; it must be a whole number")
        self.axis = int(axis)

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        parts = [branch.forward(x, save=save) for branch in self._children.values()]
        first = parts[0]
        if not -first.ndim <= self.axis < first.ndim:
            raise ShapeError(
                f"Concat: branch 0 gives {first.ndim} axes, shape {first.shape}; axis={self.axis} "
                "is not one of them"
            )
        for i, part in enumerate(parts[1:], 1):
            if part.ndim != first.ndim or self._others(part.shape) != self._others(first.shape):
                raise ShapeError(
                    f"Concat: branch 0 gives shape {first.shape} but branch {i} {part.shape}; they "
                    f"must be equal but for axis {self.axis}"
                )
            _same_dtype("Concat: branch 0", first, f"branch {i}", part)
        y = np.concatenate(parts, self.axis)
        return y, (y.shape, np.cumsum([part.shape[self.axis] for part in parts])[:-1])

    def _others(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        kept = list(sizes)
        del kept[self.axis]
        return tuple(kept)

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        shape, starts = context
        same_shape("Concat", dy, shape)
        parts = np.split(np.asarray(dy), starts, self.axis)
        branches = self._children.values()
        dxs = [
            branch.backward(part, input_grad=input_grad)
            for branch, part in zip(branches, parts, strict=True)
        ]
        total: Array | None = None
        for dx in dxs:
            total = dx if total is None or dx is None else np.add(total, dx)
        return total

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"axis={self.axis}"


class TimeDistributed(Layer):
    """Apply one layer to every time step, by folding time into the batch.

    ::

        y[a,b,...] = layer(x with its first two axes joined)[a*B + b, ...]

    ``x`` is T N ... or N T ..., which are the same here, with sizes A and B, and so is ``y``. The
    layer is given one batch of T*N samples: a batch norm takes its statistics over all time steps.
    The child is named "layer", hence parameters are "layer.weight" and the like.

    Parameters
    ----------
    layer
        What is applied; its result must have the batch first.

    Raises
    ------
    DtypeError
        If `layer` is no layer.
    ShapeError
        By `forward`, if x has fewer than two axes or the layer's result not T*N samples; by
        `backward`, if dy does not have y's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Conv2d, TimeDistributed
    >>> model = TimeDistributed(Conv2d(3, 4, 3, rng=0))
    >>> y = model(np.ones((2, 7, 3, 5, 6), np.float32))
    >>> y.shape
    (2, 7, 4, 3, 4)
    >>> model.backward(np.ones_like(y)).shape
    (2, 7, 3, 5, 6)
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.add_child("layer", layer)

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        x = np.asarray(x)
        if x.ndim < 2:
            raise ShapeError(
                f"TimeDistributed: x has {x.ndim} axes, shape {x.shape}; it must be T N ... or "
                "N T ..."
            )
        samples = x.shape[0] * x.shape[1]
        y = self._children["layer"].forward(x.reshape(samples, *x.shape[2:]), save=save)
        if y.shape[:1] != (samples,):
            raise ShapeError(
                f"TimeDistributed: the layer gives shape {y.shape} for {samples} samples; its "
                "first axis must be the batch"
            )
        y = y.reshape(*x.shape[:2], *y.shape[1:])
        return y, (x.shape, y.shape)

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        x, y = context
        same_shape("TimeDistributed", dy, y)
        folded = np.asarray(dy).reshape(y[0] * y[1], *y[2:])
        dx = self._children["layer"].backward(folded, input_grad=input_grad)
        return None if dx is None else dx.reshape(x)


def _same_dtype(what: str, a: Array, other: str, b: Array) -> None:
    """Results that are put together have one dtype: nothing is converted in silence."""
    if a.dtype != b.dtype:
        raise DtypeError(f"{what} gives {a.dtype} but {other} {b.dtype}; these must be the same")
