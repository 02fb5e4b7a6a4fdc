"""Ring 2: the specification has oracles of its own: finite differences, SciPy, PyTorch."""

import numpy as np
import pytest

import fastnn
from fastnn import testing

RNG = np.random.default_rng(7)


def test_gradients_are_derivatives(op, case):
    testing.check_gradients(op, "naive", case)


def test_gradients_are_derivatives_to_the_last_digits(smooth_op, case):
    testing.check_gradients_complex(smooth_op, case)


def test_gradients_of_the_best_implementation_are_derivatives(op, case):
    testing.check_gradients(op, op.select(op.front(**testing.draw(op, case, "float64"))[0]), case)


def test_a_wrong_gradient_is_noticed():
    """check_gradients must fail on a gradient that is off by 1e-5 of itself."""
    op = fastnn.linear
    naive = op.impl("naive")

    def backward(call, saved, dy, needs):
        dx, dw, db = naive.backward(call, saved, dy, needs)
        return dx, dw * (1 + 1e-5), db

    wrong = fastnn.Impl("wrong", op="linear", forward=naive.forward, backward=backward)
    case = next(c for c in op.cases() if c.kind == "core")
    with pytest.raises(AssertionError, match="dw along a random direction"):
        testing.check_gradients(op, wrong, case)


def test_conv2d_is_scipys_correlation():
    signal = pytest.importorskip("scipy.signal")
    x, w = RNG.standard_normal((2, 3, 9, 8)), RNG.standard_normal((4, 3, 3, 2))
    y = fastnn.conv2d(x, w, backend="naive")
    for n in range(2):
        for k in range(4):
            want = sum(signal.correlate2d(x[n, c], w[k, c], mode="valid") for c in range(3))
            np.testing.assert_allclose(y[n, k], want, rtol=1e-12, atol=1e-12)


def test_cross_entropy_is_scipys_log_softmax():
    special = pytest.importorskip("scipy.special")
    x, labels = RNG.standard_normal((7, 5)) * 30, RNG.integers(0, 5, 7)
    want = -special.log_softmax(x, axis=1)[np.arange(7), labels]
    for backend in ("naive", "cython", "numba"):
        if fastnn.dispatch.unavailable(backend) is None:
            got = fastnn.softmax_cross_entropy(x, labels, reduction="none", backend=backend)
            np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)
