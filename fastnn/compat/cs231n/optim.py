"""The course's optim.py: update rules ``(w, dw, config) -> (next_w, config)``.

`config` is filled with defaults and with the rule's state, in place; None starts a fresh one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.compat.cs231n._cache import Array, Param

__all__ = ["adam", "rmsprop", "sgd", "sgd_momentum"]


def _filled(config: Param | None, **defaults: Any) -> Param:
    """`config`, or a new one, with what it lacks."""
    config = {} if config is None else config
    for name, value in defaults.items():
        config.setdefault(name, value)
    return config


def sgd(w: Array, dw: Array, config: Param | None = None) -> tuple[Array, Param]:
    """``w -= learning_rate * dw``, in place, with ``learning_rate`` 1e-2."""
    config = _filled(config, learning_rate=1e-2)
    w -= config["learning_rate"] * dw
    return w, config


def sgd_momentum(w: Array, dw: Array, config: Param | None = None) -> tuple[Array, Param]:
    """Gradient descent with momentum.

    ::

        velocity = momentum * velocity - learning_rate * dw
        next_w   = w + velocity

    with ``learning_rate`` 1e-2, ``momentum`` 0.9 and ``velocity`` zeros.
    """
    config = _filled(config, learning_rate=1e-2, momentum=0.9, velocity=np.zeros_like(w))
    config["velocity"] = config["momentum"] * config["velocity"] - config["learning_rate"] * dw
    return w + config["velocity"], config


def rmsprop(w: Array, dw: Array, config: Param | None = None) -> tuple[Array, Param]:
    """RMSprop.

    ::

        cache  = decay_rate * cache + (1 - decay_rate) * dw^2
        next_w = w - learning_rate * dw / (sqrt(cache) + epsilon)

    with ``learning_rate`` 1e-2, ``decay_rate`` 0.99, ``epsilon`` 1e-8 and ``cache`` zeros.
    """
    config = _filled(
        config, learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8, cache=np.zeros_like(w)
    )
    decay = config["decay_rate"]
    config["cache"] = decay * config["cache"] + (1 - decay) * dw**2
    step = config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"])
    return w - step, config


def adam(w: Array, dw: Array, config: Param | None = None) -> tuple[Array, Param]:
    """Adam with bias correction; t counts from 1 in its formula.

    ::

        t      = t + 1
        m      = beta1 * m + (1 - beta1) * dw
        v      = beta2 * v + (1 - beta2) * dw^2
        next_w = w - learning_rate * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)

    with ``learning_rate`` 1e-3, ``beta1`` 0.9, ``beta2`` 0.999, ``epsilon`` 1e-8 and ``m``, ``v``
    and ``t`` zero.
    """
    config = _filled(
        config,
        learning_rate=1e-3,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        m=np.zeros_like(w),
        v=np.zeros_like(w),
        t=0,
    )
    config["t"] += 1
    corrected = []
    for name, decay, new in (("m", config["beta1"], dw), ("v", config["beta2"], dw**2)):
        config[name] = decay * config[name] + (1 - decay) * new
        corrected.append(config[name] / (1 - decay ** config["t"]))
    m, v = corrected
    return w - config["learning_rate"] * m / (np.sqrt(v) + config["epsilon"]), config
