"""The course's rnn_layers.py (older third assignments): recurrent steps, layers and their losses.

Steps are plain NumPy; affine layers and the loss are fastnn's operations. The gates of an LSTM are
in the course's order i f o g, where PyTorch has i f g o.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.compat.cs231n._cache import Array, Cache, floats, gradients

__all__ = [
    "lstm_backward",
    "lstm_forward",
    "lstm_step_backward",
    "lstm_step_forward",
    "rnn_backward",
    "rnn_forward",
    "rnn_step_backward",
    "rnn_step_forward",
    "temporal_affine_backward",
    "temporal_affine_forward",
    "temporal_softmax_loss",
    "word_embedding_backward",
    "word_embedding_forward",
]

Step = tuple[Any, ...]
Gradients = tuple[Array, Array, Array, Array, Array]


def rnn_step_forward(x: Any, prev_h: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Array, Step]:
    """``next_h = tanh(x @ Wx + prev_h @ Wh + b)`` for x N D, prev_h N H, Wx D H, Wh H H, b H."""
    x, prev_h, Wx, Wh, b = floats(x, prev_h, Wx, Wh, b)
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h: Any, cache: Step) -> Gradients:
    """``(dx, dprev_h, dWx, dWh, db)``."""
    *inputs, next_h = cache
    return _affine_back(dnext_h * (1 - next_h**2), *inputs)


def _affine_back(da: Array, x: Array, prev_h: Array, Wx: Array, Wh: Array) -> Gradients:
    """Gradients of ``a = x @ Wx + prev_h @ Wh + b``."""
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def rnn_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Array, list[Step]]:
    """`rnn_step_forward` at every time of x, N T D, from h0, N H; the result is N T H."""
    x, h, Wx, Wh, b = floats(x, h0, Wx, Wh, b)
    hs, caches = np.empty((*x.shape[:2], h.shape[1]), h.dtype), []
    for t in range(x.shape[1]):
        h, cache = rnn_step_forward(x[:, t], h, Wx, Wh, b)
        hs[:, t] = h
        caches.append(cache)
    return hs, caches


def rnn_backward(dh: Array, cache: Sequence[Step]) -> Gradients:
    """``(dx, dh0, dWx, dWh, db)`` for dh N T H, the gradients of all states."""

    def back(dh: Array, dnext: Sequence[Array], step: Step) -> Any:
        return rnn_step_backward(dh + dnext[0], step)

    return _back_in_time(dh, cache, back, states=1)


def lstm_step_forward(
    x: Any, prev_h: Any, prev_c: Any, Wx: Any, Wh: Any, b: Any
) -> tuple[Array, Array, Step]:
    """One step of an LSTM.

    ::

        a          = x @ Wx + prev_h @ Wh + b              four blocks of H columns: i f o g
        i, f, o, g = sigmoid, sigmoid, sigmoid, tanh of them
        next_c     = f * prev_c + i * g
        next_h     = o * tanh(next_c)

    Parameters
    ----------
    x, prev_h, prev_c, Wx, Wh, b
        Arrays of N D, N H, N H, D 4H, H 4H and 4H.

    Returns
    -------
    next_h, next_c, cache
        The new states, N H each, and what `lstm_step_backward` needs.
    """
    x, prev_h, prev_c, Wx, Wh, b = floats(x, prev_h, prev_c, Wx, Wh, b)
    blocks = np.split(x @ Wx + prev_h @ Wh + b, 4, axis=1)
    i, f, o = (0.5 * (1 + np.tanh(0.5 * a)) for a in blocks[:3])  # sigmoid that cannot overflow
    g = np.tanh(blocks[3])
    next_c = f * prev_c + i * g
    squashed = np.tanh(next_c)
    return o * squashed, next_c, (x, prev_h, Wx, Wh, prev_c, i, f, o, g, squashed)


def lstm_step_backward(dnext_h: Any, dnext_c: Any, cache: Step) -> Step:
    """``(dx, dprev_h, dprev_c, dWx, dWh, db)``."""
    *inputs, prev_c, i, f, o, g, squashed = cache
    dc = dnext_c + dnext_h * o * (1 - squashed**2)
    da = np.concatenate(
        [
            dc * g * i * (1 - i),
            dc * prev_c * f * (1 - f),
            dnext_h * squashed * o * (1 - o),
            dc * i * (1 - g**2),
        ],
        axis=1,
    )
    dx, dprev_h, dWx, dWh, db = _affine_back(da, *inputs)
    return dx, dprev_h, dc * f, dWx, dWh, db


def lstm_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Array, list[Step]]:
    """`lstm_step_forward` at every time of x, N T D, from h0, N H, and c of zeros; gives N T H."""
    x, h, Wx, Wh, b = floats(x, h0, Wx, Wh, b)
    c = np.zeros_like(h)
    hs, caches = np.empty((*x.shape[:2], h.shape[1]), h.dtype), []
    for t in range(x.shape[1]):
        h, c, cache = lstm_step_forward(x[:, t], h, c, Wx, Wh, b)
        hs[:, t] = h
        caches.append(cache)
    return hs, caches


def lstm_backward(dh: Array, cache: Sequence[Step]) -> Gradients:
    """``(dx, dh0, dWx, dWh, db)`` for dh N T H, the gradients of all hidden states."""

    def back(dh: Array, dnext: Sequence[Array], step: Step) -> Any:
        return lstm_step_backward(dh + dnext[0], dnext[1], step)

    return _back_in_time(dh, cache, back, states=2)


def _back_in_time(
    dh: Array,
    caches: Sequence[Step],
    back: Callable[[Array, Sequence[Array], Step], Any],
    *,
    states: int,
) -> Gradients:
    """Steps from the last to the first; gradients of shared arrays add up."""
    x, _, Wx, Wh = caches[0][:4]
    dx = np.empty((*dh.shape[:2], x.shape[1]), x.dtype)
    dnext: Sequence[Array] = [np.zeros_like(dh[:, 0])] * states
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wx[0])
    for t in reversed(range(dh.shape[1])):
        dx[:, t], *dnext, step_dWx, step_dWh, step_db = back(dh[:, t], dnext, caches[t])
        dWx += step_dWx
        dWh += step_dWh
        db += step_db
    return dx, dnext[0], dWx, dWh, db


def word_embedding_forward(x: Any, W: Any) -> tuple[Array, tuple[Array, Array]]:
    """``out = W[x]``: rows of W, V D, for words x, N T; the result is N T D."""
    x, W = np.asarray(x), np.asarray(W)
    return W[x], (x, W)


def word_embedding_backward(dout: Any, cache: tuple[Array, Array]) -> Array:
    """Dw: every row is the sum of the `dout` of its word. Words have no gradient."""
    x, W = cache
    dW = np.zeros_like(W)
    np.add.at(dW, x, dout)
    return dW


def temporal_affine_forward(x: Any, w: Any, b: Any) -> tuple[Array, Cache]:
    """``out = x @ w + b`` at every time of x, N T D; the cache is ``(x, w, b, out)``."""
    steps, weights, bias = floats(x, w, b)
    out, context = ops.linear.forward(steps, weights.T, bias)
    return out, Cache(context, x, w, b, out)


def temporal_affine_backward(dout: Any, cache: Cache) -> tuple[Array, Array, Array]:
    """``(dx, dw, db)``."""
    dx, dw, db = gradients(cache.context, dout)
    return dx, dw.T, db


def temporal_softmax_loss(x: Any, y: Any, mask: Any, verbose: bool = False) -> tuple[float, Array]:
    """Cross-entropy of scores x, N T V, and words y, N T, where mask, N T, is true.

    ::

        loss = sum over n,t of  mask[n,t] * crossentropy(x[n,t], y[n,t]) / N

    so it is a sum over time and a mean over the batch. `verbose` prints the shape of the gradient.
    """
    (x,) = floats(x)
    flat = x.reshape(-1, x.shape[2])
    losses, context = ops.softmax_cross_entropy.forward(flat, np.reshape(y, -1), reduction="none")
    weight = np.reshape(mask, -1).astype(x.dtype) / len(x)
    dx = gradients(context, weight).x
    if verbose:
        print("dx_flat: ", dx.shape)
    return float(np.sum(losses * weight)), dx.reshape(x.shape)
