"""Gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastnn.errors import OptionError
from fastnn.optim import _plan, _rules
from fastnn.optim.base import Optimizer, Options
from fastnn.optim.parameters import Parameters


class SGD(Optimizer):
    """Gradient descent with momentum, PyTorch's formulas.

    ::

        g = grad + weight_decay * p                   (L2;  if decoupled: g = grad)
        v = momentum * v + g                          (v = 0 at first)
        p = p - lr * (g + momentum * v  if nesterov,  v  if momentum,  else g)
                                                      (if decoupled: less lr * weight_decay * p)

    `weight_decay` is L2 regularisation: it is added to the gradient of every parameter, and goes
    through the momentum. With `decoupled` the parameters shrink by it and the momentum never sees
    it (I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 1).

    Parameters
    ----------
    parameters
        A layer, (name, parameter, gradient) triples, or groups of them.
    lr
        The learning rate, at least 0.
    momentum
        Share of v that stays, from 0 to below 1.
    nesterov
        Look one step ahead; needs momentum.
    weight_decay
        At least 0.
    decoupled
        Whether the decay is decoupled, else L2.
    clip_norm, clip_value
        Bounds on the gradients that a step uses, above 0; only one of them. See `Optimizer`.

    Raises
    ------
    OptionError
        If a hyper-parameter is out of its range or there are no parameters.
    DtypeError, ShapeError
        If a hyper-parameter is no number, or a parameter and its gradient do not fit.

    Notes
    -----
    A step reads and writes each parameter once, and v if there is momentum.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import SGD
    >>> p, g = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    >>> sgd = SGD([("p", p, g)], lr=0.1, momentum=0.9)
    >>> sgd.step()
    >>> p
    array([0.95, 2.1 ])
    >>> sgd.step()
    >>> p
    array([0.855, 2.29 ])
    """

    _rules = {  # noqa: RUF012
        "lr": _rules.at_least_zero,
        "momentum": _rules.below_one,
        "nesterov": _rules.flag,
        "weight_decay": _rules.at_least_zero,
        "decoupled": _rules.flag,
    }

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "decoupled": decoupled,
        }
        super().__init__(parameters, options, clip_norm=clip_norm, clip_value=clip_value)

    @classmethod
    def _checked(cls, options: Mapping[str, Any]) -> dict[str, float | bool]:
        checked = super()._checked(options)
        if checked["nesterov"] and not checked["momentum"]:
            raise OptionError("SGD: nesterov=True with momentum=0; it needs momentum")
        return checked

    @classmethod
    def _slots(cls, options: Options) -> tuple[str | None, ...]:
        return ("momentum_buffer" if options["momentum"] else None,)

    def _numbers(self, options: Options) -> _plan.Numbers:
        lr, momentum, nesterov, decay, decoupled = options.values()
        return _plan.Numbers(
            _plan.SGD,
            rate=lr,
            keep=1 - lr * decay if decoupled else 1.0,
            decay=0.0 if decoupled else decay,
            first=momentum,
            nesterov=bool(nesterov),
        )
