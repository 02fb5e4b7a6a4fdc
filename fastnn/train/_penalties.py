"""Penalties that are added to a loss: on weights, and on what a layer gives."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastnn import _check
from fastnn.dispatch import Op
from fastnn.errors import DtypeError, OptionError
from fastnn.layers import Layer
from fastnn.layers._filter import Filter, takes
from fastnn.layers.base import Array

_BLOCK = 1 << 15  # elements: a block of parameters, gradients and slopes stays in L2


class Penalty:
    """What every penalty has: a strength."""

    def __init__(self, strength: float) -> None:
        what = type(self).__name__
        self.strength = _check.real(what, "strength", strength)
        if not 0 <= self.strength < math.inf:
            raise OptionError(f"{what}: strength={strength}; it must be at least 0 and finite")


class WeightPenalty(Penalty, ABC):
    """A penalty on parameters: strength times the sum of a homogeneous function of each entry.

    For one of degree k, f(a w) = a**k f(w) for a > 0, Euler's theorem gives f from its slope:
    f(w) = w * f'(w) / k. So a kind of penalty is its slope and its degree.

    Parameters
    ----------
    strength
        What it is multiplied by, at least 0.
    parameters
        Which parameters: a pattern for their names such as ``"*.weight"`` or ``"0.*"``, a function
        of name and array, or None for those of two and more axes, which leaves out biases and the
        weights of norms.

    Raises
    ------
    OptionError
        If `strength` is out of range, or by the trainer if no parameter is chosen.
    """

    def __init__(self, strength: float, parameters: Filter = None) -> None:
        super().__init__(strength)
        self.parameters = parameters

    degree: ClassVar[int]
    """The degree k of the function."""

    @abstractmethod
    def _slope(self, w: Array, out: Array) -> None:
        """Write the strength times the derivative at each entry of w to `out`."""

    def bind(self, model: Layer) -> BoundPenalty:
        """The penalty on the parameters of `model` that it is for."""
        chosen = [(w, dw) for name, w, dw in model.parameters() if takes(self.parameters, name, w)]
        if not chosen:
            raise OptionError(
                f"{type(self).__name__}: parameters={self.parameters!r} chooses none of "
                f"{', '.join(model.params) or 'a model without parameters'}"
            )
        return BoundPenalty(self, chosen)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.strength}, {self.parameters!r})"


class BoundPenalty(NamedTuple):
    """A weight penalty with the (parameter, gradient) pairs that it is for."""

    penalty: WeightPenalty
    arrays: list[tuple[Array, Array]]

    def value(self) -> float:
        """The penalty."""
        return self._run(add=False)

    def gradient(self) -> float:
        """The penalty; its gradient is added to the parameters' gradients."""
        return self._run(add=True)

    def _run(self, add: bool) -> float:
        total = 0.0
        for w, dw in self._blocks():
            slope = np.empty_like(w)
            self.penalty._slope(w, slope)
            if add:
                dw += slope
            total += _dot(w, slope)
        return total / self.penalty.degree

    def _blocks(self) -> Iterator[tuple[Array, Array]]:
        for w, dw in self.arrays:
            if w.size <= _BLOCK:
                yield w, dw
                continue
            flat, grad = w.reshape(-1), dw.reshape(-1)
            for start in range(0, w.size, _BLOCK):
                yield flat[start : start + _BLOCK], grad[start : start + _BLOCK]


def _dot(a: Array, b: Array) -> float:
    """The sum of products; that of a BLAS is split among its threads if it is long."""
    if a.size <= 4096:  # OpenBLAS begins at 10,000
        return float(np.vdot(a, b))
    b *= a
    return float(b.sum())


class L2(WeightPenalty):
    """The sum of squares: ``strength / 2 * sum of w**2``, whose gradient is ``strength * w``.

    With plain gradient descent it is the `weight_decay` of `fastnn.optim.SGD`, but the loss that
    is reported has it in it. See `WeightPenalty` for the parameters.

    Examples
    --------
    >>> from fastnn.layers import Linear
    >>> from fastnn.train import L2
    >>> layer = Linear(2, 1)
    >>> layer.params["weight"][...] = [[3, 4]]
    >>> bound = L2(0.1).bind(layer)
    >>> round(bound.gradient(), 6)
    1.25
    >>> layer.grads["weight"]
    array([[0.3, 0.4]], dtype=float32)
    """

    degree = 2

    def _slope(self, w: Array, out: Array) -> None:
        np.multiply(w, self.strength, out=out)


class L1(WeightPenalty):
    """The sum of magnitudes: ``strength * sum of |w|``, whose gradient is ``strength * sign(w)``.

    It drives weights to 0; at 0 its gradient is taken as 0. See `WeightPenalty` for the parameters.
    """

    degree = 1

    def _slope(self, w: Array, out: Array) -> None:
        np.sign(w, out=out)
        out *= self.strength


class ActivityPenalty(Penalty):
    """A penalty on what a layer gives: ``strength * op(y, **options)``, with y the layer's result.

    It is taken batch by batch, and its gradient is added to that of y on the way back.

    Parameters
    ----------
    layer
        The layer, or its place in the model, such as "1" or "3.body.0".
    op
        An operation that makes one number of an array.
    strength
        What it is multiplied by, at least 0.
    **options
        The operation's.

    Raises
    ------
    DtypeError
        If `op` is no operation.
    OptionError
        If `strength` is out of range, or by the trainer if the model has no such layer.
    """

    def __init__(
        self, layer: str | Layer, op: Op[..., Any, Any], strength: float, **options: Any
    ) -> None:
        super().__init__(strength)
        if not isinstance(op, Op):
            raise DtypeError(
                f"{type(self).__name__}: op is {type(op).__name__}; it must be an operation"
            )
        self.layer, self.op, self.options = layer, op, options

    def find(self, model: Layer) -> Layer:
        """The layer of `model` that it is for."""
        places = {prefix.removesuffix("."): layer for prefix, layer in model._walk()}
        for place, layer in places.items():
            if layer is self.layer or place == self.layer:
                return layer
        raise OptionError(
            f"{type(self).__name__}: layer={self.layer!r} is not in the model; its layers are "
            f"{', '.join(map(repr, places))}"
        )

    def value(self, y: Array) -> float:
        """The penalty of one batch."""
        return self.strength * float(self.op(y, **self.options))

    def gradient(self, y: Array, scale: float = 1.0) -> tuple[float, Array]:
        """The penalty, and its gradient times `scale`."""
        value, context = self.op.forward(y, **self.options)
        dy: Array = self.op.backward(context, np.full_like(value, self.strength * scale))[0]
        return self.strength * float(value), dy

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({self.layer!r}, {self.op.name}, {self.strength}{options})"


class KLSparsity(ActivityPenalty):
    """Let each unit of a layer be active rarely, see `fastnn.kl_sparsity`.

    ::

        strength * sum over units of KL(rho | mean over the batch of y)

    for a layer that gives 0 to 1, as a sigmoid does.

    Parameters
    ----------
    layer
        The layer, or its place in the model.
    strength
        The weight of the penalty, at least 0.
    rho
        The mean that each unit should have, between 0 and 1.
    """

    def __init__(self, layer: str | Layer, strength: float, *, rho: float = 0.05) -> None:
        from fastnn.ops import kl_sparsity

        super().__init__(layer, kl_sparsity, strength, rho=rho)
