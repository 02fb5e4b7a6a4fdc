"""Recurrent layers: values worked by hand; lengths, batches, steps, and the gates' last digits."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import testing

BACKENDS = [b for b in fastnn.dispatch.BACKENDS if fastnn.dispatch.unavailable(b) is None]
OPS = [fastnn.rnn, fastnn.lstm, fastnn.gru]


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def test_rnn_worked_by_hand(backend):
    # h = relu(2x + 3h + 1 - 2): x = 1, 0, 2 and h0 = 1 give 2+3-1 = 4, 0+12-1 = 11, 4+33-1 = 36.
    x = np.array([1.0, 0, 2]).reshape(3, 1, 1)
    arrays = (np.array([[2.0]]), np.array([[3.0]]), np.array([1.0]), np.array([-2.0]))
    options = {"h0": np.ones((1, 1)), "nonlinearity": "relu", "backend": backend}
    (y, h), ctx = fastnn.rnn.forward(x, *arrays, **options)
    assert y.ravel().tolist() == [4, 11, 36] and h.item() == 36
    # dL/dh = 1 at the end: dh is 1, 3, 9 backwards; dx = 2 dh, dw_hh = sum of dh h_before.
    g = fastnn.rnn.backward(ctx, (None, np.ones((1, 1))))
    assert g.x.ravel().tolist() == [18, 6, 2] and g.h0.item() == 27
    assert g.w_hh.item() == 9 * 1 + 3 * 4 + 1 * 11
    assert g.w_ih.item() == 9 * 1 + 0 + 2 and g.b_ih.item() == g.b_hh.item() == 13


def test_rnn_reverse_worked_by_hand(backend):
    # From each sequence's own end: 4 is the last of the first, the second has only x = 1.
    x = np.array([[1.0, 1], [2, np.nan], [4, np.inf]])[:, :, None]
    one = np.ones((1, 1))
    options = {"lengths": [3, 1], "reverse": True, "nonlinearity": "relu", "backend": backend}
    (y, h), ctx = fastnn.rnn.forward(x, one, one, **options)
    assert y[:, :, 0].tolist() == [[7, 1], [6, 0], [4, 0]] and h.ravel().tolist() == [7, 1]
    g = fastnn.rnn.backward(ctx, (np.ones_like(y), None))
    assert g.x[:, :, 0].tolist() == [[1, 1], [2, 0], [3, 0]]
    assert g.w_ih.item() == 1 * 1 + 2 * 2 + 4 * 3 + 1 and g.w_hh.item() == 6 * 1 + 4 * 2


def test_lstm_worked_by_hand(backend):
    # Gates as biases i f g o: 1/2, 3/4, tanh(1), 1/4; c = 3/4 * 2 + tanh(1)/2, h = tanh(c)/4.
    b = np.array([0.0, math.log(3), 1, -math.log(3)])
    zero, state = np.zeros((4, 1)), np.array([[2.0]])
    _, h, c = fastnn.lstm(np.ones((1, 1, 1)), zero, zero, b, c0=state, backend=backend)
    want = 1.5 + math.tanh(1) / 2
    assert abs(c.item() - want) < 1e-15 and abs(h.item() - math.tanh(want) / 4) < 1e-15


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_worked_by_hand(backend, reset_after):
    # r = 1/4, z = 3/4, h0 = 2, recurrent weight of n is 1 and its bias 3:
    # after: n = tanh(1/4 * (2 + 3)); before: n = tanh(1/4 * 2 + 3). h = n/4 + 3/4 * 2.
    b = np.array([-math.log(3), math.log(3), 3])
    w_hh = np.array([[0.0], [0], [1]])
    options = {"h0": np.array([[2.0]]), "reset_after": reset_after, "backend": backend}
    y, _ = fastnn.gru(np.ones((1, 1, 1)), np.zeros((3, 1)), w_hh, b_hh=b, **options)
    want = math.tanh(1.25 if reset_after else 3.5) / 4 + 1.5
    assert abs(y.item() - want) < 1e-15


def draw(op, t, n, i, h, dtype="float64", seed=0, **options):
    rows = op.front.__globals__["spec"].GATES[{"rnn": "rnn_tanh"}.get(op.name, op.name)] * h
    shapes = {"x": (t, n, i), "w_ih": (rows, i), "w_hh": (rows, h), "b_ih": (rows,)}
    states = [name for name in ("h0", "c0") if name in op.array_names]
    shapes |= dict.fromkeys(states, (n, h))
    return testing.draw(op, fastnn._cases.Case("core", shapes, options), dtype, seed=seed)


@pytest.mark.parametrize(("i", "h"), [(7, 19), (3, 150), (70, 33)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", OPS, ids=lambda op: op.name)
def test_a_sequence_alone_or_in_any_batch(layer, dtype, i, h, backend):
    """The same bits for each result, dx and d of the initial states."""
    if backend != "cython" and i * h > 133:
        pytest.skip("other products for one sequence than for many: only compiled code")
    t, n = 4, 53 if backend == "cython" else 5
    whole = draw(layer, t, n, i, h, dtype)
    lengths = np.random.default_rng(0).integers(0, t + 1, n)
    dys = [np.ones((t, n, h), dtype)] + [np.ones((n, h), dtype)] * (len(layer.outputs) - 1)
    states = [k for k in ("h0", "c0") if k in whole]

    def run(part):
        own = whole | {"x": np.ascontiguousarray(whole["x"][:, part])}
        own |= {k: whole[k][part] for k in states}
        y, ctx = layer.forward(**own, lengths=lengths[part], backend=backend)
        g = layer.backward(
            ctx, (dys[0][:, part], *(d[part] for d in dys[1:])), needs=("x", *states)
        )
        return [y.y, g.x], [*y[1:], *(getattr(g, k) for k in states)]

    by_step, by_sequence = run(slice(None))
    parts = (slice(0, 1), slice(n - 1, n), slice(1, 3), slice(1, 4), slice(0, n - 1), slice(2, n))
    for part in parts:
        steps, sequences = run(part)
        assert all(np.array_equal(a, b[:, part]) for a, b in zip(steps, by_step, strict=True))
        assert all(np.array_equal(a, b[part]) for a, b in zip(sequences, by_sequence, strict=True))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layer", OPS, ids=lambda op: op.name)
def test_lengths_are_as_good_as_shorter_sequences(layer, reverse, backend):
    """Each sequence on its own, cut to its length; NaN beyond it changes nothing."""
    t, n, h = 5, 4, 3
    whole = draw(layer, t, n, 2, h, reverse=reverse)
    lengths = np.array([5, 2, 0, 4])
    for k, last in enumerate(lengths):
        whole["x"][last:, k] = np.nan
    y, ctx = layer.forward(**whole, lengths=lengths, backend=backend)
    dys = testing.draw_dy(layer, ctx.call)
    for k, last in enumerate(lengths):
        dys[0][last:, k] = np.nan
    g = layer.backward(ctx, dys)
    total = [np.zeros_like(a) for a in (g.w_ih, g.w_hh, g.b_ih)]
    states = [name for name in ("h0", "c0") if name in whole]
    for k, last in enumerate(lengths):
        assert not y.y[last:, k].any() and not g.x[last:, k].any()
        if last == 0:
            for value, name in zip(y[1:], states, strict=True):
                assert np.array_equal(value[k], whole[name][k])
            continue
        one = slice(k, k + 1)
        alone = whole | {"x": whole["x"][:last, one]} | {s: whole[s][one] for s in states}
        y1, ctx1 = layer.forward(**alone, backend=backend)
        g1 = layer.backward(ctx1, (dys[0][:last, one], *(d[one] for d in dys[1:])))
        np.testing.assert_allclose(y.y[:last, one], y1.y, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(y.h[one], y1.h, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(g.x[:last, one], g1.x, rtol=1e-12, atol=1e-14)
        for to, a in zip(total, (g1.w_ih, g1.w_hh, g1.b_ih), strict=True):
            to += a
    for a, b in zip(total, (g.w_ih, g.w_hh, g.b_ih), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("layer", OPS, ids=lambda op: op.name)
def test_absent_gradients_are_zeros(layer, backend):
    arguments = draw(layer, 4, 3, 2, 5)
    _, ctx = layer.forward(**arguments, backend=backend)
    dys = testing.draw_dy(layer, ctx.call)
    for i in range(len(dys)):
        some = tuple(d if k == i else None for k, d in enumerate(dys))
        zeros = tuple(d if k == i else np.zeros_like(d) for k, d in enumerate(dys))
        for a, b in zip(layer.backward(ctx, some), layer.backward(ctx, zeros), strict=True):
            assert a is b or np.array_equal(a, b)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layer", OPS, ids=lambda op: op.name)
def test_gradients_of_many_steps_are_sums_over_sequences(layer, reverse, backend):
    """Compiled code takes steps in chunks of 2 MiB; a few sequences make one, all of them many."""
    t, n, i, h = (60, 40, 5, 100) if backend == "cython" else (6, 4, 2, 3)
    whole = draw(layer, t, n, i, h, reverse=reverse)
    whole["b_hh"] = whole["b_ih"][::-1].copy()
    whole["w_hh"] /= 4  # a map that forgets: rounding errors do not grow over the steps
    lengths = np.random.default_rng(0).integers(0, t + 1, n)
    lengths[0] = t
    states = [name for name in ("h0", "c0") if name in whole]
    dys = [np.random.default_rng(1).standard_normal((t, n, h)), *[np.ones((n, h)) for _ in states]]

    def run(part):
        own = whole | {"x": whole["x"][:, part]} | {s: whole[s][part] for s in states}
        _, ctx = layer.forward(**own, lengths=lengths[part], backend=backend)
        return layer.backward(ctx, (dys[0][:, part], *(d[part] for d in dys[1:])))

    g, pieces = run(slice(None)), [run(slice(k, k + 2)) for k in range(0, n, 2)]
    for name in ("w_ih", "w_hh", "b_ih", "b_hh"):
        total = sum(getattr(piece, name) for piece in pieces)
        assert np.abs(getattr(g, name) - total).max() <= 1e-12 * np.abs(total).max()
    assert np.array_equal(g.x, np.concatenate([piece.x for piece in pieces], axis=1))


@pytest.mark.parametrize("layer", OPS, ids=lambda op: op.name)
def test_wide_layers_of_few_sequences_do_not_depend_on_threads(layer):
    """Compiled code shares the columns of a step among threads if there are two or more."""
    if "cython" not in BACKENDS:
        pytest.skip("threads share steps in compiled code only")
    variants = [{"reset_after": True}, {"reset_after": False}] if layer is fastnn.gru else [{}]
    for n, options in ((n, options) for n in (1, 3) for options in variants):
        arguments = draw(layer, 3, n, 40, 520) | options
        dys = [np.ones((3, n, 520))] + [np.ones((n, 520))] * (len(layer.outputs) - 1)
        results = []
        for threads in (1, 2, 3):
            with fastnn.use(threads=threads, backend="cython"):
                y, ctx = layer.forward(**arguments)
                results.append([*y, *layer.backward(ctx, dys)])
        for other in results[1:]:
            assert all(
                a is b or np.array_equal(a, b) for a, b in zip(results[0], other, strict=True)
            )


def test_steps_have_the_bits_of_the_whole_sequence(backend):
    dtype = "float64" if backend == "naive" else "float32"  # naive keeps its states in float64
    x = np.random.default_rng(0).standard_normal((6, 2, 3)).astype(dtype)
    for op, options in (
        (fastnn.rnn, {"nonlinearity": "relu"}),
        (fastnn.lstm, {}),
        (fastnn.gru, {}),
        (fastnn.gru, {"reset_after": False}),
    ):
        whole = draw(op, 6, 2, 3, 9, dtype) | {"x": x}
        weights = [whole[k] for k in ("w_ih", "w_hh", "b_ih")]
        want = op(**whole, **options, backend=backend).y
        state = (whole["h0"], whole["c0"]) if op is fastnn.lstm else whole["h0"]
        step = getattr(fastnn, f"{op.name}_step")
        for t in range(6):
            state = step(x[t], state, *weights, **options, backend=backend)
            h = state[0] if op is fastnn.lstm else state
            assert np.array_equal(h, want[t])


def ulps(got, want):
    """Largest error in units in the last place of the right results, given in float64 or longer."""
    spacing = np.spacing(np.maximum(np.abs(want), np.finfo(got.dtype).tiny).astype(got.dtype))
    return float(np.max(np.abs(got.astype(want.dtype) - want) / spacing))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gates_are_right_to_the_last_digits(dtype, backend):
    """tanh through rnn and the sigmoid through the update gate of gru, on 1e5 numbers each."""
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.uniform(-20, 20, 50_000), rng.uniform(-1, 1, 40_000)])
    a = np.concatenate([a, 2.0 ** rng.uniform(-60, 3, 9_990), [0, 50, -50, 85, -85, 1e4, -1e4]])
    a = a.astype(dtype)
    x, exact = a.reshape(1, -1, 1), a.astype(np.longdouble)
    one, zero = np.ones((1, 1), dtype), np.zeros((3, 1), dtype)
    y = fastnn.rnn(x, one, 0 * one, backend=backend).h.ravel()
    assert ulps(y, np.tanh(exact)) <= 4
    w = np.array([[0], [1], [0]], dtype)  # new state 0 and old state 1: h = z
    y = fastnn.gru(x, w, zero, h0=np.ones((a.size, 1), dtype), backend=backend).h.ravel()
    normal = np.abs(exact) < 86
    want = 1 / (1 + np.exp(-exact))
    assert ulps(y[normal], want[normal]) <= 4
    assert y[a == -1e4].max() <= np.finfo(dtype).tiny and y[a == 1e4].min() == 1


@pytest.mark.parametrize("layer", OPS, ids=lambda op: op.name)
def test_a_nan_stays_in_its_sequence(layer, backend):
    arguments = draw(layer, 5, 4, 3, 6)
    arguments["x"][2, 1, 0] = np.nan
    y, ctx = layer.forward(**arguments, backend=backend)
    bad = np.zeros((5, 4), bool)
    bad[2:, 1] = True
    assert np.array_equal(np.isnan(y.y).all(axis=2), bad) and np.array_equal(
        np.isnan(y.y).any(axis=2), bad
    )
    dx = layer.backward(ctx, testing.draw_dy(layer, ctx.call), needs=("x",)).x
    assert np.array_equal(np.isnan(dx).any(axis=(0, 2)), [False, True, False, False])
