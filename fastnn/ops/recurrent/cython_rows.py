"""Recurrent layers, compiled: a task runs all steps of some sequences, rows of its products."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _recurrent
from fastnn.ops.recurrent.spec import GATES, Array, RecurrentCall, given, time_major
from fastnn.ops.recurrent.through_time import Saved, run_forward

_CELL = {name: i for i, name in enumerate(GATES)}
_PADDING = 16  # a plane of the tape is a multiple of this


def _run(call: RecurrentCall, *arrays: Array | None) -> None:
    _recurrent.forward(call, _CELL[call.cell], *arrays)


def _forward(
    call: RecurrentCall, *arrays: Array | None, out: Array | None, save: bool
) -> tuple[tuple[Array, ...], Any]:
    return run_forward(_run, _PADDING, call, arrays, save)


def _backward(
    call: RecurrentCall, saved: Saved, dys: tuple[Array | None, ...], needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    wanted = given(call, needs)
    steps, batch, inputs, size = call.sizes
    rows, state = call.gates * size, (batch, size)
    shapes: dict[str, tuple[int, ...]] = {
        "x": (steps, batch, inputs),
        "w_ih": (rows, inputs),
        "w_hh": (rows, size),
        "b_ih": (rows,),
        "b_hh": (rows,),
        "h0": state,
    }
    if len(saved.start) > 1:
        shapes["c0"] = state
    grads = [
        np.empty(shape, call.dtype) if name in wanted or shape is state else None
        for name, shape in shapes.items()
    ]
    h0, c0 = (*saved.start, None)[:2]
    arrays = (saved.x, saved.w_ih, saved.w_hh, h0, c0, saved.lengths, saved.y, saved.tape)
    dy = None if dys[0] is None else time_major(call, dys[0])
    _recurrent.backward(call, _CELL[call.cell], *arrays, (dy, *dys[1:]), grads)
    if grads[0] is not None:
        grads[0] = time_major(call, grads[0])
    return tuple(g if name in wanted else None for name, g in zip(shapes, grads, strict=True))


rnn_forward = lstm_forward = gru_forward = _forward
rnn_backward = lstm_backward = gru_backward = _backward
