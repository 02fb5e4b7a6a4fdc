"""The course's fast_layers.py: convolution and pooling on the best backend, under all its names.

``im2col``, ``strides`` and ``reshape`` were ways to compute the same; here they are one.
"""

from __future__ import annotations

from typing import Any

from fastnn.compat.cs231n._cache import Array, Cache, Param
from fastnn.compat.cs231n.layers import (
    conv_backward_naive,
    convolve,
    max_pool_backward_naive,
    pool,
)

__all__ = [
    "conv_backward_fast",
    "conv_backward_im2col",
    "conv_backward_strides",
    "conv_forward_fast",
    "conv_forward_im2col",
    "conv_forward_strides",
    "max_pool_backward_fast",
    "max_pool_backward_im2col",
    "max_pool_backward_reshape",
    "max_pool_forward_fast",
    "max_pool_forward_im2col",
    "max_pool_forward_reshape",
]


def conv_forward_fast(x: Any, w: Any, b: Any, conv_param: Param) -> tuple[Array, Cache]:
    """`conv_forward_naive`, fast; any window and stride."""
    return convolve(x, w, b, conv_param, None)


def conv_backward_fast(dout: Any, cache: Any) -> tuple[Array, Array, Array]:
    """``(dx, dw, db)``, where forward ran."""
    if not isinstance(cache, Cache):
        cache = conv_forward_fast(*cache[:4])[1]
    return conv_backward_naive(dout, cache)


def max_pool_forward_fast(x: Any, pool_param: Param) -> tuple[Array, Cache]:
    """`max_pool_forward_naive`, fast; any window and stride."""
    return pool(x, pool_param, None)


def max_pool_backward_fast(dout: Any, cache: Any) -> Array:
    """Dx, where forward ran."""
    if not isinstance(cache, Cache):
        cache = max_pool_forward_fast(*cache)[1]
    return max_pool_backward_naive(dout, cache)


conv_forward_im2col = conv_forward_strides = conv_forward_fast
conv_backward_im2col = conv_backward_strides = conv_backward_fast
max_pool_forward_im2col = max_pool_forward_reshape = max_pool_forward_fast
max_pool_backward_im2col = max_pool_backward_reshape = max_pool_backward_fast
