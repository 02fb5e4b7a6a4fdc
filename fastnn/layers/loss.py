"""Losses as objects: options and one context around the operations of `fastnn.ops`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnn import ops
from fastnn.dispatch import Op
from fastnn.errors import StateError
from fastnn.layers.base import Array


class Loss:
    """A loss with its options: ``forward(x, target)``, then ``backward()`` for the gradient of x.

    It is no layer, for it takes two arrays. `forward` saves what one `backward` needs; calling the
    object does not, which is the light way to evaluate. Options are checked when it is used.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import MSELoss
    >>> loss = MSELoss()
    >>> loss.forward(np.array([1.0, 5.0]), np.array([0.0, 2.0]))
    array(5.)
    >>> loss.backward()
    array([1., 3.])
    """

    op: ClassVar[Op[..., Any, Any]]

    def __init__(self, **options: Any) -> None:
        self._options = {name: value for name, value in options.items() if value is not None}
        self._contexts: list[Any] = []  # at most one, as in a layer

    def _choose(self, target: Array) -> tuple[Op[..., Any, Any], dict[str, Any]]:
        """The operation for this target and its options."""
        return self.op, self._options

    def __call__(self, x: Array, target: Array, **arrays: Array) -> Array:
        """The loss alone; nothing is saved. `arrays` are the operation's, as `sample_weight`."""
        op, options = self._choose(target)
        loss: Array = op(x, target, **options, **arrays)
        return loss

    def forward(self, x: Array, target: Array, **arrays: Array) -> Array:
        """The loss, and what `backward` needs is saved."""
        self._contexts.clear()
        op, options = self._choose(target)
        y: Array
        y, context = op.forward(x, target, **options, **arrays)
        self._contexts.append((context, y))
        return y

    def backward(self, dy: Array | float = 1.0) -> Array:
        """The gradient of x for the gradient `dy` of the loss, by default 1 everywhere.

        Raises
        ------
        StateError
            If there was no `forward` since the last `backward`.
        """
        if not self._contexts:
            raise StateError(
                f"{type(self).__name__}: backward has nothing saved; each backward needs its own "
                "forward before it"
            )
        context, y = self._contexts.pop()
        if isinstance(dy, int | float):
            dy = np.full_like(y, dy)
        dx: Array = context.op.backward(context, dy, needs=("x",)).x
        return dx

    def __getstate__(self) -> dict[str, Any]:
        """All but the context, which belongs to the forward call and not to a copy."""
        return self.__dict__ | {"_contexts": []}

    def __repr__(self) -> str:
        """The options that were given."""
        options = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        return f"{type(self).__name__}({options})"


class MSELoss(Loss):
    """Squared error, see `Loss` and `fastnn.mse_loss`."""

    op = ops.mse_loss

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class L1Loss(Loss):
    """Absolute error, see `Loss` and `fastnn.l1_loss`."""

    op = ops.l1_loss

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class HuberLoss(Loss):
    """Huber's loss, see `Loss` and `fastnn.huber_loss`."""

    op = ops.huber_loss

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction, delta=delta)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence, see `Loss` and `fastnn.kl_div`."""

    op = ops.kl_div

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction, log_target=log_target)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy, see `Loss` and `fastnn.binary_cross_entropy_with_logits`."""

    op = ops.binary_cross_entropy_with_logits

    def __init__(
        self,
        weight: Array | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Array | None = None,
    ) -> None:
        super().__init__(w=weight, reduction=reduction, pos_weight=pos_weight)


class MultiMarginLoss(Loss):
    """Multi-class hinge loss, see `Loss` and `fastnn.multi_margin_loss`."""

    op = ops.multi_margin_loss

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Array | None = None,
        *,
        divide_by_classes: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            p=p, margin=margin, w=weight, divide_by_classes=divide_by_classes, reduction=reduction
        )


class CrossEntropyLoss(Loss):
    """Cross-entropy against labels or, if the target is of floats, against probabilities.

    See `Loss`, `fastnn.softmax_cross_entropy` and `fastnn.soft_cross_entropy`; probabilities have
    no use for `ignore_index`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import CrossEntropyLoss
    >>> loss = CrossEntropyLoss(reduction="sum")
    >>> loss
    CrossEntropyLoss(ignore_index=-100, reduction='sum', label_smoothing=0.0)
    >>> float(loss(np.zeros((2, 4)), np.array([3, 0])).round(4))
    2.7726
    >>> float(loss(np.zeros((2, 4)), np.full((2, 4), 0.25)).round(4))
    2.7726
    """

    op = ops.softmax_cross_entropy

    def __init__(
        self,
        weight: Array | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            w=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )

    def _choose(self, target: Array) -> tuple[Op[..., Any, Any], dict[str, Any]]:
        if np.asarray(target).dtype.kind != "f":
            return self.op, self._options
        options = {k: v for k, v in self._options.items() if k != "ignore_index"}
        return ops.soft_cross_entropy, options
