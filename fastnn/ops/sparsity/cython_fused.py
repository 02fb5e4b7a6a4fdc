"""The sparsity penalty, compiled: the means, which are all that takes time."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _loss
from fastnn.ops.sparsity.spec import Array, SparsityCall, penalty, spread


def kl_sparsity_forward(
    call: SparsityCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    mean = np.empty(call.units)
    _loss.column_means(x.reshape(-1, call.units), mean)
    return penalty(call, mean, out), mean


def kl_sparsity_backward(
    call: SparsityCall, mean: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    return (spread(call, mean, dy) if "x" in needs else None,)
