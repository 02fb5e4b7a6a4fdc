"""The course's layer_utils.py: layers that are often used together. A cache is one of caches."""

from __future__ import annotations

from typing import Any

from fastnn.compat.cs231n._cache import Array, Param
from fastnn.compat.cs231n.fast_layers import (
    conv_backward_fast,
    conv_forward_fast,
    max_pool_backward_fast,
    max_pool_forward_fast,
)
from fastnn.compat.cs231n.layers import (
    Three,
    affine_backward,
    affine_forward,
    batchnorm_backward,
    batchnorm_forward,
    relu_backward,
    relu_forward,
)

__all__ = [
    "affine_bn_relu_backward",
    "affine_bn_relu_forward",
    "affine_relu_backward",
    "affine_relu_forward",
    "conv_bn_relu_backward",
    "conv_bn_relu_forward",
    "conv_relu_backward",
    "conv_relu_forward",
    "conv_relu_pool_backward",
    "conv_relu_pool_forward",
]

Caches = tuple[Any, ...]
Five = tuple[Array, Array, Array, Array, Array]


def affine_relu_forward(x: Any, w: Any, b: Any) -> tuple[Array, Caches]:
    """`affine_forward`, then `relu_forward`."""
    a, fc_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (fc_cache, relu_cache)


def affine_relu_backward(dout: Any, cache: Caches) -> Three:
    """``(dx, dw, db)``."""
    fc_cache, relu_cache = cache
    return affine_backward(relu_backward(dout, relu_cache), fc_cache)


def _bn_relu_forward(a: Any, gamma: Any, beta: Any, bn_param: Param) -> tuple[Array, Any, Any]:
    """Batch norm and ReLU of N D or N C H W."""
    an, bn_cache = batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(an)
    return out, bn_cache, relu_cache


def _bn_relu_backward(dout: Any, bn_cache: Any, relu_cache: Any) -> Three:
    return batchnorm_backward(relu_backward(dout, relu_cache), bn_cache)


def affine_bn_relu_forward(
    x: Any, w: Any, b: Any, gamma: Any, beta: Any, bn_param: Param
) -> tuple[Array, Caches]:
    """`affine_forward`, then `batchnorm_forward`, then `relu_forward`."""
    a, fc_cache = affine_forward(x, w, b)
    out, bn_cache, relu_cache = _bn_relu_forward(a, gamma, beta, bn_param)
    return out, (fc_cache, bn_cache, relu_cache)


def affine_bn_relu_backward(dout: Any, cache: Caches) -> Five:
    """``(dx, dw, db, dgamma, dbeta)``."""
    fc_cache, *rest = cache
    da, dgamma, dbeta = _bn_relu_backward(dout, *rest)
    return *affine_backward(da, fc_cache), dgamma, dbeta


def conv_relu_forward(x: Any, w: Any, b: Any, conv_param: Param) -> tuple[Array, Caches]:
    """`conv_forward_fast`, then `relu_forward`."""
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    out, relu_cache = relu_forward(a)
    return out, (conv_cache, relu_cache)


def conv_relu_backward(dout: Any, cache: Caches) -> Three:
    """``(dx, dw, db)``."""
    conv_cache, relu_cache = cache
    return conv_backward_fast(relu_backward(dout, relu_cache), conv_cache)


def conv_bn_relu_forward(
    x: Any, w: Any, b: Any, gamma: Any, beta: Any, conv_param: Param, bn_param: Param
) -> tuple[Array, Caches]:
    """`conv_forward_fast`, then `spatial_batchnorm_forward`, then `relu_forward`."""
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    out, bn_cache, relu_cache = _bn_relu_forward(a, gamma, beta, bn_param)
    return out, (conv_cache, bn_cache, relu_cache)


def conv_bn_relu_backward(dout: Any, cache: Caches) -> Five:
    """``(dx, dw, db, dgamma, dbeta)``."""
    conv_cache, *rest = cache
    da, dgamma, dbeta = _bn_relu_backward(dout, *rest)
    return *conv_backward_fast(da, conv_cache), dgamma, dbeta


def conv_relu_pool_forward(
    x: Any, w: Any, b: Any, conv_param: Param, pool_param: Param
) -> tuple[Array, Caches]:
    """`conv_relu_forward`, then `max_pool_forward_fast`."""
    a, (conv_cache, relu_cache) = conv_relu_forward(x, w, b, conv_param)
    out, pool_cache = max_pool_forward_fast(a, pool_param)
    return out, (conv_cache, relu_cache, pool_cache)


def conv_relu_pool_backward(dout: Any, cache: Caches) -> Three:
    """``(dx, dw, db)``."""
    conv_cache, relu_cache, pool_cache = cache
    return conv_relu_backward(max_pool_backward_fast(dout, pool_cache), (conv_cache, relu_cache))
