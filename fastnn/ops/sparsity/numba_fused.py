"""The sparsity penalty, jitted: the means, which are all that takes time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.sparsity.spec import Array, SparsityCall, penalty, spread

COLUMNS = 64  # of a task: its sums stay in the first cache level


@_jit.kernel
def mean_kernel(a, mean):  # type: ignore[no-untyped-def]
    """mean[n] = mean of a[:, n] in float64."""
    m_, n_ = a.shape
    for block in prange((n_ + COLUMNS - 1) // COLUMNS):
        sums = np.zeros(COLUMNS)
        size = min(COLUMNS, n_ - block * COLUMNS)
        for m in range(m_):
            for n in range(size):
                sums[n] += a[m, block * COLUMNS + n]
        for n in range(size):
            mean[block * COLUMNS + n] = sums[n] / m_


def kl_sparsity_forward(
    call: SparsityCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    mean = np.empty(call.units)
    _jit.launch(mean_kernel, x.reshape(-1, call.units), mean)
    return penalty(call, mean, out), mean


def kl_sparsity_backward(
    call: SparsityCall, mean: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    return (spread(call, mean, dy) if "x" in needs else None,)
