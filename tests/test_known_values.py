"""Ring 1: values worked by hand or published, with their derivation."""

import numpy as np
import pytest

import fastnn

BACKENDS = [b for b in fastnn.dispatch.BACKENDS if fastnn.dispatch.unavailable(b) is None]


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def test_conv2d_worked_by_hand(backend):
    # x = [[1,2,3],[4,5,6],[7,8,9]], w = [[1,0],[0,-1]]: y[p,q] = x[p,q] - x[p+1,q+1] = -4.
    x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    w = np.array([[[[1.0, 0], [0, -1]]]])
    y, ctx = fastnn.conv2d.forward(x, w, np.array([10.0]), backend=backend)
    assert np.array_equal(y, np.full((1, 1, 2, 2), 6.0))
    # dy is 1 at (0, 1) only: dx = w placed at row 0, column 1; dw = the window of x there.
    dy = np.array([[[[0.0, 1], [0, 0]]]])
    dx, dw, db = fastnn.conv2d.backward(ctx, dy)
    assert np.array_equal(dx[0, 0], [[0, 1, 0], [0, 0, -1], [0, 0, 0]])
    assert np.array_equal(dw[0, 0], [[2, 3], [5, 6]])
    assert np.array_equal(db, [1])


def test_conv2d_of_cs231n(backend):
    """The published check of CS231n's conv_forward_naive."""
    x = np.linspace(-0.1, 0.5, num=2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    w = np.linspace(-0.2, 0.3, num=3 * 3 * 4 * 4).reshape(3, 3, 4, 4)
    b = np.linspace(-0.1, 0.2, num=3)
    y = fastnn.conv2d(x, w, b, stride=2, padding=1, backend=backend)
    first = [-0.08759809, -0.10987781, -0.18387192, -0.2109216]
    np.testing.assert_allclose(y[0, 0].ravel(), first, atol=5e-9)


def test_conv2d_same_puts_the_odd_cell_at_the_end(backend):
    # Two taps on [1,2,3], total padding 1, all of it after: y = [1+2, 2+3, 3+0].
    x = np.array([[[[1.0, 2, 3]]]])
    y = fastnn.conv2d(x, np.ones((1, 1, 1, 2)), padding="same", backend=backend)
    assert np.array_equal(y, [[[[3, 5, 3]]]])


def test_max_pool2d_ties_nan_and_padding(backend):
    nan = np.nan
    # Windows of 2: a tie (the first wins), a NaN (it wins), negatives beside padding (-inf).
    x = np.array([[[[2.0, 2, nan, 5], [1, 2, 7, nan]]]])
    y, ctx = fastnn.max_pool2d.forward(x, 2, backend=backend)
    assert y[0, 0, 0, 0] == 2 and np.isnan(y[0, 0, 0, 1])
    (dx,) = fastnn.max_pool2d.backward(ctx, np.array([[[[3.0, 4]]]]))
    assert np.array_equal(dx[0, 0], [[3, 0, 4, 0], [0, 0, 0, 0]])
    padded = fastnn.max_pool2d(np.full((1, 1, 2, 2), -5.0), 2, padding=1, backend=backend)
    assert np.array_equal(padded, np.full((1, 1, 2, 2), -5.0))


def test_max_pool2d_all_minus_infinity_still_has_a_winner(backend):
    x = np.full((1, 1, 2, 2), -np.inf)
    y, ctx = fastnn.max_pool2d.forward(x, 2, backend=backend)
    assert y.item() == -np.inf
    (dx,) = fastnn.max_pool2d.backward(ctx, np.ones((1, 1, 1, 1)))
    assert np.array_equal(dx[0, 0], [[1, 0], [0, 0]])


def test_max_pool2d_partial_windows(backend):
    # Five cells, windows of 2: [0 1][2 3] and, with ceil_mode, [4].
    x = np.arange(5.0).reshape(1, 1, 1, 5)
    assert np.array_equal(fastnn.max_pool2d(x, (1, 2), backend=backend), [[[[1, 3]]]])
    y = fastnn.max_pool2d(x, (1, 2), ceil_mode=True, backend=backend)
    assert np.array_equal(y, [[[[1, 3, 4]]]])


def test_batch_norm_worked_by_hand(backend):
    # Values 1, 3 per channel: mean 2, biased variance 1, unbiased 2.
    x = np.array([[1.0], [3.0]])
    mean, var = np.zeros(1), np.ones(1)
    y = fastnn.batch_norm(
        x,
        np.array([2.0]),
        np.array([5.0]),
        running_mean=mean,
        running_var=var,
        training=True,
        momentum=0.25,
        eps=1e-300,
        backend=backend,
    )
    assert np.array_equal(y, [[3.0], [7.0]])
    assert mean.item() == 0.5 and var.item() == 0.75 * 1 + 0.25 * 2


def test_batch_norm_evaluation_uses_the_running_statistics(backend):
    x = np.array([[1.0, 10.0]])
    y, ctx = fastnn.batch_norm.forward(
        x,
        running_mean=np.array([0.0, 4.0]),
        running_var=np.array([1.0, 9.0]),
        eps=1e-300,
        backend=backend,
    )
    assert np.array_equal(y, [[1.0, 2.0]])
    assert np.array_equal(fastnn.batch_norm.backward(ctx, np.ones((1, 2))).x, [[1.0, 1 / 3]])


def test_batch_norm_of_a_far_mean(backend):
    """A mean 1e4 times the deviation costs float32 no digits: two-pass, not E[x^2] - E[x]^2."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((64, 3, 50))
    x = (noise + 1e4).astype(np.float32)
    y = fastnn.batch_norm(x, training=True, backend=backend).astype(np.float64)
    exact = x.astype(np.float64)
    want = (exact - exact.mean((0, 2), keepdims=True)) / np.sqrt(
        exact.var((0, 2), keepdims=True) + 1e-5
    )
    assert np.abs(y - want).max() < 2e-6


def test_linear_worked_by_hand(backend):
    x, w, b = np.array([[1.0, 2]]), np.array([[3.0, 4], [5, 6], [7, 8]]), np.array([1.0, 0, -1])
    y, ctx = fastnn.linear.forward(x, w, b, backend=backend)
    assert np.array_equal(y, [[12, 17, 22]])
    dx, dw, db = fastnn.linear.backward(ctx, np.array([[1.0, 0, 2]]))
    assert np.array_equal(dx, [[3 + 14, 4 + 16]])
    assert np.array_equal(dw, [[1, 2], [0, 0], [2, 4]])
    assert np.array_equal(db, [1, 0, 2])


def test_relu_values_and_nan(backend):
    x = np.array([-1.0, -0.0, 0.0, 2.0, np.nan, -np.inf, np.inf])
    y, ctx = fastnn.relu.forward(x, backend=backend)
    assert np.array_equal(y, [0, 0, 0, 2, np.nan, 0, np.inf], equal_nan=True)
    (dx,) = fastnn.relu.backward(ctx, np.full(7, 3.0))
    assert np.array_equal(dx, [0, 0, 0, 3, 3, 0, 3])


def test_cross_entropy_worked_by_hand(backend):
    # softmax of (0, ln 3) is (1/4, 3/4): losses ln 4 and ln 4/3.
    x = np.array([[0.0, np.log(3)], [0.0, np.log(3)]])
    y, ctx = fastnn.softmax_cross_entropy.forward(
        x, np.array([0, 1]), reduction="sum", backend=backend
    )
    np.testing.assert_allclose(y, np.log(4) + np.log(4 / 3), rtol=1e-15)
    (dx,) = fastnn.softmax_cross_entropy.backward(ctx, np.array(2.0))
    np.testing.assert_allclose(dx, 2 * np.array([[-0.75, 0.75], [0.25, -0.25]]), rtol=1e-14)


def test_cross_entropy_is_stable(backend):
    x = np.array([[1e4, -1e4, 0.0]], np.float32)
    for label, want in ((0, 0.0), (1, 2e4), (2, 1e4)):
        got = fastnn.softmax_cross_entropy(x, np.array([label]), backend=backend)
        assert got == np.float32(want)
