"""AdaGrad."""

from __future__ import annotations

from fastnn.optim import _plan, _rules
from fastnn.optim.base import Optimizer, Options
from fastnn.optim.parameters import Parameters


class AdaGrad(Optimizer):
    """AdaGrad, PyTorch's formulas.

    ::

        g = grad + weight_decay * p
        s = s + g * g                                                            (s = 0 at first)
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)                  t = 1, 2, ...

    `weight_decay` is L2 regularisation: it is added to the gradient of every parameter.

    Parameters
    ----------
    parameters
        A layer, (name, parameter, gradient) triples, or groups of them.
    lr
        The learning rate, at least 0.
    lr_decay
        How fast the learning rate falls, at least 0.
    eps
        Added to the denominator, at least 0.
    weight_decay
        At least 0.
    clip_norm, clip_value
        Bounds on the gradients that a step uses, above 0; only one of them. See `Optimizer`.

    Raises
    ------
    OptionError
        If a hyper-parameter is out of its range or there are no parameters.
    DtypeError, ShapeError
        If a hyper-parameter is no number, or a parameter and its gradient do not fit.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", JMLR 12 (2011), figure 1 with the diagonal matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import AdaGrad
    >>> p, g = np.array([1.0, 2.0]), np.array([0.5, -100.0])
    >>> adagrad = AdaGrad([("p", p, g)], lr=0.1)
    >>> adagrad.step()
    >>> p.round(6)
    array([0.9, 2.1])
    """

    _rules = {  # noqa: RUF012
        "lr": _rules.at_least_zero,
        "lr_decay": _rules.at_least_zero,
        "eps": _rules.at_least_zero,
        "weight_decay": _rules.at_least_zero,
    }

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        options = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, options, clip_norm=clip_norm, clip_value=clip_value)

    @classmethod
    def _slots(cls, options: Options) -> tuple[str | None, ...]:
        return ("sum",)

    def _numbers(self, options: Options) -> _plan.Numbers:
        lr, lr_decay, eps, decay = options.values()
        rate = lr / (1 + (self._steps - 1) * lr_decay)
        return _plan.Numbers(_plan.ADAGRAD, rate=rate, decay=decay, eps=eps)
