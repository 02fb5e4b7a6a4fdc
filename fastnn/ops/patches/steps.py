"""Unfold's backward is fold and fold's is unfold: an implementation is the two moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn._check import Array
from fastnn._memory import empty
from fastnn.ops.conv.steps import Pair
from fastnn.ops.patches.spec import UnfoldCall


def moves(there: Callable[..., None], back: Callable[..., None]) -> Pair:
    """Forward runs `there` and backward `back`, both (call, from, to)."""

    def forward(call: UnfoldCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
        y = empty(call.out, call.dtype) if out is None else out
        there(call, x, y)
        return y, None

    def backward(
        call: UnfoldCall, saved: Any, dy: Array, needs: tuple[str, ...]
    ) -> tuple[Array | None, ...]:
        if "x" not in needs:
            return (None,)
        dx = empty(call.columns if call.back else call.image, call.dtype)
        back(call, dy, dx)
        return (dx,)

    return forward, backward
