"""Ring 1 for convolution's family: values worked by hand, with their derivation."""

import numpy as np
import pytest

import fastnn
from fastnn import dispatch


def each(op):
    """The implementations of `op` that can run here."""
    return [i for i in op.impls if dispatch.unavailable(op.impl(i).backend) is None]


@pytest.mark.parametrize("impl", each(fastnn.conv1d))
def test_conv1d_worked_by_hand(impl):
    # Taps 1 and 10 two cells apart, causal: y[q] = x[q-2] + 10 x[q].
    x, w = np.array([[[1.0, 2, 3, 4]]]), np.array([[[1.0, 10]]])
    y, ctx = fastnn.conv1d.forward(
        x, w, np.array([0.5]), padding="causal", dilation=2, backend=impl
    )
    assert np.array_equal(y, [[[10.5, 20.5, 31.5, 42.5]]])
    dx, dw, db = fastnn.conv1d.backward(ctx, np.array([[[0.0, 0, 1, 2]]]))
    assert np.array_equal(dx, [[[1, 2, 10, 20]]])
    assert np.array_equal(dw, [[[1 * 1 + 2 * 2, 1 * 3 + 2 * 4]]])
    assert np.array_equal(db, [3])


@pytest.mark.parametrize("impl", each(fastnn.conv1d))
def test_causal_with_a_stride_sees_no_future(impl):
    # Span 3, so two zeros before: windows end at cells 0, 2, 4 of x.
    x = np.array([[[1.0, 2, 4, 8, 16]]])
    y = fastnn.conv1d(x, np.ones((1, 1, 3)), padding="causal", stride=2, backend=impl)
    assert np.array_equal(y, [[[1, 7, 28]]])


@pytest.mark.parametrize("impl", each(fastnn.conv_transpose2d))
def test_conv_transpose2d_worked_by_hand(impl):
    # Each pixel stamps w, two cells apart; one column is cut off the left, a row is added below.
    x = np.array([[[[1.0, 2]]]])
    w = np.array([[[[1.0, 10], [100, 1000]]]])
    y, ctx = fastnn.conv_transpose2d.forward(
        x, w, np.array([7.0]), stride=2, padding=(0, (1, 0)), output_padding=(1, 0), backend=impl
    )
    assert np.array_equal(y[0, 0], [[17, 9, 27], [1007, 207, 2007], [7, 7, 7]])
    dy = np.array([[[[1.0, 0, 0], [0, 2, 0], [5, 5, 5]]]])
    dx, dw, db = fastnn.conv_transpose2d.backward(ctx, dy)
    assert np.array_equal(dx[0, 0], [[10, 200]])  # 1 through w[0,1]; 2 through w[1,0]
    assert np.array_equal(dw[0, 0], [[0, 1 * 1], [2 * 2, 0]])
    assert np.array_equal(db, [18])


def test_conv_transpose_is_the_gradient_of_conv():
    rng = np.random.default_rng(0)
    image, w = rng.standard_normal((2, 4, 9, 8)), rng.standard_normal((6, 2, 3, 2))
    options = {"stride": (2, 3), "padding": 1, "groups": 2}
    y, ctx = fastnn.conv2d.forward(image, w, **options)
    x = rng.standard_normal(y.shape)
    want = fastnn.conv2d.backward(ctx, x).x
    # Windows leave (9 + 2 - 3) % 2 = 0 rows and (8 + 2 - 2) % 3 = 2 columns of the image over.
    got = fastnn.conv_transpose2d(x, w, output_padding=(0, 2), **options)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


def test_fold_of_unfold_counts_windows():
    # Windows of 2 in a row of 4, stride 1: cells are in 1, 2, 2, 1 of them.
    x = np.array([[[[1.0, 2, 3, 4]]]])
    assert np.array_equal(fastnn.fold(fastnn.unfold(x, (1, 2)), (1, 4), (1, 2)), [[[[1, 4, 6, 4]]]])


def test_depthwise_is_chosen_and_says_when_it_is_not():
    x, w = np.ones((1, 6, 5, 5), np.float32), np.ones((6, 1, 3, 3), np.float32)
    if dispatch.unavailable("cython") is not None:
        pytest.skip("needs the compiled extension")
    assert fastnn.conv2d.explain(x, w, groups=6).chosen == "cython:depthwise"
    with pytest.raises(fastnn.UnsupportedError, match="groups=2, only C=6"):
        fastnn.conv2d(x, np.ones((2, 3, 1, 1), np.float32), groups=2, backend="cython:depthwise")
    long = np.ones((1, 1, 70000), np.float32)
    with pytest.raises(fastnn.UnsupportedError, match="tiles of 66511 cells"):
        fastnn.conv1d(long, long[..., :2], dilation=65999, backend="cython:depthwise")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("where", [(0, 0), (3, 6), (6, 12)])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_depthwise_keeps_inf_and_nan_to_what_sees_them(bad, where, dtype):
    """No zero between the rows of a flat tile may meet them: 0 * Inf is NaN."""
    if dispatch.unavailable("cython") is not None:
        pytest.skip("needs the compiled extension")
    rng = np.random.default_rng(0)
    x, w = rng.uniform(1, 2, (2, 3, 7, 13)).astype(dtype), rng.uniform(1, 2, (3, 1, 3, 3))
    x[(1, 1, *where)] = bad
    results = []
    for impl in ("naive", "cython:depthwise"):
        y, ctx = fastnn.conv2d.forward(x, w.astype(dtype), groups=3, stride=(2, 1), backend=impl)
        dy = np.linspace(1, 2, y.size).reshape(y.shape).astype(dtype)
        dy[0, 2, 1, 4] = bad
        results.append((y, *fastnn.conv2d.backward(ctx, dy)[:2]))
    for want, got in zip(*results, strict=True):
        assert not np.isfinite(want).all()
        np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_depthwise_writes_nothing_beside_its_rows(dtype):
    """Whole vectors are written where a later row comes over them: what is behind y stays."""
    if dispatch.unavailable("cython") is not None:
        pytest.skip("needs the compiled extension")
    rng = np.random.default_rng(0)
    for width in (1, 5, 7, 16, 17, 33, 700):
        for stride in (1, 2, 3):
            x, w = rng.standard_normal((2, 3, 5, width)), rng.standard_normal((3, 1, 3, 1))
            x, w = x.astype(dtype), w.astype(dtype)
            options = {"groups": 3, "padding": (1, 0), "stride": stride}
            want = fastnn.conv2d(x, w, **options, backend="naive")
            room = np.full(want.size + 64, 7, dtype)
            out = room[: want.size].reshape(want.shape)
            fastnn.conv2d(x, w, **options, out=out, backend="cython:depthwise")
            np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5)
            assert (room[want.size :] == 7).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_more_filters_than_a_task_takes(dtype):
    """Tasks of the gradient of the filters share them out; each must find its own."""
    rng = np.random.default_rng(0)
    x, w, dy = (rng.integers(-3, 4, shape).astype(dtype)
                for shape in ((2, 2, 5, 4), (500, 2, 3, 3), (2, 500, 3, 2)))  # fmt: skip
    _, ctx = fastnn.conv2d.forward(x, w, backend="naive")
    want = fastnn.conv2d.backward(ctx, dy, needs=("w",)).w
    for impl in fastnn.conv2d.impls:
        if fastnn.conv2d.impl(impl).supports(ctx.call) is None:
            _, own = fastnn.conv2d.forward(x, w, backend=impl)
            got = fastnn.conv2d.backward(own, dy, needs=("w",)).w
            assert np.allclose(got, want, rtol=0, atol=1e-3 if "winograd" in impl else 0), impl
