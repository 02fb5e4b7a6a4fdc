"""What Numba and compiled code share, memory for the time loop, and Numba's backward around it.

Backward is one loop over the steps, which leaves the gradients of the gates before their
activations, and then a few matrix products over all steps and sequences at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fastnn.ops.recurrent.spec import Array, RecurrentCall, given, time_major


class Kernels(NamedTuple):
    """What `run_backward` is made of."""

    backward: Callable[..., None]
    product: Callable[[Array, Array], Array]  # of two matrices, the first perhaps transposed
    column_sums: Callable[[Array], Array]


TAPE = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 5, "gru": 5, "gru_classic": 4}
"""Planes of H numbers that forward keeps per step: gates and the state; see src/recurrent.c."""

GRADIENTS = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 4, "gru_classic": 3}
"""Planes of gates' gradients: of the input's part, then of a recurrent part that differs."""


class Saved(NamedTuple):
    """What forward keeps; x and y are T N ..."""

    x: Array
    w_ih: Array
    w_hh: Array
    start: tuple[Array | None, ...]
    lengths: Array | None
    y: Array
    tape: Array


def run_forward(
    kernel: Callable[..., None],
    padding: int,
    call: RecurrentCall,
    arrays: tuple[Array | None, ...],
    save: bool,
) -> tuple[tuple[Array, ...], Saved | None]:
    """The results, and what backward needs if `save`; planes of the tape are padded."""
    given_x, w_ih, w_hh, b_ih, b_hh, *start, lengths = arrays
    assert given_x is not None and w_ih is not None and w_hh is not None
    x = time_major(call, given_x)
    steps, batch, _, size = call.sizes
    y = np.empty((steps, batch, size), call.dtype)
    states = [np.empty((batch, size), call.dtype) for _ in start]
    width = -(-size // padding) * padding
    tape = np.empty((steps, batch, TAPE[call.cell], width), call.dtype) if save else None
    weights = (x, w_ih, w_hh, b_ih, b_hh)
    h, c = (*states, None)[:2]
    h0, c0 = (*start, None)[:2]
    kernel(call, *weights, h0, c0, lengths, y, h, c, tape)
    saved = None if tape is None else Saved(x, w_ih, w_hh, tuple(start), lengths, y, tape)
    return (time_major(call, y), *states), saved


def run_backward(
    kernels: Kernels,
    call: RecurrentCall,
    saved: Saved,
    dys: tuple[Array | None, ...],
    needs: tuple[str, ...],
) -> tuple[Array | None, ...]:
    """The gradients of the arrays in `needs`."""
    wanted = given(call, needs)
    found: dict[str, Array] = {}
    if wanted:
        steps, batch, _, size = call.sizes
        dg = np.empty((steps, batch, GRADIENTS[call.cell] * size), call.dtype)
        rh = np.empty(saved.y.shape, call.dtype) if call.cell == "gru_classic" else None
        ds = [np.empty((batch, size), call.dtype) for _ in saved.start]
        dy = None if dys[0] is None else time_major(call, dys[0])
        dh, dc = (*dys[1:], None)[:2]
        dh0, dc0 = (*ds, None)[:2]
        kernels.backward(
            call,
            saved.w_hh,
            saved.start[-1],
            saved.lengths,
            saved.tape,
            dy,
            dh,
            dc,
            dg,
            rh,
            dh0,
            dc0,
        )
        found = dict(zip(("h0", "c0"), ds, strict=False))
        found |= _input_gradients(kernels, call, saved, dg, wanted)
        if "w_hh" in wanted:
            found["w_hh"] = _recurrent_gradient(kernels, call, saved, dg, rh)
    names = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "h0", "c0")[: 5 + len(saved.start)]
    return tuple(found[name] if name in wanted else None for name in names)


def _matrix(a: Array) -> Array:
    """T N ... as (T N) ..."""
    return a.reshape(-1, a.shape[2])


def _input_gradients(
    kernels: Kernels, call: RecurrentCall, saved: Saved, dg: Array, wanted: set[str]
) -> dict[str, Array]:
    """Gradients of x, w_ih and both biases: sums over all steps of the gates' gradients."""
    found = {}
    rows = call.gates * call.hidden
    direct = _matrix(dg)[:, :rows]
    if "x" in wanted:
        dx = kernels.product(direct, saved.w_ih).reshape(saved.x.shape)
        found["x"] = time_major(call, dx)
    if "w_ih" in wanted:
        x = saved.x
        if saved.lengths is not None:  # 0 times a NaN beyond a sequence's end would be a NaN
            inside = np.arange(len(x))[:, None] < saved.lengths
            x = np.where(inside[:, :, None], x, x.dtype.type(0))
        found["w_ih"] = np.ascontiguousarray(kernels.product(_matrix(x).T, direct).T)
    if wanted & {"b_ih", "b_hh"}:
        total = kernels.column_sums(_matrix(dg))
        found["b_ih"] = total[:rows].copy()
        found["b_hh"] = np.concatenate([total[columns] for _, columns in _recurrent_rows(call)])
    return found


def _recurrent_rows(call: RecurrentCall) -> Iterator[tuple[slice, slice]]:
    """Rows of w_hh, each with the columns of dg that are the gradients of their products."""
    size = call.hidden
    if call.gates != 3:
        yield slice(0, call.gates * size), slice(0, call.gates * size)
        return
    yield slice(0, 2 * size), slice(0, 2 * size)
    last = GRADIENTS[call.cell] - 1
    yield slice(2 * size, 3 * size), slice(last * size, (last + 1) * size)


def _recurrent_gradient(
    kernels: Kernels, call: RecurrentCall, saved: Saved, dg: Array, rh: Array | None
) -> Array:
    """The gradient of w_hh: products with the states before each step.

    They are made transposed, the narrower matrix first: 2.5 times as fast for H=128, as less of
    them is packed row by row.
    """
    dw = np.empty_like(saved.w_hh)
    later, earlier = (dg[:-1], saved.y[1:]) if call.reverse else (dg[1:], saved.y[:-1])
    for rows, columns in _recurrent_rows(call):
        if rh is not None and rows.start > 0:
            dw[rows] = kernels.product(_matrix(rh).T, _matrix(dg)[:, columns]).T
            continue
        # y is 0 beyond a sequence's end, so a reverse one's first step adds nothing here
        if len(later):
            dw[rows] = kernels.product(_matrix(earlier).T, _matrix(later)[:, columns]).T
        else:
            dw[rows] = 0
        if saved.start[0] is not None:
            dw[rows] += kernels.product(saved.start[0].T, _first(call, saved, dg)[:, columns]).T
    return dw


def _first(call: RecurrentCall, saved: Saved, dg: Array) -> Array:
    """The gates' gradients at each sequence's first step; there are none, 0, for length 0."""
    if not call.reverse:
        return np.ascontiguousarray(dg[0])
    if saved.lengths is None:
        return np.ascontiguousarray(dg[-1])
    first: Array = dg[saved.lengths - 1, np.arange(len(saved.lengths))]
    return first
