"""The operations, a folder per family; one line each here.

A family is imported when one of its operations is first named, so that `import fastnn` stays
quick; `fastnn.dispatch.every` imports them all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastnn.dispatch import announce

if TYPE_CHECKING:
    from fastnn.ops.activation import *  # noqa: F403
    from fastnn.ops.adaptive import *  # noqa: F403
    from fastnn.ops.avgpool import *  # noqa: F403
    from fastnn.ops.conv import *  # noqa: F403
    from fastnn.ops.conv_transpose import *  # noqa: F403
    from fastnn.ops.dense import *  # noqa: F403
    from fastnn.ops.lookup import *  # noqa: F403
    from fastnn.ops.loss import *  # noqa: F403
    from fastnn.ops.noise import *  # noqa: F403
    from fastnn.ops.norm import *  # noqa: F403
    from fastnn.ops.parametric import *  # noqa: F403
    from fastnn.ops.patches import *  # noqa: F403
    from fastnn.ops.pointwise_loss import *  # noqa: F403
    from fastnn.ops.pool import *  # noqa: F403
    from fastnn.ops.recurrent import *  # noqa: F403
    from fastnn.ops.resample import *  # noqa: F403
    from fastnn.ops.rownorm import *  # noqa: F403
    from fastnn.ops.softmaxes import *  # noqa: F403
    from fastnn.ops.sparsity import *  # noqa: F403

FAMILY = {
    "adaptive_avg_pool2d": "adaptive",
    "adaptive_max_pool2d": "adaptive",
    "avg_pool1d": "avgpool",
    "avg_pool2d": "avgpool",
    "batch_norm": "norm",
    "binary_cross_entropy_with_logits": "pointwise_loss",
    "conv1d": "conv",
    "conv2d": "conv",
    "conv_transpose1d": "conv_transpose",
    "conv_transpose2d": "conv_transpose",
    "dropout": "noise",
    "elu": "activation",
    "embedding": "lookup",
    "fold": "patches",
    "gelu": "activation",
    "global_avg_pool": "adaptive",
    "global_max_pool": "adaptive",
    "group_norm": "rownorm",
    "gru": "recurrent",
    "hardsigmoid": "activation",
    "hardswish": "activation",
    "huber_loss": "pointwise_loss",
    "instance_norm": "rownorm",
    "interpolate": "resample",
    "kl_div": "pointwise_loss",
    "kl_sparsity": "sparsity",
    "l1_loss": "pointwise_loss",
    "layer_norm": "rownorm",
    "leaky_relu": "activation",
    "linear": "dense",
    "log_softmax": "softmaxes",
    "lstm": "recurrent",
    "max_pool1d": "pool",
    "max_pool2d": "pool",
    "max_pool2d_with_indices": "pool",
    "max_unpool2d": "pool",
    "mse_loss": "pointwise_loss",
    "multi_margin_loss": "loss",
    "pad": "resample",
    "prelu": "parametric",
    "relu": "activation",
    "rms_norm": "rownorm",
    "rnn": "recurrent",
    "selu": "activation",
    "sigmoid": "activation",
    "silu": "activation",
    "soft_cross_entropy": "loss",
    "softmax": "softmaxes",
    "softmax_cross_entropy": "loss",
    "softplus": "activation",
    "tanh": "activation",
    "unfold": "patches",
}
"""The folder of each operation; no folder has an operation's name, for both are attributes here."""

FUNCTIONS = {"gru_step": "recurrent", "lstm_step": "recurrent", "rnn_step": "recurrent"}
"""The folder of each plain function around operations."""

announce({name: f"fastnn.ops.{family}" for name, family in FAMILY.items()})


def __getattr__(name: str) -> Any:
    family = FAMILY.get(name) or FUNCTIONS.get(name)
    if family is None:
        raise AttributeError(f"module 'fastnn.ops' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fastnn.ops.{family}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *FAMILY, *FUNCTIONS})
