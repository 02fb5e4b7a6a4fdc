"""The sparsity penalty as its formula says, one unit at a time, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.sparsity.spec import Array, SparsityCall


def _mean(x: Array, unit: int) -> Any:
    with np.errstate(invalid="ignore"):  # of nothing it is NaN
        return np.sum(x[:, unit]) / np.float64(len(x))


def kl_sparsity_forward(
    call: SparsityCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    flat, rho, total = wide(x).reshape(call.x[0], call.units), call.rho, 0.0
    with np.errstate(all="ignore"):
        for unit in range(call.units):
            m = _mean(flat, unit)
            total += rho * np.log(rho / m) + (1 - rho) * np.log((1 - rho) / (1 - m))
        y = np.empty((), call.dtype) if out is None else out
        y[...] = total
    return y, flat


def kl_sparsity_backward(
    call: SparsityCall, flat: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(flat.shape)
    with np.errstate(all="ignore"):
        for n, unit in np.ndindex(flat.shape):
            m = _mean(flat, unit)
            slope = (1 - call.rho) / (1 - m) - call.rho / m
            dx[n, unit] = (slope if 0 <= m <= 1 else np.nan) * dy / call.x[0]
    return (dx.astype(call.dtype).reshape(call.x),)
