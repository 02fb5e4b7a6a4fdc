"""What any implementation of convolution gives, and how operations are put together from it.

A transposed convolution is a convolution read backwards: its forward is the other's gradient of
the image, its gradient of x the other's forward. So an implementation is four steps, and every
operation of the family is glue around them, written once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fastnn._memory import empty
from fastnn.ops.conv.spec import Array, ConvCall

Pair = tuple[Callable[..., tuple[Array, Any]], Callable[..., tuple[Array | None, ...]]]
"""An implementation's forward and backward, see `fastnn.dispatch.Impl`."""


class Steps(NamedTuple):
    """The four steps; each writes its last argument, b may be None."""

    forward: Callable[..., None]  # (call, x, w, b, y): y = conv(x, w) + b
    image: Callable[..., None]  # (call, w, dy, b, dx): dx = gradient of the image + b
    filters: Callable[..., None]  # (call, x, dy, dw)
    bias: Callable[..., None]  # (dy, db): all but the channels of dy added up


def _bias(steps: Steps, call: Any, dy: Array, needs: tuple[str, ...]) -> Array | None:
    if not (call.bias and "b" in needs):
        return None
    db = empty(dy.shape[1], call.dtype)
    steps.bias(dy, db)
    return db


def convolution(steps: Steps) -> Pair:
    """Forward and backward of a convolution of any rank."""

    def forward(
        call: ConvCall, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
    ) -> tuple[Array, Any]:
        y = empty(call.out, call.dtype) if out is None else out
        steps.forward(call, x, w, b, y)
        return y, (x, w)

    def backward(
        call: ConvCall, saved: Any, dy: Array, needs: tuple[str, ...]
    ) -> tuple[Array | None, ...]:
        x, w = saved
        dx = empty(call.x, call.dtype) if "x" in needs else None
        dw = empty(call.w, call.dtype) if "w" in needs else None
        if dx is not None:
            steps.image(call, w, dy, None, dx)
        if dw is not None:
            steps.filters(call, x, dy, dw)
        return dx, dw, _bias(steps, call, dy, needs)

    return forward, backward


def transposed(steps: Steps) -> Pair:
    """Forward and backward of a transposed convolution of any rank, from its call's `conv`."""

    def forward(
        call: Any, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
    ) -> tuple[Array, Any]:
        y = empty(call.out, call.dtype) if out is None else out
        steps.image(call.conv, w, x, b, y)
        return y, (x, w)

    def backward(
        call: Any, saved: Any, dy: Array, needs: tuple[str, ...]
    ) -> tuple[Array | None, ...]:
        x, w = saved
        conv = call.conv
        dx = empty(call.x, call.dtype) if "x" in needs else None
        dw = empty(call.w, call.dtype) if "w" in needs else None
        if dx is not None:
            steps.forward(conv, dy, w, None, dx)
        if dw is not None:
            steps.filters(conv, dy, x, dw)
        return dx, dw, _bias(steps, call, dy, needs)

    return forward, backward
