"""What is made small: a loss of a model's result plus penalties, and its gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from fastnn.dispatch import Op
from fastnn.errors import DtypeError, OptionError
from fastnn.layers import Layer, Loss
from fastnn.layers.base import Array, backward_watcher, watcher
from fastnn.train._penalties import ActivityPenalty, Penalty, WeightPenalty


class LossLike(Protocol):
    """What a loss must have; every `fastnn.layers.Loss` does."""

    def __call__(self, x: Array, target: Array, /) -> Any:
        """The loss alone, a single number."""

    def forward(self, x: Array, target: Array, /) -> Any:
        """The loss, and what `backward` needs is saved."""

    def backward(self, dy: float = 1.0, /) -> Array:
        """The gradient of x, times `dy`."""


class _OpLoss(Loss):
    """An operation with its default options as a loss."""

    def __init__(self, op: Op[..., Any, Any]) -> None:
        super().__init__()
        self._op = op

    def _choose(self, target: Array) -> tuple[Op[..., Any, Any], dict[str, Any]]:
        return self._op, self._options


class Objective:
    """A loss of a model's result plus penalties; gradients are added to the model's own."""

    def __init__(
        self,
        what: str,
        model: Layer,
        loss: LossLike | Op[..., Any, Any],
        penalties: Sequence[Penalty] = (),
    ) -> None:
        if not isinstance(model, Layer):
            raise DtypeError(f"{what}: model is {type(model).__name__}; it must be a Layer")
        self.what = what
        self.model = model
        self.loss: LossLike = _OpLoss(loss) if isinstance(loss, Op) else loss
        if not all(hasattr(self.loss, name) for name in ("forward", "backward", "__call__")):
            raise DtypeError(
                f"{what}: loss is {type(loss).__name__}; it must be a Loss, an operation, or have "
                "forward, backward and __call__"
            )
        self._weights = []
        self._activities: dict[int, list[ActivityPenalty]] = {}
        for penalty in penalties:
            if isinstance(penalty, WeightPenalty):
                self._weights.append(penalty.bind(model))
            elif isinstance(penalty, ActivityPenalty):
                self._activities.setdefault(id(penalty.find(model)), []).append(penalty)
            else:
                raise DtypeError(
                    f"{what}: a penalty is {type(penalty).__name__}; it must be a WeightPenalty or "
                    "an ActivityPenalty"
                )

    def value(self, x: Array, y: Array) -> tuple[float, Array]:
        """The loss of one batch with activity penalties, and the model's result."""
        with self._watched() as extra:
            output = self.model.forward(x, save=False)
        return sum(extra, self._number(self.loss(output, y))), output

    def gradient(self, x: Array, y: Array, scale: float = 1.0) -> tuple[float, Array]:
        """The same, and its gradient times `scale` is added to the model's gradients."""
        with self._watched(scale) as extra:
            output = self.model.forward(x, save=True)
            loss = self._number(self.loss.forward(output, y))
            self.model.backward(self.loss.backward(scale), input_grad=False)
        return sum(extra, loss), output

    def input_gradient(self, x: Array, y: Array) -> Array:
        """The gradient of x; the model's gradients are added to as well."""
        with self._watched():
            self.loss.forward(self.model.forward(x, save=True), y)
            return self.model.backward(self.loss.backward())

    @property
    def weighted(self) -> bool:
        """Whether there are weight penalties."""
        return bool(self._weights)

    def weight_value(self) -> float:
        """The sum of the weight penalties."""
        return sum(bound.value() for bound in self._weights)

    def weight_gradient(self) -> float:
        """The same, and its gradient is added to the model's gradients."""
        return sum(bound.gradient() for bound in self._weights)

    def _number(self, loss: Any) -> float:
        if np.ndim(loss):
            raise OptionError(
                f"{self.what}: the loss has shape {np.shape(loss)}; it must be one number, as "
                "reduction 'mean' or 'sum' gives"
            )
        return float(loss)

    @contextmanager
    def _watched(self, scale: float = 1.0) -> Iterator[list[float]]:
        """Let the penalised layers give their penalties, and add them to their gradients."""
        values: list[float] = []
        if not self._activities:
            yield values
            return
        pending: dict[int, Array] = {}

        def forward(layer: Layer, x: Array, save: bool) -> tuple[Array, Any]:
            y, context = layer._forward(x, save)
            for penalty in self._activities.get(id(layer), ()):
                if save:
                    value, dy = penalty.gradient(y, scale)
                    pending[id(layer)] = dy + pending.get(id(layer), 0)
                else:
                    value = penalty.value(y)
                values.append(value)
            return y, context

        def backward(layer: Layer, context: Any, dy: Array, input_grad: bool) -> Array | None:
            if id(layer) in pending:
                dy = dy + pending.pop(id(layer))
            return layer._backward(context, dy, input_grad)

        tokens = watcher.set(forward), backward_watcher.set(backward)
        try:
            yield values
        finally:
            watcher.reset(tokens[0])
            backward_watcher.reset(tokens[1])
