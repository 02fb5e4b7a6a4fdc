"""Adam and its variants: with decoupled decay, with the largest mean square, uncorrected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastnn.errors import OptionError
from fastnn.optim import _plan, _rules
from fastnn.optim.base import Optimizer, Options
from fastnn.optim.parameters import Parameters


class Adam(Optimizer):
    """Adam, PyTorch's formulas.

    ::

        g = grad + weight_decay * p                              (L2;  if decoupled: g = grad)
        m = m + (1 - beta1) * (g - m)                                        (m = v = 0 at first)
        v = beta2 * v + (1 - beta2) * g * g
        s = v, or if amsgrad the largest v so far
        p = p - lr / (1 - beta1**t) * m / (sqrt(s) / sqrt(1 - beta2**t) + eps)      t = 1, 2, ...
                                                     (if decoupled: less lr * weight_decay * p)

    `weight_decay` is L2 regularisation: it is added to the gradient of every parameter. With
    `decoupled` the parameters shrink by it and m and v never see it, as in `AdamW`.

    Parameters
    ----------
    parameters
        A layer, (name, parameter, gradient) triples, or groups of them.
    lr
        The learning rate, at least 0.
    betas
        Shares of m and v that stay, each from 0 to below 1. In groups, and in the saved state,
        they are ``beta1`` and ``beta2``; groups take ``betas`` too.
    eps
        Added to the denominator, at least 0.
    weight_decay
        At least 0.
    amsgrad
        Divide by the root of the largest v so far: steps never grow again.
    bias_correction
        Whether to divide by 1 - beta1**t and 1 - beta2**t, which makes up for the start at 0.
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
    A step reads parameters, gradients and state once and writes all but the gradients.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", arXiv 1412.6980, algorithm 1;
    S. J. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond" (ICLR 2018), algorithm 2
    for amsgrad.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import Adam
    >>> p, g = np.array([1.0, 2.0]), np.array([0.5, -100.0])
    >>> adam = Adam([("p", p, g)], lr=0.1)
    >>> adam.step()
    >>> p.round(6)
    array([0.9, 2.1])
    """

    _rules = {  # noqa: RUF012
        "lr": _rules.at_least_zero,
        "beta1": _rules.below_one,
        "beta2": _rules.below_one,
        "eps": _rules.at_least_zero,
        "weight_decay": _rules.at_least_zero,
        "amsgrad": _rules.flag,
        "bias_correction": _rules.flag,
        "decoupled": _rules.flag,
    }

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        bias_correction: bool = True,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        options = {
            **_two(type(self).__name__, betas),
            "lr": lr,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "bias_correction": bias_correction,
            "decoupled": decoupled,
        }
        super().__init__(parameters, options, clip_norm=clip_norm, clip_value=clip_value)

    @classmethod
    def _checked(cls, options: Mapping[str, Any]) -> dict[str, float | bool]:
        own = dict(options)
        if "betas" in own:
            own |= _two(cls.__name__, own.pop("betas"))
        return super()._checked(own)

    @classmethod
    def _slots(cls, options: Options) -> tuple[str | None, ...]:
        return "exp_avg", "exp_avg_sq", "max_exp_avg_sq" if options["amsgrad"] else None

    def _numbers(self, options: Options) -> _plan.Numbers:
        lr, beta1, beta2, eps, decay, _, correct, decoupled = options.values()
        return _plan.Numbers(
            _plan.ADAM,
            rate=lr / (1 - beta1**self._steps) if correct else lr,
            keep=1 - lr * decay if decoupled else 1.0,
            decay=0.0 if decoupled else decay,
            first=beta1,
            second=beta2,
            root=1 / math.sqrt(1 - beta2**self._steps) if correct else 1.0,
            eps=eps,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay, PyTorch's formulas: `Adam` with ``decoupled=True``.

    ::

        p = p - lr * weight_decay * p, then Adam's step from the gradient alone

    Parameters
    ----------
    parameters
        A layer, (name, parameter, gradient) triples, or groups of them.
    lr
        The learning rate, at least 0.
    betas, eps, amsgrad, bias_correction, clip_norm, clip_value
        As in `Adam`.
    weight_decay
        At least 0; here it is 0.01 unless given.

    Raises
    ------
    OptionError
        If a hyper-parameter is out of its range or there are no parameters.
    DtypeError, ShapeError
        If a hyper-parameter is no number, or a parameter and its gradient do not fit.

    References
    ----------
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization" (ICLR 2019), algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import AdamW
    >>> p, g = np.array([1.0, 2.0]), np.array([0.5, -100.0])
    >>> adam = AdamW([("p", p, g)], lr=0.1, weight_decay=0.5)
    >>> adam.step()
    >>> p.round(6)
    array([0.85, 2.  ])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        bias_correction: bool = True,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            bias_correction=bias_correction,
            decoupled=True,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )


def _two(what: str, betas: Any) -> dict[str, Any]:
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise OptionError(f"{what}: betas={betas!r}; it must be two numbers")
    return {"beta1": betas[0], "beta2": betas[1]}
