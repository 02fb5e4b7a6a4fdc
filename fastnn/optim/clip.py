"""Gradients held within bounds, by their norm or each by itself."""

from __future__ import annotations

import math

from fastnn.optim import _plan, _rules
from fastnn.optim.parameters import Parameters, grouped


def coefficient(norm: float, most: float) -> float:
    """What gradients of this norm are multiplied by; NaN for a norm that is NaN."""
    return most / (norm + 1e-6) if not norm + 1e-6 <= most else 1.0


def clip_grad_norm(parameters: Parameters, max_norm: float) -> float:
    """Scale all gradients together, in place, so that their norm is at most `max_norm`.

    ::

        norm = sqrt(sum over all gradients of g^2)
        g    = g * min(1, max_norm / (norm + 1e-6))

    The same as ``clip_norm=`` of an optimiser, which leaves the gradients alone and saves a pass
    over them.

    Parameters
    ----------
    parameters
        A layer, (name, parameter, gradient) triples, or groups.
    max_norm
        Above 0.

    Returns
    -------
    float
        The norm before, summed up in float64, the same for any number of threads. A gradient that
        is NaN makes all gradients NaN, an infinite one all others 0.

    Raises
    ------
    OptionError
        If `max_norm` is not above 0 or there are no parameters.
    DtypeError, ShapeError
        If parameters or gradients are no float arrays that can be written to.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks"
    (ICML 2013), algorithm 1; the 1e-6 is PyTorch's.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import clip_grad_norm
    >>> p, g = np.zeros(2), np.array([3.0, 4.0])
    >>> clip_grad_norm([("p", p, g)], 1.0)
    5.0
    >>> g.round(4)
    array([0.6, 0.8])
    """
    plans = _plans("clip_grad_norm", parameters)
    most = _rules.limit("clip_grad_norm", "max_norm", max_norm)
    norm = math.sqrt(sum(plan.squares() for plan in plans))
    scale = coefficient(norm, most)
    if scale != 1:
        for plan in plans:
            plan.clip(scale)
    return norm


def clip_grad_value(parameters: Parameters, clip_value: float) -> None:
    """Hold every number of every gradient within -clip_value to clip_value, in place.

    Parameters
    ----------
    parameters
        A layer, (name, parameter, gradient) triples, or groups.
    clip_value
        Above 0. NaN stays NaN.

    Raises
    ------
    OptionError
        If `clip_value` is not above 0 or there are no parameters.
    DtypeError, ShapeError
        If parameters or gradients are no float arrays that can be written to.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import clip_grad_value
    >>> p, g = np.zeros(3), np.array([3.0, -0.5, -4.0])
    >>> clip_grad_value([("p", p, g)], 1.0)
    >>> g
    array([ 1. , -0.5, -1. ])
    """
    most = _rules.limit("clip_grad_value", "clip_value", clip_value)
    for plan in _plans("clip_grad_value", parameters):
        plan.clip(1.0, most)


def _plans(what: str, parameters: Parameters) -> list[_plan.Plan]:
    rows: list[_plan.Row] = [
        [param, grad, None, None, None]
        for _, triples, _ in grouped(what, parameters)
        for _, param, grad in triples
    ]
    return _plan.plans(rows, compiled=_plan.compiled())
