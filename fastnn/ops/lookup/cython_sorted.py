"""Embeddings, compiled; backward sorts the places by row, so that a task owns rows of dw."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _embedding
from fastnn._memory import empty
from fastnn.ops.lookup.spec import Array, EmbeddingCall


def embedding_forward(
    call: EmbeddingCall, indices: Array, w: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    _embedding.forward(indices, w, y)
    return y, indices


def embedding_backward(
    call: EmbeddingCall, indices: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "w" not in needs:
        return (None,)
    dw = empty(call.w, call.dtype)
    _embedding.backward(indices, dy, call.padding_idx, dw)
    return (dw,)
