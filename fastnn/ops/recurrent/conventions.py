"""Other libraries' layouts of recurrent weights, to and from the one of `fastnn.lstm` and PyTorch.

A layout is an order of gates, the axes of the matrices and the number of biases:

======== ============= ============= ==========================================================
library  LSTM          GRU           arrays
======== ============= ============= ==========================================================
PyTorch  i f g o       r z n         w_ih (G*H, I), w_hh (G*H, H), b_ih and b_hh (G*H)
Keras    i f c o       z r h         kernel (I, G*H), recurrent_kernel (H, G*H), bias (G*H); for
                                     GRU with reset_after (2, 3*H)
CS231n   i f o g       none          Wx (D, G*H), Wh (H, G*H), b (G*H)
ONNX     i o f c       z r h         W (1, G*H, I), R (1, G*H, H), B (1, 2*G*H)
======== ============= ============= ==========================================================

c, g and h, n are other letters for the same gates. Where a layout has one bias, it is the sum of
both; the way back puts it into b_ih and zeros into b_hh.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.errors import OptionError, ShapeError

Array = np.ndarray[Any, Any]

ORDERS = {
    "torch": {"rnn": "h", "lstm": "ifgo", "gru": "rzn"},
    "keras": {"rnn": "h", "lstm": "ifgo", "gru": "zrn"},
    "cs231n": {"rnn": "h", "lstm": "ifog"},
    "onnx": {"rnn": "h", "lstm": "iofg", "gru": "zrn"},
}
"""The order of gates per library and cell, in PyTorch's letters."""


class Weights(NamedTuple):
    """One layer's weights in the layout of `fastnn.lstm`: ``fastnn.lstm(x, *weights)``."""

    w_ih: Array
    w_hh: Array
    b_ih: Array | None = None
    b_hh: Array | None = None


def _blocks(cell: str, library: str, to_torch: bool) -> list[int]:
    """Which block of the source goes where: target block k is source block result[k]."""
    if cell not in ORDERS[library]:
        raise OptionError(f"conventions: cell={cell!r}; {library} has {', '.join(ORDERS[library])}")
    ours, theirs = ORDERS["torch"][cell], ORDERS[library][cell]
    source, target = (theirs, ours) if to_torch else (ours, theirs)
    return [source.index(letter) for letter in target]


def _moved(a: Array, blocks: list[int]) -> Array:
    """`a` with the blocks of its first axis in another order; always a copy."""
    if len(a) % len(blocks):
        raise ShapeError(
            f"conventions: an array has {len(a)} rows; they must be a multiple of {len(blocks)}, "
            "the number of gates"
        )
    parts = a.reshape(len(blocks), -1, *a.shape[1:])
    return np.ascontiguousarray(parts[blocks]).reshape(a.shape)


def _summed(weights: Weights) -> Array | None:
    """The sum of the biases that there are."""
    there = [b for b in (weights.b_ih, weights.b_hh) if b is not None]
    return None if not there else np.sum(there, axis=0, dtype=there[0].dtype)


def _both(weights: Weights) -> tuple[Array, Array] | None:
    """Both biases, zeros for one that is not there."""
    if weights.b_ih is None and weights.b_hh is None:
        return None
    zeros = np.zeros(len(weights.w_ih), weights.w_ih.dtype)
    return (
        zeros if weights.b_ih is None else weights.b_ih,
        zeros if weights.b_hh is None else weights.b_hh,
    )


def _from_columns(cell: str, library: str, arrays: Sequence[Array]) -> Weights:
    """From matrices with a column per gate's unit and one bias, or two in rows."""
    blocks = _blocks(cell, library, True)
    w_ih, w_hh, *rest = (np.asarray(a) for a in arrays)
    biases: list[Array] = []
    if rest:
        two = rest[0] if rest[0].ndim == 2 else np.stack([rest[0], np.zeros_like(rest[0])])
        biases = [_moved(b, blocks) for b in two]
    return Weights(_moved(w_ih.T, blocks), _moved(w_hh.T, blocks), *biases)


def _to_columns(
    cell: str, library: str, weights: Sequence[Array | None], two: bool
) -> tuple[Array, ...]:
    """The way back; `two` biases in rows, or their sum."""
    blocks = _blocks(cell, library, False)
    known = Weights(*weights)  # type: ignore[arg-type]
    matrices = [np.ascontiguousarray(_moved(w, blocks).T) for w in known[:2] if w is not None]
    if two:
        both = _both(known)
        return (
            *matrices,
            *(() if both is None else (np.stack([_moved(b, blocks) for b in both]),)),
        )
    bias = _summed(known)
    return (*matrices, *(() if bias is None else (_moved(bias, blocks),)))


def from_keras(cell: str, arrays: Sequence[Array]) -> Weights:
    """Weights from ``layer.get_weights()`` of Keras' SimpleRNN, LSTM or GRU.

    Parameters
    ----------
    cell
        ``"rnn"``, ``"lstm"`` or ``"gru"``.
    arrays
        kernel, recurrent_kernel and, if there is one, bias; 2 3H for a GRU with reset_after.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.ops.recurrent.conventions import from_keras
    >>> kernel, recurrent, bias = np.ones((5, 6)), np.ones((2, 6)), np.arange(6.0)
    >>> from_keras("gru", [kernel, recurrent, bias]).b_ih  # z r h becomes r z n
    array([2., 3., 0., 1., 4., 5.])
    """
    return _from_columns(cell, "keras", arrays)


def to_keras(
    cell: str, weights: Sequence[Array | None], *, reset_after: bool = True
) -> tuple[Array, ...]:
    """What ``layer.set_weights`` of Keras takes, from PyTorch's w_ih, w_hh and biases."""
    return _to_columns(cell, "keras", weights, cell == "gru" and reset_after)


def from_cs231n(cell: str, arrays: Sequence[Array]) -> Weights:
    """Weights from CS231n's Wx, Wh and b of ``rnn_forward`` or ``lstm_forward``."""
    return _from_columns(cell, "cs231n", arrays)


def to_cs231n(cell: str, weights: Sequence[Array | None]) -> tuple[Array, ...]:
    """CS231n's Wx, Wh and b from PyTorch's w_ih, w_hh and biases."""
    return _to_columns(cell, "cs231n", weights, False)


def from_onnx(cell: str, arrays: Sequence[Array]) -> Weights:
    """Weights from W, R and, if it is there, B of ONNX' RNN, LSTM or GRU with one direction.

    A GRU with ``linear_before_reset=1`` is ``reset_after=True``.
    """
    blocks = _blocks(cell, "onnx", True)
    w, r, *rest = (np.asarray(a) for a in arrays)
    if len(w) != 1 or w.ndim != 3:
        raise ShapeError(f"conventions: W has shape {w.shape}; it must be 1 G*H I, one direction")
    biases = [_moved(b, blocks) for b in rest[0].reshape(2, -1)] if rest else []
    return Weights(_moved(w[0], blocks), _moved(r[0], blocks), *biases)


def to_onnx(cell: str, weights: Sequence[Array | None]) -> tuple[Array, ...]:
    """ONNX' W, R and, if there are biases, B, from PyTorch's w_ih, w_hh and biases."""
    blocks = _blocks(cell, "onnx", False)
    known = Weights(*weights)  # type: ignore[arg-type]
    both = _both(known)
    matrices = (_moved(known.w_ih, blocks)[None], _moved(known.w_hh, blocks)[None])
    if both is None:
        return matrices
    return (*matrices, np.concatenate([_moved(b, blocks) for b in both])[None])
