"""Embeddings, jitted; backward sorts the places by row, so that a task owns a row of dw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.lookup.spec import Array, EmbeddingCall


@_jit.kernel
def gather_kernel(indices, w, y):  # type: ignore[no-untyped-def]
    """y[m] = w[indices[m]]."""
    for m in prange(indices.size):
        for e in range(w.shape[1]):
            y[m, e] = w[indices[m], e]


@_jit.kernel
def scatter_kernel(first, place, dy, dw):  # type: ignore[no-untyped-def]
    """dw[r] = sum of dy over place[first[r]:first[r + 1]], in float64."""
    for r in prange(dw.shape[0]):
        sums = np.zeros(dw.shape[1])
        for i in range(first[r], first[r + 1]):
            for e in range(dw.shape[1]):
                sums[e] += dy[place[i], e]
        for e in range(dw.shape[1]):
            dw[r, e] = sums[e]


def embedding_forward(
    call: EmbeddingCall, indices: Array, w: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _jit.launch(gather_kernel, indices.reshape(-1), w, y.reshape(-1, call.w[1]))
    return y, indices


def embedding_backward(
    call: EmbeddingCall, indices: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "w" not in needs:
        return (None,)
    flat, dw = indices.reshape(-1), np.empty(call.w, call.dtype)
    place = np.flatnonzero(flat != call.padding_idx)
    place = place[np.argsort(flat[place], kind="stable")]
    first = np.searchsorted(flat[place], np.arange(call.w[0] + 1))
    _jit.launch(scatter_kernel, first, place, dy.reshape(-1, call.w[1]), dw)
    return (dw,)
