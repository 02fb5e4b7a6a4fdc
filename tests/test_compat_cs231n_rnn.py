"""The recurrent layers of the course's older third assignment: published numbers, gradients."""

from __future__ import annotations

import numpy as np
import pytest
from test_compat_cs231n import check_slopes, spread

from fastnn.compat import cs231n
from fastnn.compat.cs231n import eval_numerical_gradient, rel_error


@pytest.fixture
def rng():
    return np.random.default_rng(231)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_by_formula(x, h, c, Wx, Wh, b):
    a = np.einsum("nd,dh->nh", x, Wx) + np.einsum("nk,kh->nh", h, Wh) + b
    size = h.shape[1]
    i, f, o = (sigmoid(a[:, k * size : (k + 1) * size]) for k in range(3))
    c = f * c + i * np.tanh(a[:, 3 * size :])
    return o * np.tanh(c), c


def test_rnn_step_gives_the_published_numbers():
    x, h = spread(-0.4, 0.7, 3, 10), spread(-0.2, 0.5, 3, 4)
    Wx, Wh, b = spread(-0.1, 0.9, 10, 4), spread(-0.3, 0.7, 4, 4), spread(-0.2, 0.4, 4)
    published = [[-0.58172089, -0.50182032, -0.41232771, -0.31410098],
                 [0.66854692, 0.79562378, 0.87755553, 0.92795967],
                 [0.97934501, 0.99144213, 0.99646691, 0.99854353]]  # fmt: skip
    next_h, _ = cs231n.rnn_step_forward(x, h, Wx, Wh, b)
    formula = np.tanh(np.einsum("nd,dh->nh", x, Wx) + np.einsum("nk,kh->nh", h, Wh) + b)
    assert rel_error(next_h, formula) < 1e-12
    assert rel_error(next_h, np.array(published)) < 1e-8


def test_lstm_step_gives_the_published_numbers():
    x, h, c = spread(-0.4, 1.2, 3, 4), spread(-0.3, 0.7, 3, 5), spread(-0.4, 0.9, 3, 5)
    Wx, Wh, b = spread(-2.1, 1.3, 4, 20), spread(-0.7, 2.2, 5, 20), spread(0.3, 0.7, 20)
    published_h = [[0.24635157, 0.28610883, 0.32240467, 0.35525807, 0.38474904],
                   [0.49223563, 0.55611431, 0.61507696, 0.66844003, 0.7159181],
                   [0.56735664, 0.66310127, 0.74419266, 0.80889665, 0.858299]]  # fmt: skip
    published_c = [[0.32986176, 0.39145139, 0.451556, 0.51014116, 0.56717407],
                   [0.66382255, 0.76674007, 0.87195994, 0.97902709, 1.08751345],
                   [0.74192008, 0.90592151, 1.07717006, 1.25120233, 1.42395676]]  # fmt: skip
    next_h, next_c, _ = cs231n.lstm_step_forward(x, h, c, Wx, Wh, b)
    formula_h, formula_c = lstm_by_formula(x, h, c, Wx, Wh, b)
    assert rel_error(next_h, formula_h) < 1e-12 and rel_error(next_c, formula_c) < 1e-12
    assert rel_error(next_h, np.array(published_h)) < 2e-8
    assert rel_error(next_c, np.array(published_c)) < 2e-8


def test_lstm_gives_the_published_numbers():
    x, h0 = spread(-0.4, 0.6, 2, 3, 5), spread(-0.4, 0.8, 2, 4)
    Wx, Wh, b = spread(-0.2, 0.9, 5, 16), spread(-0.3, 0.6, 4, 16), spread(0.2, 0.7, 16)
    published = [[[0.01764008, 0.01823233, 0.01882671, 0.0194232],
                  [0.11287491, 0.12146228, 0.13018446, 0.13902939],
                  [0.31358768, 0.33338627, 0.35304453, 0.37250975]],
                 [[0.45767879, 0.4761092, 0.4936887, 0.51041945],
                  [0.6704845, 0.69350089, 0.71486014, 0.7346449],
                  [0.81733511, 0.83677871, 0.85403753, 0.86935314]]]  # fmt: skip
    hs, _ = cs231n.lstm_forward(x, h0, Wx, Wh, b)
    h, c = h0, np.zeros_like(h0)
    for t in range(3):
        h, c = lstm_by_formula(x[:, t], h, c, Wx, Wh, b)
        assert rel_error(hs[:, t], h) < 1e-12
    assert rel_error(hs, np.array(published)) < 2e-7


def test_word_embedding_gives_the_published_numbers(rng):
    x, W = np.array([[0, 3, 1, 2], [2, 1, 0, 3]]), spread(0, 1, 5, 3)
    out, cache = cs231n.word_embedding_forward(x, W)
    published_row_of_3 = [0.64285714, 0.71428571, 0.78571429]
    np.testing.assert_allclose(out[0, 1], published_row_of_3, rtol=1e-7)
    np.testing.assert_allclose(out, x[..., None] * 3 / 14 + np.arange(3) / 14, atol=1e-15)
    dout = rng.standard_normal(out.shape)
    dW = cs231n.word_embedding_backward(dout, cache)
    for word in range(5):
        np.testing.assert_allclose(dW[word], dout[x == word].sum(axis=0), atol=1e-15)


def recurrent_arrays(rng, gates, *x):
    return [rng.standard_normal(s) for s in (x, (2, 4), (3, gates * 4), (4, gates * 4), gates * 4)]


def test_rnn_gradients(rng):
    arrays = recurrent_arrays(rng, 1, 2, 3)
    check_slopes(cs231n.rnn_step_forward, cs231n.rnn_step_backward, *arrays, limit=1e-6)
    arrays = recurrent_arrays(rng, 1, 2, 5, 3)
    check_slopes(cs231n.rnn_forward, cs231n.rnn_backward, *arrays, limit=1e-5)


@pytest.mark.parametrize("state", [0, 1])
def test_lstm_gradients(rng, state):
    x, h, *rest = recurrent_arrays(rng, 4, 2, 3)
    arrays = [x, h, rng.standard_normal((2, 4)), *rest]

    def forward(*arrays):
        *states, cache = cs231n.lstm_step_forward(*arrays)
        return states[state], cache

    def backward(dout, cache):
        douts = [np.zeros_like(dout)] * 2
        douts[state] = dout
        return cs231n.lstm_step_backward(*douts, cache)

    check_slopes(forward, backward, *arrays, limit=1e-5)
    arrays_in_time = recurrent_arrays(rng, 4, 2, 5, 3)
    check_slopes(cs231n.lstm_forward, cs231n.lstm_backward, *arrays_in_time, limit=1e-4)


def test_temporal_affine_and_loss(rng):
    x, w, b = (rng.standard_normal(s) for s in ((2, 3, 4), (4, 5), 5))
    out, cache = cs231n.temporal_affine_forward(x, w, b)
    np.testing.assert_allclose(out, x @ w + b, rtol=1e-12)
    assert cache[3] is out
    check_slopes(cs231n.temporal_affine_forward, cs231n.temporal_affine_backward, x, w, b)

    def loss_of(n, t, p):
        scores = 0.001 * rng.standard_normal((n, t, 10))
        mask = rng.random((n, t)) <= p
        return cs231n.temporal_softmax_loss(scores, rng.integers(10, size=(n, t)), mask)[0]

    assert loss_of(100, 1, 1.0) == pytest.approx(2.3, abs=0.05)  # the notebook's three figures
    assert loss_of(100, 10, 1.0) == pytest.approx(23, abs=0.1)
    assert loss_of(5000, 10, 0.1) == pytest.approx(2.3, abs=0.1)
    x, y, mask = rng.standard_normal((7, 8, 9)), rng.integers(9, size=(7, 8)), rng.random((7, 8))
    mask = mask > 0.5
    loss, dx = cs231n.temporal_softmax_loss(x, y, mask)
    chosen = np.take_along_axis(x, y[..., None], 2)[..., 0]
    assert loss == pytest.approx(((np.log(np.exp(x).sum(2)) - chosen) * mask).sum() / 7, rel=1e-12)
    slopes = eval_numerical_gradient(
        lambda x: cs231n.temporal_softmax_loss(x, y, mask)[0], x, verbose=False
    )
    np.testing.assert_allclose(dx, slopes, atol=1e-9)
    assert not dx[~mask].any()
