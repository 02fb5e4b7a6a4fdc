"""Ring 1: softmax and its logarithm, worked by hand; extremes, infinities and NaN."""

import math

import numpy as np
import pytest

import fastnn

BACKENDS = [b for b in fastnn.dispatch.BACKENDS if fastnn.dispatch.unavailable(b) is None]


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def test_softmax_worked_by_hand(backend):
    # exp(0), exp(ln 3) = 1, 3: probabilities 1/4, 3/4; dx = y (dy - (4/4 + 8 * 3/4)).
    x = np.array([[0.0, math.log(3)]])
    y, ctx = fastnn.softmax.forward(x, backend=backend)
    np.testing.assert_allclose(y, [[0.25, 0.75]], rtol=1e-15)
    (dx,) = fastnn.softmax.backward(ctx, np.array([[4.0, 8.0]]))
    np.testing.assert_allclose(dx, [[0.25 * (4 - 7), 0.75 * (8 - 7)]], rtol=1e-14)
    y, ctx = fastnn.log_softmax.forward(x, backend=backend)
    np.testing.assert_allclose(y, [[-math.log(4), math.log(3 / 4)]], rtol=1e-15)
    (dx,) = fastnn.log_softmax.backward(ctx, np.array([[4.0, 8.0]]))
    np.testing.assert_allclose(dx, [[4 - 12 / 4, 8 - 12 * 3 / 4]], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(backend, dtype):
    x = np.array([[1e4, -1e4, 0.0], [3e38, 3e38, -3e38]], dtype)
    np.testing.assert_array_equal(fastnn.softmax(x, backend=backend), [[1, 0, 0], [0.5, 0.5, 0]])
    y = fastnn.log_softmax(x[:1], backend=backend)
    np.testing.assert_array_equal(y, [[0, -2e4, -1e4]])


def test_log_softmax_keeps_what_softmax_loses(backend):
    # log(1 / (1 + exp(-20))) = -exp(-20) to 9 digits; in float32 the softmax is 1, its log 0.
    y = fastnn.log_softmax(np.array([20.0, 0.0], np.float32), backend=backend)
    np.testing.assert_allclose(y, [-math.exp(-20), -20], rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("c", [3, 40])
def test_infinities_and_nan_stay_in_their_slice(backend, axis, c):
    nan, inf = np.nan, np.inf
    x = np.zeros((6, c))
    x[0, 1], x[1, 2], x[2, :], x[3, 0] = nan, inf, -inf, -inf
    x[4, c - 1] = nan
    want = np.full((6, c), 1 / c)
    want[[0, 1, 2, 4]] = nan
    want[3] = 1 / (c - 1)
    want[3, 0] = 0
    if axis == 0:
        x, want = x.T, want.T
    y = fastnn.softmax(x, axis=axis, backend=backend)
    np.testing.assert_allclose(y, want, rtol=1e-15)
    with np.errstate(divide="ignore"):
        y = fastnn.log_softmax(x, axis=axis, backend=backend)
        np.testing.assert_allclose(y, np.log(want), rtol=1e-15)


def test_axes_are_pytorchs_dim(backend):
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    for axis in (-3, -2, -1, 0, 1, 2):
        y = fastnn.softmax(x, axis, backend=backend)
        np.testing.assert_allclose(y.sum(axis), 1, rtol=1e-14)
