"""Recurrent layers, compiled: a task runs all steps of some sequences, rows of its products."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _linear, _recurrent
from fastnn.ops.recurrent.spec import GATES, Array, RecurrentCall
from fastnn.ops.recurrent.through_time import Kernels, run_backward, run_forward

_CELL = {name: i for i, name in enumerate(GATES)}


def _product(a: Array, b: Array) -> Array:
    c = np.empty((a.shape[0], b.shape[1]), b.dtype)
    _linear.gemm(a, b, None, c)
    return c


def _column_sums(a: Array) -> Array:
    total = np.empty(a.shape[1], a.dtype)
    _linear.column_sums(a, total)
    return total


_KERNELS = Kernels(
    lambda call, *arrays: _recurrent.forward(call, _CELL[call.cell], *arrays),
    lambda call, *arrays: _recurrent.backward(call, _CELL[call.cell], *arrays),
    _product,
    _column_sums,
    padding=16,
)


def _forward(
    call: RecurrentCall, *arrays: Array | None, out: Array | None, save: bool
) -> tuple[tuple[Array, ...], Any]:
    return run_forward(_KERNELS, call, arrays, save)


def _backward(
    call: RecurrentCall, saved: Any, dys: tuple[Array | None, ...], needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    return run_backward(_KERNELS, call, saved, dys, needs)


rnn_forward = lstm_forward = gru_forward = _forward
rnn_backward = lstm_backward = gru_backward = _backward
