"""Layouts of other libraries: round trips, and each against a cell written in that convention."""

import numpy as np
import pytest

import fastnn
from fastnn.errors import OptionError, ShapeError
from fastnn.ops.recurrent import conventions

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
T, N, D, H = 4, 3, 5, 2
RNG = np.random.default_rng(0)
X = RNG.standard_normal((T, N, D))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def arrays(library, cell, *, bias=True, reset_after=True):
    """Random weights in a library's own shapes."""
    g = GATES[cell]
    if library == "onnx":
        shapes = [(1, g * H, D), (1, g * H, H), (1, 2 * g * H)]
    else:
        two = library == "keras" and cell == "gru" and reset_after
        shapes = [(D, g * H), (H, g * H), (2, 3 * H) if two else (g * H,)]
    return [RNG.standard_normal(s) for s in shapes[: 2 + bias]]


def run(library, cell, given, **options):
    weights = getattr(conventions, f"from_{library}")(cell, given)
    return getattr(fastnn, cell)(X, *weights, backend="naive", **options).y


def keras_step(cell, x, h, c, kernel, recurrent, bias, reset_after):
    """Keras' cells: SimpleRNN, LSTM with i f c o, GRU with z r h."""
    if cell == "rnn":
        return np.tanh(x @ kernel + bias + h @ recurrent), c
    if cell == "lstm":
        z = x @ kernel + h @ recurrent + bias
        i, f, new, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
        return sigmoid(o) * np.tanh(c), c
    if reset_after:
        xz, xr, xh = np.split(x @ kernel + bias[0], 3, axis=1)
        hz, hr, hh = np.split(h @ recurrent + bias[1], 3, axis=1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        new = np.tanh(xh + r * hh)
    else:
        xz, xr, xh = np.split(x @ kernel + bias, 3, axis=1)
        z = sigmoid(xz + h @ recurrent[:, :H])
        r = sigmoid(xr + h @ recurrent[:, H : 2 * H])
        new = np.tanh(xh + (r * h) @ recurrent[:, 2 * H :])
    return z * h + (1 - z) * new, c


def cs231n_step(cell, x, h, c, wx, wh, b):
    """rnn_step_forward and lstm_step_forward of CS231n, gates i f o g."""
    a = x @ wx + h @ wh + b
    if cell == "rnn":
        return np.tanh(a), c
    i, f, o = (sigmoid(a[:, k * H : (k + 1) * H]) for k in range(3))
    c = f * c + i * np.tanh(a[:, 3 * H :])
    return o * np.tanh(c), c


def onnx_step(cell, x, h, c, w, r, b, reset_after):
    """The equations of ONNX' operators RNN, LSTM (i o f c) and GRU (z r h)."""
    w, r, (wb, rb) = w[0], r[0], b[0].reshape(2, -1)
    if cell == "rnn":
        return np.tanh(x @ w.T + h @ r.T + wb + rb), c
    if cell == "lstm":
        i, o, f, new = np.split(x @ w.T + h @ r.T + wb + rb, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
        return sigmoid(o) * np.tanh(c), c
    wz, wr, wh = np.split(w, 3)
    rz, rr, rh = np.split(r, 3)
    (wbz, wbr, wbh), (rbz, rbr, rbh) = np.split(wb, 3), np.split(rb, 3)
    z = sigmoid(x @ wz.T + h @ rz.T + rbz + wbz)
    reset = sigmoid(x @ wr.T + h @ rr.T + rbr + wbr)
    if reset_after:
        new = np.tanh(x @ wh.T + reset * (h @ rh.T + rbh) + wbh)
    else:
        new = np.tanh(x @ wh.T + (reset * h) @ rh.T + rbh + wbh)
    return (1 - z) * new + z * h, c


def loop(step, cell, given, *more):
    h, c, y = np.zeros((N, H)), np.zeros((N, H)), []
    for x in X:
        h, c = step(cell, x, h, c, *given, *more)
        y.append(h)
    return np.stack(y)


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("cell", GATES)
def test_keras(cell, reset_after):
    given = arrays("keras", cell, reset_after=reset_after)
    options = {"reset_after": reset_after} if cell == "gru" else {}
    want = loop(keras_step, cell, given, reset_after)
    np.testing.assert_allclose(run("keras", cell, given, **options), want, rtol=1e-12, atol=1e-14)
    back = conventions.to_keras(cell, conventions.from_keras(cell, given), reset_after=reset_after)
    assert all(np.array_equal(a, b) for a, b in zip(given, back, strict=True))


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_cs231n(cell):
    given = arrays("cs231n", cell)
    want = loop(cs231n_step, cell, given)
    np.testing.assert_allclose(run("cs231n", cell, given), want, rtol=1e-12, atol=1e-14)
    back = conventions.to_cs231n(cell, conventions.from_cs231n(cell, given))
    assert all(np.array_equal(a, b) for a, b in zip(given, back, strict=True))


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("cell", GATES)
def test_onnx(cell, reset_after):
    given = arrays("onnx", cell)
    options = {"reset_after": reset_after} if cell == "gru" else {}
    want = loop(onnx_step, cell, given, reset_after)
    np.testing.assert_allclose(run("onnx", cell, given, **options), want, rtol=1e-12, atol=1e-14)
    back = conventions.to_onnx(cell, conventions.from_onnx(cell, given))
    assert all(np.array_equal(a, b) for a, b in zip(given, back, strict=True))


@pytest.mark.parametrize("library", ["keras", "cs231n", "onnx"])
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("biases", [0, 1, 2])
def test_from_our_layout_and_back(library, cell, biases):
    """The same layer again; both biases may come back as one."""
    if (library, cell) == ("cs231n", "gru"):
        with pytest.raises(OptionError, match="cell='gru'; cs231n has rnn, lstm"):
            conventions.to_cs231n(cell, arrays(library, cell))
        return
    g = GATES[cell]
    shapes = [(g * H, D), (g * H, H), *[(g * H,)] * biases]
    weights = [RNG.standard_normal(s) for s in shapes]
    given = getattr(conventions, f"to_{library}")(cell, weights)
    assert len(given) == 2 + (biases > 0)
    back = getattr(conventions, f"from_{library}")(cell, given)
    assert np.array_equal(back.w_ih, weights[0]) and np.array_equal(back.w_hh, weights[1])
    op = getattr(fastnn, cell)
    np.testing.assert_allclose(op(X, *back).y, op(X, *weights).y, rtol=1e-12, atol=1e-14)
    assert all(a is None or a.flags.c_contiguous for a in back)


def test_errors():
    with pytest.raises(OptionError, match="cell='qrnn'"):
        conventions.from_keras("qrnn", arrays("keras", "rnn"))
    with pytest.raises(ShapeError, match=r"has 7 rows.*multiple of 4"):
        conventions.from_cs231n("lstm", [np.ones((3, 7)), np.ones((2, 7))])
    with pytest.raises(ShapeError, match=r"W has shape \(2, 8, 5\).*one direction"):
        conventions.from_onnx("lstm", [np.ones((2, 8, 5)), np.ones((2, 8, 2))])
