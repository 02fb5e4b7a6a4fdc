"""Recurrent layers, jitted: a task runs all steps of one sequence.

The cell is a number, known only inside `_activate` and `_deactivate`; the loops over steps are the
same for all. Weights are transposed first, so that inner loops run along contiguous gates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.recurrent.spec import GATES, Array, RecurrentCall
from fastnn.ops.recurrent.through_time import Kernels, run_backward, run_forward

_CELL = {name: i for i, name in enumerate(GATES)}
TANH, RELU, LSTM, GRU, CLASSIC = range(5)
BLOCK = 256  # a chain of float32 additions stays this short


@_jit.helper
def _sigmoid(a):  # type: ignore[no-untyped-def]
    e = np.exp(-abs(a))
    return e / (1 + e) if a < 0 else 1 / (1 + e)


@_jit.helper
def _add_product(to, v, w, first, last):  # type: ignore[no-untyped-def]
    """to[j] += sum over i of v[i] * w[i, j] for j in first .. last."""
    for i in range(v.size):
        factor, row = v[i], w[i, first:last]
        for j in range(row.size):  # from 0 on: other indices might be negative, hence no vectors
            to[j] += factor * row[j]


@_jit.helper
def _activate(cell, g, a, u, h, c, w_hh):  # type: ignore[no-untyped-def]
    """Gates of one step on the tape row g[plane, H] and the next states h and c.

    `a` is the input's part of the gates, `u` the recurrent one without the last gate of the classic
    GRU, whose product comes after the reset.
    """
    n = h.size
    if cell == LSTM:
        for j in range(n):
            g[0, j] = _sigmoid(a[j] + u[j])
            g[1, j] = _sigmoid(a[n + j] + u[n + j])
            g[2, j] = np.tanh(a[2 * n + j] + u[2 * n + j])
            g[3, j] = _sigmoid(a[3 * n + j] + u[3 * n + j])
            c[j] = g[1, j] * c[j] + g[0, j] * g[2, j]
            g[4, j] = c[j]
            h[j] = g[3, j] * np.tanh(c[j])
    elif cell == GRU or cell == CLASSIC:
        for j in range(n):
            g[0, j] = _sigmoid(a[j] + u[j])
            g[1, j] = _sigmoid(a[n + j] + u[n + j])
        if cell == CLASSIC:
            for j in range(n):
                u[j] = g[0, j] * h[j]
            _add_product(u[2 * n :], u[:n], w_hh, 2 * n, 3 * n)
        for j in range(n):
            if cell == GRU:
                g[3, j] = u[2 * n + j]
                g[2, j] = np.tanh(a[2 * n + j] + g[0, j] * u[2 * n + j])
            else:
                g[2, j] = np.tanh(a[2 * n + j] + u[2 * n + j])
            h[j] = (1 - g[1, j]) * g[2, j] + g[1, j] * h[j]
            g[-1, j] = h[j]
    else:
        for j in range(n):
            s = a[j] + u[j]
            if cell == TANH:
                s = np.tanh(s)
            elif s <= 0:
                s = 0 * a.dtype.type(1)
            g[0, j] = s
            h[j] = s


@_jit.helper
def _deactivate(cell, g, before, d, dh, dc, rh, w_hh):  # type: ignore[no-untyped-def]
    """Gradients d of the gates' sums; dh and dc become those before the step.

    As far as they do not go through the recurrent product, but for the classic GRU's last gate.
    """
    n = dh.size
    if cell == LSTM:
        for j in range(n):
            u = np.tanh(g[4, j])
            down = dc[j] + dh[j] * g[3, j] * (1 - u * u)
            d[j] = down * g[2, j] * g[0, j] * (1 - g[0, j])
            d[n + j] = down * before[j] * g[1, j] * (1 - g[1, j])
            d[2 * n + j] = down * g[0, j] * (1 - g[2, j] * g[2, j])
            d[3 * n + j] = dh[j] * u * g[3, j] * (1 - g[3, j])
            dc[j] = down * g[1, j]
            dh[j] = 0
    elif cell == GRU or cell == CLASSIC:
        for j in range(n):
            dn = dh[j] * (1 - g[1, j]) * (1 - g[2, j] * g[2, j])
            d[2 * n + j] = dn
            d[n + j] = dh[j] * (before[j] - g[2, j]) * g[1, j] * (1 - g[1, j])
            if cell == GRU:
                d[3 * n + j] = dn * g[0, j]
                d[j] = dn * g[3, j] * g[0, j] * (1 - g[0, j])
            dh[j] *= g[1, j]
        if cell == CLASSIC:
            for j in range(n):
                rh[j] = 0
            _add_product(rh, d[2 * n :], w_hh[2 * n :], 0, n)
            for j in range(n):
                d[j] = rh[j] * before[j] * g[0, j] * (1 - g[0, j])
                dh[j] += rh[j] * g[0, j]
                rh[j] = g[0, j] * before[j]
    else:
        for j in range(n):
            if cell == TANH:
                d[j] = dh[j] * (1 - g[0, j] * g[0, j])
            else:
                d[j] = 0 * dh[j] if g[0, j] <= 0 else dh[j]
            dh[j] = 0


@_jit.kernel
def forward_kernel(cell, reverse, x, w_ih, w_hh, b_ih, b_hh, lengths, y, h, c, tape):  # type: ignore[no-untyped-def]
    """All steps; weights come transposed, h and c hold the first states, `tape` may be empty."""
    steps, batch, _ = x.shape
    size, columns = w_hh.shape
    early = columns - size if cell == CLASSIC else columns
    for n in prange(batch):
        a, u = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
        aside = np.empty(tape.shape[2:], x.dtype)
        for step in range(steps):
            t = steps - 1 - step if reverse else step
            if t >= lengths[n]:
                y[t, n] = 0
                continue
            a[:], u[:] = b_ih, b_hh
            _add_product(a, x[t, n], w_ih, 0, columns)
            _add_product(u, h[n], w_hh, 0, early)
            g = tape[t, n] if tape.shape[0] > 0 else aside
            _activate(cell, g, a, u, h[n], c[n], w_hh)
            y[t, n] = h[n]


@_jit.kernel
def backward_kernel(cell, reverse, w_hh, start, lengths, tape, dy, dh, dc, dg, rh):  # type: ignore[no-untyped-def]
    """Back through all steps; dh and dc become the initial states' gradients, dy may be empty."""
    steps, batch = dg.shape[:2]
    size = dh.shape[1]
    early = w_hh.shape[0] - size if cell == CLASSIC or cell == GRU else w_hh.shape[0]
    for n in prange(batch):
        for step in range(steps - 1, -1, -1):
            t = steps - 1 - step if reverse else step
            d, r = dg[t, n], rh[t % rh.shape[0], n]
            if t >= lengths[n]:
                d[:] = 0
                r[:] = 0
                continue
            if dy.shape[0] > 0:
                dh[n] += dy[t, n]
            first = t == lengths[n] - 1 if reverse else t == 0
            before = start[n] if first else tape[t + 1 if reverse else t - 1, n, -1]
            _deactivate(cell, tape[t, n], before, d, dh[n], dc[n], r, w_hh)
            _add_product(dh[n], d[:early], w_hh, 0, size)
            if cell == GRU:
                _add_product(dh[n], d[3 * size :], w_hh[2 * size :], 0, size)


@_jit.kernel
def product_kernel(a, b, c):  # type: ignore[no-untyped-def]
    """c = a b. Sums in blocks, added up in float64."""
    rows, depth = a.shape
    columns = b.shape[1]
    for i in prange(rows):
        total = np.zeros(columns)
        block = np.empty(columns, c.dtype)
        for k0 in range(0, depth, BLOCK):
            block[:] = 0
            for k in range(k0, min(k0 + BLOCK, depth)):
                for j in range(columns):
                    block[j] += a[i, k] * b[k, j]
            total += block
        c[i] = total


@_jit.kernel
def column_sums_kernel(a, total):  # type: ignore[no-untyped-def]
    """total[j] = sum of a[:, j], in float64."""
    for j in prange(a.shape[1]):
        s = 0.0
        for i in range(a.shape[0]):
            s += a[i, j]
        total[j] = s


def _one_type(a: Array) -> Array:
    """`a` contiguous and writable: for others Numba would compile other code, with other bits."""
    return np.require(a, requirements=["C", "W"])


def _whole(call: RecurrentCall, lengths: Array | None) -> Array:
    return np.full(call.sizes[1], call.sizes[0]) if lengths is None else _one_type(lengths)


def _states(call: RecurrentCall, value: Array | None) -> Array:
    """Rows N H to start from, or zeros."""
    shape = (call.sizes[1], call.hidden)
    return np.zeros(shape, call.dtype) if value is None else np.array(value)


def _run_forward(  # type: ignore[no-untyped-def]
    call, x, w_ih, w_hh, b_ih, b_hh, h0, c0, lengths, y, h, c, tape
):
    none = np.zeros(len(w_hh), call.dtype)
    own_h, own_c = _states(call, h0), _states(call, c0)
    if tape is None:
        tape = np.empty((0, 0, 5, call.hidden), call.dtype)
    transposed = _one_type(w_ih.T), _one_type(w_hh.T)
    biases = (none if b is None else _one_type(b) for b in (b_ih, b_hh))
    _jit.launch(
        forward_kernel,
        _CELL[call.cell],
        call.reverse,
        _one_type(x),
        *transposed,
        *biases,
        _whole(call, lengths),
        y,
        own_h,
        own_c,
        tape,
    )
    h[...] = own_h
    if c is not None:
        c[...] = own_c


def _run_backward(  # type: ignore[no-untyped-def]
    call, w_hh, start, lengths, tape, dy, dh, dc, dg, rh, dh0, dc0
):
    _, batch, _, size = call.sizes
    own_h, own_c = _states(call, dh), _states(call, dc)
    _jit.launch(
        backward_kernel,
        _CELL[call.cell],
        call.reverse,
        _one_type(w_hh),
        _states(call, start),
        _whole(call, lengths),
        tape,
        np.empty((0, batch, size), call.dtype) if dy is None else _one_type(dy),
        own_h,
        own_c,
        dg,
        np.empty((1, batch, size), call.dtype) if rh is None else rh,
    )
    dh0[...] = own_h
    if dc0 is not None:
        dc0[...] = own_c


def _product(a: Array, b: Array) -> Array:
    c = np.empty((a.shape[0], b.shape[1]), b.dtype)
    _jit.launch(product_kernel, _one_type(a), _one_type(b), c)  # copies are small beside it
    return c


def _column_sums(a: Array) -> Array:
    total = np.empty(a.shape[1], a.dtype)
    _jit.launch(column_sums_kernel, a, total)
    return total


_KERNELS = Kernels(_run_backward, _product, _column_sums)


def _forward(
    call: RecurrentCall, *arrays: Array | None, out: Array | None, save: bool
) -> tuple[tuple[Array, ...], Any]:
    return run_forward(_run_forward, 1, call, arrays, save)


def _backward(
    call: RecurrentCall, saved: Any, dys: tuple[Array | None, ...], needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    return run_backward(_KERNELS, call, saved, dys, needs)


rnn_forward = lstm_forward = gru_forward = _forward
rnn_backward = lstm_backward = gru_backward = _backward
