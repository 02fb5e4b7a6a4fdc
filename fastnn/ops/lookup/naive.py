"""Embeddings as their formula says, one place at a time, sums in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.lookup.spec import Array, EmbeddingCall


def embedding_forward(
    call: EmbeddingCall, indices: Array, w: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    for m in np.ndindex(call.indices):
        y[m] = w[indices[m]]
    return y, indices


def embedding_backward(
    call: EmbeddingCall, indices: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "w" not in needs:
        return (None,)
    dw = np.zeros(call.w)
    for m in np.ndindex(call.indices):
        if indices[m] != call.padding_idx:
            dw[indices[m]] += dy[m]
    return (dw.astype(call.dtype),)
