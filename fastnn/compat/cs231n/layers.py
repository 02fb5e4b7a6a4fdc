"""The course's layers.py: affine, ReLU, norms, dropout, naive convolution and pooling, losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.compat.cs231n._cache import Array, Cache, Param, floats, gradients, operation
from fastnn.dispatch import Context
from fastnn.errors import OptionError

__all__ = [
    "affine_backward",
    "affine_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "conv_backward_naive",
    "conv_forward_naive",
    "dropout_backward",
    "dropout_forward",
    "layernorm_backward",
    "layernorm_forward",
    "max_pool_backward_naive",
    "max_pool_forward_naive",
    "relu_backward",
    "relu_forward",
    "softmax_loss",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
    "svm_loss",
]

Three = tuple[Array, Array, Array]


def affine_forward(x: Any, w: Any, b: Any) -> tuple[Array, Cache]:
    """``out = x.reshape(N, D) @ w + b`` for x of N and any axes, w D M and b M.

    The cache is ``(x, w, b)``.
    """
    flat, wide, bias = floats(x, w, b)
    rows = flat.reshape(flat.shape[0], math.prod(flat.shape[1:]))
    out, context = ops.linear.forward(rows, wide.T, bias)
    return out, Cache(context, x, w, b)


def affine_backward(dout: Any, cache: Any) -> Three:
    """``(dx, dw, db)``, with the shapes of x, w and b."""
    context = cache.context if isinstance(cache, Cache) else affine_forward(*cache)[1].context
    dx, dw, db = gradients(context, dout)
    return dx.reshape(np.shape(cache[0])), dw.T, db


def relu_forward(x: Any) -> tuple[Array, Any]:
    """``out = max(0, x)``; the cache is x."""
    return ops.relu(*floats(x)), x


def relu_backward(dout: Any, cache: Any) -> Array:
    """Dx: `dout` where x is positive, else 0."""
    _, context = ops.relu.forward(*floats(cache))
    dx: Array = gradients(context, dout).x
    return dx


def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Param) -> tuple[Array, Context[Any]]:
    """Batch normalisation of x, N D, with scale gamma and shift beta, both D.

    ::

        out = gamma * (x - mean) / sqrt(var + eps) + beta

    In mode "train" mean and var are the batch's, var biased, and ``bn_param`` is given new arrays::

        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var  = momentum * running_var  + (1 - momentum) * var

    so, unlike in `fastnn.batch_norm`, momentum is the weight of the **old** value and the running
    variance is **biased**. In mode "test" mean and var are the running ones.

    Parameters
    ----------
    x, gamma, beta
        The arrays.
    bn_param
        ``mode``, "train" or "test", and optionally ``eps`` (1e-5), ``momentum`` (0.9),
        ``running_mean`` and ``running_var`` (zeros).

    Raises
    ------
    OptionError
        If the mode is another, or eps is not positive.
    ShapeError
        If sizes do not fit, or there is only one value per channel in training.
    """
    mode = bn_param["mode"]
    if mode not in ("train", "test"):
        raise OptionError(f"cs231n: batch norm mode {mode!r}; it must be train or test")
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    x, gamma, beta = floats(x, gamma, beta)
    running = [
        np.asarray(bn_param.get(name, np.zeros(x.shape[1:2])), x.dtype)
        for name in ("running_mean", "running_var")
    ]
    if mode == "test":
        mean, var = running
    else:
        mean, var = (np.zeros_like(a, order="C") for a in running)
    # In training, momentum 1 turns the operation's running statistics into the batch's own.
    out, context = ops.batch_norm.forward(
        x,
        gamma,
        beta,
        running_mean=mean,
        running_var=var,
        training=mode == "train",
        momentum=1.0,
        eps=eps,
    )
    if mode == "train" and len(x):
        values = x.size // x.shape[1]
        batch = (mean, var * ((values - 1) / values))
        running = [
            (momentum * old + (1 - momentum) * new).astype(x.dtype)
            for old, new in zip(running, batch, strict=True)
        ]
    bn_param["running_mean"], bn_param["running_var"] = running
    return out, context


def batchnorm_backward(dout: Any, cache: Context[Any]) -> Three:
    """``(dx, dgamma, dbeta)``; after mode "test" the running statistics count as constants."""
    dx, dgamma, dbeta = gradients(cache, dout)
    return dx, dgamma, dbeta


def batchnorm_backward_alt(dout: Any, cache: Context[Any]) -> Three:
    """The same as `batchnorm_backward`, which has the simplified formula already."""
    return batchnorm_backward(dout, cache)


def spatial_batchnorm_forward(
    x: Any, gamma: Any, beta: Any, bn_param: Param
) -> tuple[Array, Context[Any]]:
    """`batchnorm_forward` of x, N C H W, over the batch and the pixels; gamma and beta are C."""
    return batchnorm_forward(x, gamma, beta, bn_param)


def spatial_batchnorm_backward(dout: Any, cache: Context[Any]) -> Three:
    """``(dx, dgamma, dbeta)``."""
    return batchnorm_backward(dout, cache)


def layernorm_forward(x: Any, gamma: Any, beta: Any, ln_param: Param) -> tuple[Array, Context[Any]]:
    """Normalise every row of x, N D, by its own mean and biased variance; gamma and beta are D.

    ``ln_param`` may have ``eps`` (1e-5).
    """
    x, gamma, beta = floats(x, gamma, beta)
    out, context = operation("layer_norm").forward(
        x, x.shape[1:], gamma, beta, eps=ln_param.get("eps", 1e-5)
    )
    return out, context


def layernorm_backward(dout: Any, cache: Context[Any]) -> Three:
    """``(dx, dgamma, dbeta)``."""
    return batchnorm_backward(dout, cache)


def spatial_groupnorm_forward(
    x: Any, gamma: Any, beta: Any, G: int, gn_param: Param
) -> tuple[Array, Cache]:
    """Normalise G groups of channels of every image of x, N C H W, by their mean and variance.

    ``gamma`` and ``beta`` are 1 C 1 1 (or C), ``gn_param`` may have ``eps`` (1e-5). The cache is
    ``(gamma, beta)``.
    """
    x, scale, shift = floats(x, gamma, beta)
    out, context = operation("group_norm").forward(
        x, G, scale.reshape(-1), shift.reshape(-1), eps=gn_param.get("eps", 1e-5)
    )
    return out, Cache(context, gamma, beta)


def spatial_groupnorm_backward(dout: Any, cache: Cache) -> Three:
    """``(dx, dgamma, dbeta)``, with the shapes of x, gamma and beta."""
    dx, dgamma, dbeta = gradients(cache.context, dout)
    gamma, beta = cache
    return dx, dgamma.reshape(np.shape(gamma)), dbeta.reshape(np.shape(beta))


def dropout_forward(x: Any, dropout_param: Param) -> tuple[Array, tuple[Param, Array | None]]:
    """Inverted dropout: ``out = x * mask``, ``mask = (uniform(0, 1) < p) / p``.

    So, unlike in `fastnn.layers.Dropout`, p is the probability to **keep** an element. In mode
    "test" out is x. A ``seed`` gives the numbers that ``numpy.random.seed`` and ``rand`` would, but
    the global state is left alone. The cache is ``(dropout_param, mask)``.

    Raises
    ------
    OptionError
        If the mode is another, or p is not above 0 and at most 1.
    """
    p, mode = dropout_param["p"], dropout_param["mode"]
    if mode not in ("train", "test"):
        raise OptionError(f"cs231n: dropout mode {mode!r}; it must be train or test")
    if not 0 < p <= 1:
        raise OptionError(f"cs231n: dropout p={p}, the probability to keep; it must be in (0, 1]")
    (x,) = floats(x)
    if mode == "test":
        return x, (dropout_param, None)
    legacy = np.random.RandomState(dropout_param.get("seed"))  # a generator of its own
    mask = ((legacy.random_sample(x.shape) < p) / p).astype(x.dtype)
    return x * mask, (dropout_param, mask)


def dropout_backward(dout: Any, cache: tuple[Param, Array | None]) -> Array:
    """Dx: ``dout * mask``, or dout after mode "test"."""
    (dout,), mask = floats(dout), cache[1]
    dx: Array = dout if mask is None else dout * mask
    return dx


def conv_forward_naive(x: Any, w: Any, b: Any, conv_param: Param) -> tuple[Array, Cache]:
    """Convolution of x, N C H W, with w, F C HH WW, and b, F, by the definition's loops.

    ``conv_param`` has ``stride`` and ``pad``, zeros on every side; out is N F H' W' with ``H' = 1 +
    (H + 2 * pad - HH) // stride``. The cache is ``(x, w, b, conv_param)``.
    """
    return convolve(x, w, b, conv_param, "naive")


def convolve(x: Any, w: Any, b: Any, conv_param: Param, backend: str | None) -> tuple[Array, Cache]:
    """`conv_forward_naive` on any backend; None is the best."""
    out, context = ops.conv2d.forward(
        *floats(x, w, b),
        stride=conv_param["stride"],
        padding=conv_param["pad"],
        backend=backend,
    )
    return out, Cache(context, x, w, b, conv_param)


def conv_backward_naive(dout: Any, cache: Any) -> Three:
    """``(dx, dw, db)``."""
    if not isinstance(cache, Cache):
        x, w, b, conv_param = cache
        cache = convolve(x, w, b, conv_param, "naive")[1]
    dx, dw, db = gradients(cache.context, dout)
    return dx, dw, db


def max_pool_forward_naive(x: Any, pool_param: Param) -> tuple[Array, Cache]:
    """The largest pixel of every window of x, N C H W, by the definition's loops.

    ``pool_param`` has ``pool_height``, ``pool_width`` and ``stride``. The cache is ``(x,
    pool_param)``.
    """
    return pool(x, pool_param, "naive")


def pool(x: Any, pool_param: Param, backend: str | None) -> tuple[Array, Cache]:
    """`max_pool_forward_naive` on any backend; None is the best."""
    (images,) = floats(x)
    out, context = ops.max_pool2d.forward(
        images,
        (pool_param["pool_height"], pool_param["pool_width"]),
        stride=pool_param["stride"],
        backend=backend,
    )
    return out, Cache(context, x, pool_param)


def max_pool_backward_naive(dout: Any, cache: Any) -> Array:
    """Dx: the first maximum of every window has its `dout`."""
    if not isinstance(cache, Cache):
        x, pool_param = cache
        cache = pool(x, pool_param, "naive")[1]
    dx: Array = gradients(cache.context, dout).x
    return dx


def svm_loss(x: Any, y: Any) -> tuple[float, Array]:
    """Multiclass hinge loss of scores x, N C, and labels y, N, and its gradient.

    ::

        loss = mean over n of  sum over c != y[n] of  max(0, x[n,c] - x[n,y[n]] + 1)
    """
    (x,) = floats(x)
    rows = np.arange(len(x))
    margins = np.maximum(0, x - x[rows, y][:, np.newaxis] + 1)
    margins[rows, y] = 0
    dx = (margins > 0).astype(x.dtype)
    dx[rows, y] = -dx.sum(axis=1)
    return float(margins.sum() / len(x)), dx / len(x)


def softmax_loss(x: Any, y: Any) -> tuple[float, Array]:
    """Mean cross-entropy of the softmax of scores x, N C, and labels y, N, and its gradient."""
    (x,) = floats(x)
    loss, context = ops.softmax_cross_entropy.forward(x, y)
    dx: Array = gradients(context, 1.0).x
    return float(loss), dx
