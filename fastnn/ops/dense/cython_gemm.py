"""Linear layers by our matrix product, compiled; transposed operands are views."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _linear
from fastnn.ops.dense.spec import Array, LinearCall


def linear_forward(
    call: LinearCall, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    return _linear.forward(x, w, b, out), (x, w)


def linear_backward(
    call: LinearCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w = saved
    return _linear.backward(x, w, dy, "x" in needs, "w" in needs, call.bias and "b" in needs)  # type: ignore[no-any-return]
