"""RMSprop."""

from __future__ import annotations

from fastnn.optim import _plan, _rules
from fastnn.optim.base import Optimizer, Options
from fastnn.optim.parameters import Parameters


class RMSprop(Optimizer):
    """RMSprop, PyTorch's formulas.

    ::

        g = grad + weight_decay * p
        v = alpha * v + (1 - alpha) * g * g                                  (v = a = 0 at first)
        a = a + (1 - alpha) * (g - a),  s = max(v - a * a, 0)       if centered,  else s = v
        b = momentum * b + g / (sqrt(s) + eps)                                    (b = 0 at first)
        p = p - lr * b

    `weight_decay` is L2 regularisation: it is added to the gradient of every parameter. Where
    rounding makes v - a * a negative PyTorch gives NaN; here it is 0.

    Parameters
    ----------
    parameters
        A layer, (name, parameter, gradient) triples, or groups of them.
    lr
        The learning rate, at least 0.
    alpha
        Share of v and a that stays, from 0 to below 1.
    eps
        Added to the denominator, at least 0.
    weight_decay
        At least 0.
    momentum
        Share of b that stays, from 0 to below 1.
    centered
        Divide by the root of the gradients' variance, not of their mean square.
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
    T. Tieleman, G. Hinton, "Lecture 6.5: rmsprop" (Coursera 2012); A. Graves, "Generating sequences
    with recurrent neural networks", arXiv 1308.0850, equations 38 to 41, for the centred form.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import RMSprop
    >>> p, g = np.array([1.0, 2.0]), np.array([0.5, -100.0])
    >>> rmsprop = RMSprop([("p", p, g)], lr=0.1, alpha=0.75)
    >>> rmsprop.step()
    >>> p.round(6)
    array([0.8, 2.2])
    """

    _rules = {  # noqa: RUF012
        "lr": _rules.at_least_zero,
        "alpha": _rules.below_one,
        "eps": _rules.at_least_zero,
        "weight_decay": _rules.at_least_zero,
        "momentum": _rules.below_one,
        "centered": _rules.flag,
    }

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        options = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        super().__init__(parameters, options, clip_norm=clip_norm, clip_value=clip_value)

    @classmethod
    def _slots(cls, options: Options) -> tuple[str | None, ...]:
        return (
            "square_avg",
            "grad_avg" if options["centered"] else None,
            "momentum_buffer" if options["momentum"] else None,
        )

    def _numbers(self, options: Options) -> _plan.Numbers:
        lr, alpha, eps, decay, momentum, _ = options.values()
        return _plan.Numbers(
            _plan.RMSPROP, rate=lr, decay=decay, first=momentum, second=alpha, eps=eps
        )
