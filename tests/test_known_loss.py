"""Ring 1 for losses and embedding: values worked by hand, with their derivation."""

import numpy as np
import pytest

import fastnn

BACKENDS = [b for b in fastnn.dispatch.BACKENDS if fastnn.dispatch.unavailable(b) is None]
INF, NAN = np.inf, np.nan
LN2, LN3 = np.log(2), np.log(3)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def value_and_gradients(op, *args, dy=1.0, **options):
    """y, and the gradients for a dy of `dy` everywhere."""
    y, ctx = op.forward(*args, **options)
    return y, op.backward(ctx, np.full_like(y, dy))


def test_cross_entropy_with_weights_and_an_ignored_row(backend):
    # softmax of (0, ln 3) is (1/4, 3/4): losses 2 ln 4 (class 0, weight 2) and 4/3's log (weight
    # 3); the row between does not count, though it is NaN. Mean: over the weights 2 + 3.
    x = np.array([[0, LN3], [NAN, INF], [0, LN3]])
    y, (dx,) = value_and_gradients(
        fastnn.softmax_cross_entropy, x, [0, 7, 1], w=np.array([2.0, 3]), ignore_index=7,
        backend=backend,
    )  # fmt: skip
    np.testing.assert_allclose(y, (2 * np.log(4) + 3 * np.log(4 / 3)) / 5, rtol=1e-15)
    want = [[-0.75 * 2 / 5, 0.75 * 2 / 5], [0, 0], [0.25 * 3 / 5, -0.25 * 3 / 5]]
    np.testing.assert_allclose(dx, want, rtol=1e-14)


def test_cross_entropy_sample_weights_are_repeats(backend):
    """A whole weight k is the same as k copies of the sample."""
    rng = np.random.default_rng(0)
    x, labels, k = rng.standard_normal((4, 3)), np.array([2, 0, 1, 1]), np.array([1, 3, 0, 2])
    op = fastnn.softmax_cross_entropy
    got = op(x, labels, sample_weight=k.astype(float), backend=backend)
    np.testing.assert_allclose(got, op(x.repeat(k, 0), labels.repeat(k)), rtol=1e-14)


def test_cross_entropy_where_nothing_counts(backend):
    x = np.array([[1.0, NAN]])
    for reduction, want in (("mean", NAN), ("sum", 0.0), ("none", [0.0])):
        y, (dx,) = value_and_gradients(
            fastnn.softmax_cross_entropy, x, [-100], reduction=reduction, backend=backend
        )
        assert np.array_equal(y, want, equal_nan=True)
        assert np.array_equal(dx, [[0, 0]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_ignored_pixel_may_be_anything(backend, smoothing):
    """NaN and infinities there change nothing; 100 pixels: whole blocks of columns and a rest."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((2, 3, 100)), rng.integers(0, 3, (2, 100))
    labels[:, ::7] = -100
    options = {"w": np.array([1.0, 2, 3]), "label_smoothing": smoothing, "backend": backend}
    want, (slopes,) = value_and_gradients(fastnn.softmax_cross_entropy, x, labels, **options)
    x[0, 1, ::7], x[1, 2, ::7] = NAN, INF
    y, (dx,) = value_and_gradients(fastnn.softmax_cross_entropy, x, labels, **options)
    assert y == want and np.array_equal(dx, slopes)
    assert not dx[:, :, ::7].any() and dx[:, :, 1].all()


def test_cross_entropy_label_smoothing(backend):
    # Two classes, smoothing 0.5: q = (3/4, 1/4), logp = -(ln 4, ln 4/3).
    x = np.array([[0, LN3]])
    op = fastnn.softmax_cross_entropy
    y, (dx,) = value_and_gradients(op, x, [0], label_smoothing=0.5, backend=backend)
    np.testing.assert_allclose(y, 0.75 * np.log(4) + 0.25 * np.log(4 / 3), rtol=1e-15)
    np.testing.assert_allclose(dx, [[-0.5, 0.5]], rtol=1e-15)


def test_cross_entropy_of_infinite_logits(backend):
    x = np.array([[0, -INF], [-INF, -INF], [INF, 0], [0, 0]], np.float32)
    y = fastnn.softmax_cross_entropy(x, [1, 0, 0, 0], reduction="none", backend=backend)
    assert np.array_equal(y, np.float32([INF, NAN, NAN, LN2]), equal_nan=True)
    hidden = fastnn.softmax_cross_entropy(x[:1], [0], backend=backend)
    assert hidden == 0


def test_soft_cross_entropy_is_the_hard_one_for_one_hot_rows(backend):
    rng = np.random.default_rng(1)
    x, labels = rng.standard_normal((6, 4)) * 20, rng.integers(0, 4, 6)
    target = np.eye(4)[labels]
    for options in ({}, {"reduction": "none", "label_smoothing": 0.3, "w": np.arange(1.0, 5)}):
        hard, (dx,) = value_and_gradients(
            fastnn.softmax_cross_entropy, x, labels, backend=backend, **options
        )
        soft, grads = value_and_gradients(
            fastnn.soft_cross_entropy, x, target, backend=backend, **options
        )
        np.testing.assert_allclose(soft, hard, rtol=1e-13)
        np.testing.assert_allclose(grads.x, dx, rtol=1e-12, atol=1e-15)


def test_soft_cross_entropy_mean_ignores_class_weights(backend):
    # Both classes 1/2, logp = -ln 2: each row's loss is (2 + 4) / 2 ln 2, the mean over 2 rows.
    w = np.array([2.0, 4])
    y = fastnn.soft_cross_entropy(np.zeros((2, 2)), np.full((2, 2), 0.5), w=w, backend=backend)
    np.testing.assert_allclose(y, 3 * LN2, rtol=1e-15)


def test_multi_margin_of_cs231n(backend):
    """The worked example of CS231n's notes: losses 2.9, 0 and 12.9."""
    x = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
    y, (dx,) = value_and_gradients(
        fastnn.multi_margin_loss, x, [0, 1, 2], divide_by_classes=False, reduction="none",
        backend=backend,
    )  # fmt: skip
    np.testing.assert_allclose(y, [2.9, 0, 12.9], rtol=1e-14)
    assert np.array_equal(dx, [[-1, 1, 0], [0, 0, 0], [1, 1, -2]])


def test_multi_margin_squared_weighted_and_on_the_margin(backend):
    # z = 2 and, on the margin, 0: (2^2 + 0) / 3 classes * weight 6 = 8; slope 2 * 2 * 6 / 3.
    x = np.array([[1.0, 2, 0]])
    w = np.array([6.0, 1, 1])
    y, (dx,) = value_and_gradients(fastnn.multi_margin_loss, x, [0], p=2, w=w, backend=backend)
    assert y == 8
    assert np.array_equal(dx, [[-8, 8, 0]])
    lost = fastnn.multi_margin_loss(np.array([[0, NAN, 0]]), [0], backend=backend)
    assert np.isnan(lost)


def test_errors_of_numbers(backend):
    # d = 3, -0.5, 0, NaN
    x, t = np.array([5.0, 0.5, 2, NAN]), np.array([2.0, 1, 2, 0])
    for op, options, losses, slopes in (
        (fastnn.mse_loss, {}, [9, 0.25, 0, NAN], [6, -1, 0, NAN]),
        (fastnn.l1_loss, {}, [3, 0.5, 0, NAN], [1, -1, 0, NAN]),
        (fastnn.huber_loss, {"delta": 2.0}, [4, 0.125, 0, NAN], [2, -0.5, 0, NAN]),
    ):
        y, (dx, dt) = value_and_gradients(op, x, t, reduction="none", backend=backend, **options)
        assert np.array_equal(y, losses, equal_nan=True), op
        assert np.array_equal(dx, slopes, equal_nan=True), op
        assert np.array_equal(dt, -np.array(slopes), equal_nan=True), op
        mean, (dx, _) = value_and_gradients(op, x[:3], t[:3], dy=3.0, backend=backend, **options)
        np.testing.assert_allclose(mean, sum(losses[:3]) / 3, rtol=1e-15)
        np.testing.assert_allclose(dx, slopes[:3], rtol=1e-15)


def test_binary_cross_entropy_worked_by_hand(backend):
    # x = ln 3: sigmoid 3/4. Target 1: -ln 3/4; target 0: -ln 1/4; pos_weight 2 doubles the first.
    x, t = np.array([LN3, LN3]), np.array([1.0, 0])
    y, (dx, dt) = value_and_gradients(
        fastnn.binary_cross_entropy_with_logits, x, t, pos_weight=np.array([2.0]),
        w=np.array([1.0, 10]), reduction="none", backend=backend,
    )  # fmt: skip
    np.testing.assert_allclose(y, [2 * np.log(4 / 3), 10 * np.log(4)], rtol=1e-15)
    np.testing.assert_allclose(dx, [-0.5, 7.5], rtol=1e-15)
    # d/dt = 2 softplus(-x) - softplus(x) = 2 ln 4/3 - ln 4, times w
    slope = 2 * np.log(4 / 3) - np.log(4)
    np.testing.assert_allclose(dt, [slope, 10 * slope], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_is_accurate_everywhere(dtype, backend):
    """To a few eps of the loss itself, from -700 to 700: no cancellation, no overflow."""
    x = np.concatenate([np.linspace(-700, 700, 281), np.linspace(-3, 3, 301)]).astype(dtype)
    exact = x.astype(np.longdouble)
    for target, signed in ((0, exact), (1, -exact)):
        want = np.maximum(signed, 0) + np.log1p(np.exp(-np.abs(signed)))
        y = fastnn.binary_cross_entropy_with_logits(
            x, np.full_like(x, target), reduction="none", backend=backend
        )
        large = want > np.finfo(dtype).tiny
        error = np.abs(y - want)[large] / want[large]
        assert error.max() < 6 * np.finfo(dtype).eps


def test_kl_div_worked_by_hand(backend):
    # Targets (1, 0) against (1/2, 1/2): ln 2, and 0 log 0 = 0.
    x, t = np.log(np.array([[0.5, 0.5], [0.5, 0.5]])), np.array([[1.0, 0], [0.5, 0.5]])
    for reduction, want in (("sum", LN2), ("batchmean", LN2 / 2), ("mean", LN2 / 4)):
        y, (dx, _) = value_and_gradients(fastnn.kl_div, x, t, reduction=reduction, backend=backend)
        np.testing.assert_allclose(y, want, rtol=1e-15)
        np.testing.assert_allclose(dx, -t * want / LN2, rtol=1e-15)
    with np.errstate(divide="ignore"):
        logs = np.log(t[1:])
    y = fastnn.kl_div(x[1:], logs, log_target=True, reduction="none", backend=backend)
    np.testing.assert_allclose(y, [[0, 0]], atol=1e-15)


def test_kl_sparsity_worked_by_hand(backend):
    # Means 1/2 and 1/4 with rho = 1/2: 0, and 1/2 ln 2 + 1/2 ln 2/3; slope -2 + 2/3 over N = 2.
    x = np.array([[0.25, 0.5], [0.75, 0.0]])
    y, (dx,) = value_and_gradients(fastnn.kl_sparsity, x, rho=0.5, backend=backend)
    np.testing.assert_allclose(y, np.log(4 / 3) / 2, rtol=1e-15)
    np.testing.assert_allclose(dx, [[0, -2 / 3], [0, -2 / 3]], rtol=1e-15)


def test_kl_sparsity_at_and_beyond_the_edges(backend):
    for value, want, slope in ((0.0, INF, -INF), (1.0, INF, INF), (1.5, NAN, NAN), (NAN,) * 3):
        y, (dx,) = value_and_gradients(fastnn.kl_sparsity, np.array([value]), backend=backend)
        assert np.array_equal(y, want, equal_nan=True)
        assert np.array_equal(dx, [slope], equal_nan=True)


def test_embedding_padding_row_learns_nothing(backend):
    w = np.array([[1.0, 2], [3, NAN], [5, 6]])
    dy = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])
    for padding, want in (
        (None, [[3, 30], [4, 40], [3, 30]]),
        (0, [[0, 0], [4, 40], [3, 30]]),
        (-1, [[3, 30], [4, 40], [0, 0]]),
    ):
        y, ctx = fastnn.embedding.forward([0, 0, 2, 1], w, padding_idx=padding, backend=backend)
        assert np.array_equal(y, w[[0, 0, 2, 1]], equal_nan=True)
        assert np.array_equal(fastnn.embedding.backward(ctx, dy).w, want)


def test_embedding_of_a_word_that_is_everywhere(backend):
    """A million halves add up exactly, although 2**24 + 0.5 is no float32."""
    n = 2**20 if backend != "naive" else 2**10
    y, ctx = fastnn.embedding.forward(
        np.ones(n, np.int8), np.zeros((3, 1), np.float32), backend=backend
    )
    dy = np.full_like(y, 0.5)
    dy[0] = 2**24
    (dw,) = fastnn.embedding.backward(ctx, dy)
    assert np.array_equal(dw.ravel(), [0, np.float32(2**24 + (n - 1) / 2), 0])
