"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

from fastnn.layers.base import Array, Layer


class Sequential(Layer):
    """Layers one after the other: ``y = layers[-1](... layers[1](layers[0](x)))``.

    The children are named "0", "1", and so on, hence parameters are "0.weight" and the like.
    ``backward(dy, input_grad=False)`` ends at the first layer that has parameters: neither its
    dx nor anything before it is computed.

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
        for layer in self:
            x = layer.forward(x, save=save)
        return x, None

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        layers = list(self)
        while layers and not input_grad and not any(layers[0].parameters()):
            layers.pop(0).drop_context()
        for layer in reversed(layers[1:]):
            dy = layer.backward(dy)
        if layers:
            return layers[0].backward(dy, input_grad=input_grad)
        return dy if input_grad else None
