"""Recurrent layers as their formulas say, step by step, in float64; backward through all steps.

The loops over the steps are here once. A cell is two functions: `forward` makes the next states
from the input's part of the gates, `backward` turns gradients of the next states into gradients of
the gates before their activations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastnn._check import wide, wide_dtype
from fastnn.ops.recurrent.spec import Array, RecurrentCall, given, time_major


def _sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), by the sign of a, so that no exponential overflows."""
    negative = a.real < 0
    e = np.exp(np.where(negative, a, -a))
    result: Array = np.where(negative, e, 1) / (1 + e)
    return result


def _product(v: Array, w: Array) -> Array:
    """sum over k of w[j,k] * v[n,k]: no matrix product, whose bits would depend on N."""
    result: Array = np.sum(v[:, None] * np.ascontiguousarray(w), axis=2)
    return result


class _Hidden:
    """The recurrent product, of gates `first` to `last`, and the way back through it."""

    def __init__(self, call: RecurrentCall, w_hh: Array, b_hh: Array | None) -> None:
        kind = wide_dtype(call.dtype)
        self.size, self.w = call.hidden, wide(w_hh)
        self.b = np.zeros(len(w_hh), kind) if b_hh is None else wide(b_hh)
        self.dw, self.db = np.zeros(w_hh.shape), np.zeros(len(w_hh))

    def __call__(self, h: Array, first: int, last: int) -> Array:
        """One array per gate: w_hh h + b_hh."""
        rows = slice(first * self.size, last * self.size)
        return _split(_product(h, self.w[rows]) + self.b[rows], last - first)

    def back(self, d: Array, h: Array, first: int, last: int) -> Array:
        """The gradient of h; adds to those of w_hh and b_hh."""
        rows = slice(first * self.size, last * self.size)
        self.dw[rows] += d.T @ h
        self.db[rows] += d.sum(axis=0)
        return _product(d, self.w[rows].T)


def _split(a: Array, gates: int) -> Array:
    """N (gates H) as gates N H."""
    return np.moveaxis(a.reshape(len(a), gates, a.shape[1] // gates), 1, 0)


class _Cell(Protocol):
    """Gates and states of one kind of layer; `before` and `after` are lists of states N H."""

    def forward(
        self, a: Array, before: list[Array], hidden: _Hidden
    ) -> tuple[list[Array], tuple[Array, ...]]:
        """The states after a step from the input's part `a` of the gates, and what to keep."""

    def backward(
        self, kept: tuple[Array, ...], before: list[Array], d: list[Array], hidden: _Hidden
    ) -> tuple[Array, list[Array]]:
        """Gradients of `a` as N (gates H), and of the states before the step."""


class _Rnn(_Cell):
    def __init__(self, relu: bool) -> None:
        self.relu = relu

    def forward(self, a, before, hidden):  # type: ignore[no-untyped-def]
        (p,) = a + hidden(before[0], 0, 1)
        h = np.where(p.real <= 0, 0, p) if self.relu else np.tanh(p)
        return [h], (h,)

    def backward(self, kept, before, d, hidden):  # type: ignore[no-untyped-def]
        (h,) = kept
        da = np.where(h <= 0, 0, d[0]) if self.relu else d[0] * (1 - h**2)
        return da, [hidden.back(da, before[0], 0, 1)]


class _Lstm(_Cell):
    def forward(self, a, before, hidden):  # type: ignore[no-untyped-def]
        h, c = before
        i, f, g, o = a + hidden(h, 0, 4)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        c = f * c + i * g
        return [o * np.tanh(c), c], (i, f, g, o, np.tanh(c))

    def backward(self, kept, before, d, hidden):  # type: ignore[no-untyped-def]
        (i, f, g, o, u), (h, c), (dh, dc) = kept, before, d
        dc = dc + dh * o * (1 - u**2)
        gates = (
            dc * g * i * (1 - i),
            dc * c * f * (1 - f),
            dc * i * (1 - g**2),
            dh * u * o * (1 - o),
        )
        da = np.concatenate(gates, axis=1)
        return da, [hidden.back(da, h, 0, 4), dc * f]


class _Gru(_Cell):
    def forward(self, a, before, hidden):  # type: ignore[no-untyped-def]
        (h,) = before
        r, z = a[:2] + hidden(h, 0, 2)
        r, z = _sigmoid(r), _sigmoid(z)
        (q,) = hidden(h, 2, 3)
        n = np.tanh(a[2] + r * q)
        return [(1 - z) * n + z * h], (r, z, n, q)

    def backward(self, kept, before, d, hidden):  # type: ignore[no-untyped-def]
        (r, z, n, q), (h,), (dh,) = kept, before, d
        dn = dh * (1 - z) * (1 - n**2)
        gates = np.concatenate((dn * q * r * (1 - r), dh * (h - n) * z * (1 - z)), axis=1)
        back = hidden.back(gates, h, 0, 2) + hidden.back(dn * r, h, 2, 3)
        return np.concatenate((gates, dn), axis=1), [dh * z + back]


class _GruClassic(_Cell):
    def forward(self, a, before, hidden):  # type: ignore[no-untyped-def]
        (h,) = before
        r, z = a[:2] + hidden(h, 0, 2)
        r, z = _sigmoid(r), _sigmoid(z)
        (q,) = hidden(r * h, 2, 3)
        n = np.tanh(a[2] + q)
        return [(1 - z) * n + z * h], (r, z, n)

    def backward(self, kept, before, d, hidden):  # type: ignore[no-untyped-def]
        (r, z, n), (h,), (dh,) = kept, before, d
        dn = dh * (1 - z) * (1 - n**2)
        drh = hidden.back(dn, r * h, 2, 3)
        gates = np.concatenate((drh * h * r * (1 - r), dh * (h - n) * z * (1 - z)), axis=1)
        back = hidden.back(gates, h, 0, 2)
        return np.concatenate((gates, dn), axis=1), [dh * z + drh * r + back]


CELLS = {
    "rnn_tanh": _Rnn(relu=False),
    "rnn_relu": _Rnn(relu=True),
    "lstm": _Lstm(),
    "gru": _Gru(),
    "gru_classic": _GruClassic(),
}


def _steps(call: RecurrentCall, lengths: Array | None) -> Iterator[tuple[int, Array]]:
    """Every step t with the sequences that have it, in the order of the layer's direction."""
    steps, batch, _, _ = call.sizes
    last = np.full(batch, steps) if lengths is None else lengths
    for t in reversed(range(steps)) if call.reverse else range(steps):
        yield t, np.flatnonzero(t < last)


class _Saved(NamedTuple):
    x: Array
    w_ih: Array
    hidden: tuple[Array, Array | None]
    tape: list[tuple[int, Array, list[Array], tuple[Array, ...]]]


def _forward(
    call: RecurrentCall, *arrays: Array | None, out: Array | None, save: bool
) -> tuple[tuple[Array, ...], Any]:
    x, w_ih, w_hh, b_ih, b_hh, *start, lengths = arrays
    assert x is not None and w_ih is not None and w_hh is not None
    steps, batch, _, size = call.sizes
    kind = wide_dtype(call.dtype)
    hidden, cell = _Hidden(call, w_hh, b_hh), CELLS[call.cell]
    xs, w, b = wide(time_major(call, x)), wide(w_ih), 0 if b_ih is None else b_ih
    states = [np.zeros((batch, size), kind) if s is None else wide(s) for s in start]
    y, tape = np.zeros((steps, batch, size), kind), []
    for t, on in _steps(call, lengths):
        before = [s[on] for s in states]
        after, kept = cell.forward(_split(_product(xs[t, on], w) + b, call.gates), before, hidden)
        for state, new in zip(states, after, strict=True):
            state[on] = new
        y[t, on] = after[0]
        tape.append((t, on, before, kept))
    results = [a.astype(call.dtype) for a in (time_major(call, y), *states)]
    return tuple(results), _Saved(x, w_ih, (w_hh, b_hh), tape) if save else None


def _backward(
    call: RecurrentCall, saved: Any, dys: tuple[Array | None, ...], needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    steps, batch, _, size = call.sizes
    hidden, cell = _Hidden(call, *saved.hidden), CELLS[call.cell]
    xs, w = wide(time_major(call, saved.x)), wide(saved.w_ih)
    dy = np.zeros((steps, batch, size)) if dys[0] is None else time_major(call, dys[0])
    states = [np.zeros((batch, size)) if d is None else wide(d) for d in dys[1:]]
    dx, dw, db = np.zeros(xs.shape), np.zeros(w.shape), np.zeros(len(w))
    for t, on, before, kept in reversed(saved.tape):
        d = [s[on] for s in states]
        d[0] = d[0] + dy[t, on]
        da, d = cell.backward(kept, before, d, hidden)
        for state, new in zip(states, d, strict=True):
            state[on] = new
        dx[t, on] = _product(da, w.T)
        dw += da.T @ xs[t, on]
        db += da.sum(axis=0)
    wanted = given(call, needs)
    names = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "h0", "c0")
    values = (time_major(call, dx), dw, hidden.dw, db, hidden.db, *states)
    return tuple(
        a.astype(call.dtype) if name in wanted else None
        for name, a in zip(names, values, strict=False)
    )


rnn_forward = lstm_forward = gru_forward = _forward
rnn_backward = lstm_backward = gru_backward = _backward
