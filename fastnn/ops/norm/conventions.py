"""Batch normalisation's parameters under the names of PyTorch, Keras and CS231n.

========================  ==================  ===================  =================
what                      PyTorch, fastnn     Keras                CS231n
========================  ==================  ===================  =================
scale w                   weight              gamma                gamma
shift b                   bias                beta                 beta
mean for evaluation       running_mean        moving_mean          running_mean
variance for evaluation   running_var         moving_variance      running_var
momentum weighs           the new value, 0.1  the old value, 0.99  the old value, 0.9
running variance takes    the unbiased one    the biased one       the biased one
eps                       1e-5                1e-3                 1e-5
========================  ==================  ===================  =================

The converters rename and nothing else: the arrays are the same objects. In evaluation every
library uses the variance that it is given, so a converted network computes what it did, once eps is
the same. To go on training as Keras or CS231n would, pass ``convention="keras"`` and their
momentum; to go on as PyTorch would, pass `other_momentum` of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.errors import OptionError

__all__ = [
    "cs231n_to_torch",
    "keras_to_torch",
    "other_momentum",
    "torch_to_cs231n",
    "torch_to_keras",
]

_KERAS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_CS231N = {
    "gamma": "weight",
    "beta": "bias",
    "running_mean": "running_mean",
    "running_var": "running_var",
}
_COUNTER = "num_batches_tracked"


def keras_to_torch(params: Mapping[str, Array]) -> dict[str, Array]:
    """Rename Keras's arrays as PyTorch's state dict names them.

    Parameters
    ----------
    params
        Any of gamma, beta, moving_mean and moving_variance.

    Returns
    -------
    dict
        The arrays under weight, bias, running_mean and running_var; where there are running
        statistics also num_batches_tracked, a 0, so that a layer's ``load_state_dict`` takes it.

    Raises
    ------
    OptionError
        If another name is there.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.ops.norm.conventions import keras_to_torch
    >>> keras_to_torch({"gamma": np.array([2.0]), "beta": np.array([0.5])})
    {'weight': array([2.]), 'bias': array([0.5])}
    """
    return _to_torch("keras_to_torch", params, _KERAS)


def torch_to_keras(params: Mapping[str, Array]) -> dict[str, Array]:
    """Rename the arrays of PyTorch's state dict as Keras does; num_batches_tracked is left out.

    Raises
    ------
    OptionError
        If another name is there.
    """
    return _from_torch("torch_to_keras", params, _KERAS)


def cs231n_to_torch(params: Mapping[str, Array]) -> dict[str, Array]:
    """Rename CS231n's gamma, beta, running_mean and running_var, as `keras_to_torch` does.

    Raises
    ------
    OptionError
        If another name is there, such as the options mode, eps and momentum of its ``bn_param``.
    """
    return _to_torch("cs231n_to_torch", params, _CS231N)


def torch_to_cs231n(params: Mapping[str, Array]) -> dict[str, Array]:
    """Rename the arrays of PyTorch's state dict as CS231n does, as `torch_to_keras` does.

    Raises
    ------
    OptionError
        If another name is there.
    """
    return _from_torch("torch_to_cs231n", params, _CS231N)


def other_momentum(momentum: float) -> float:
    """1 - momentum: the weight of the old value from that of the new, and the other way round.

    Raises
    ------
    OptionError
        If it is not from 0 to 1.

    Examples
    --------
    >>> from fastnn.ops.norm.conventions import other_momentum
    >>> other_momentum(0.75)
    0.25
    """
    value = _check.real("other_momentum", "momentum", momentum)
    if not 0 <= value <= 1:
        raise OptionError(f"other_momentum: momentum={value}; it must be from 0 to 1")
    return 1 - value


def _to_torch(what: str, params: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    _check_names(what, params, tuple(names))
    renamed = {new: params[old] for old, new in names.items() if old in params}
    if "running_mean" in renamed:
        renamed[_COUNTER] = np.zeros((), np.int64)
    return renamed


def _from_torch(
    what: str, params: Mapping[str, Array], names: Mapping[str, str]
) -> dict[str, Array]:
    _check_names(what, params, (*names.values(), _COUNTER))
    return {old: params[new] for old, new in names.items() if new in params}


def _check_names(what: str, params: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    unknown = [name for name in params if name not in allowed]
    if unknown:
        raise OptionError(f"{what}: params has {unknown}; names must be of {', '.join(allowed)}")
