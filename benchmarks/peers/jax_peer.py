"""Convolutions on JAX, compiled by XLA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from peers.data import draw, like
from peers.rows import Row, _pair


def setup(threads: int) -> dict[str, Any]:
    """XLA takes the threads of the affinity mask, which the worker has set."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    return {"version": jax.__version__}


def action(row: Row) -> Callable[[], object] | None:
    if row.op != "conv2d":
        return None
    arrays, o = draw(row), row.options
    x, w, b = (jax.numpy.asarray(arrays[n]) for n in "xwb")

    def conv(x: Any, w: Any, b: Any) -> Any:
        pads = [(p, p) for p in _pair(o["padding"])]
        y = lax.conv_general_dilated(
            x, w, _pair(o["stride"]), pads, rhs_dilation=_pair(o["dilation"]),
            feature_group_count=o["groups"],
        )  # fmt: skip
        return y + b[:, None, None]

    forward = jax.jit(conv)
    if row.what == "forward":
        return lambda: forward(x, w, b).block_until_ready()
    dy = jax.numpy.asarray(like(jax.device_get(forward(x, w, b))))
    keep = {"dx": slice(0, 1), "dw": slice(1, 2)}.get(row.what, slice(None))
    backward = jax.jit(lambda x, w, b, dy: jax.vjp(conv, x, w, b)[1](dy)[keep])
    return lambda: jax.block_until_ready(backward(x, w, b, dy))
