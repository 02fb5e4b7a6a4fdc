"""Pooling and resampling: values worked by hand, on every backend."""

import numpy as np
import pytest

import fastnn

nan, inf = np.nan, np.inf


@pytest.fixture(params=fastnn.dispatch.BACKENDS)
def backend(request):
    if fastnn.dispatch.unavailable(request.param) is not None:
        pytest.skip(fastnn.dispatch.unavailable(request.param))
    return request.param


def test_max_pool1d_ties_and_nan(backend):
    x = np.array([[[2.0, 2, 1, nan, nan, 5]]])
    y, ctx = fastnn.max_pool1d.forward(x, 2, backend=backend)
    np.testing.assert_array_equal(y, [[[2, nan, nan]]])
    dx = fastnn.max_pool1d.backward(ctx, np.array([[[3.0, 4, 5]]])).x
    assert np.array_equal(dx, [[[3, 0, 0, 4, 5, 0]]])


def test_indices_are_flat_in_the_input_plane(backend):
    # Windows 2 x 2, stride 1, padding 1; the first of ties and NaN win.
    x = np.array([[[[1.0, 2], [9, nan]]], [[[4, 4], [-inf, -inf]]]])
    y, indices = fastnn.max_pool2d_with_indices(x, 2, stride=1, padding=1, backend=backend)
    np.testing.assert_array_equal(y[0, 0], [[1, 2, 2], [9, nan, nan], [9, nan, nan]])
    assert np.array_equal(indices[0, 0], [[0, 1, 1], [2, 3, 3], [2, 3, 3]])
    assert np.array_equal(indices[1, 0], [[0, 0, 1], [0, 0, 1], [2, 2, 3]])
    assert indices.dtype == np.int64


def test_a_window_without_cells_has_index_minus_one(backend):
    # Cells 4 apart on one cell, padding 2: the window sees -2 and 2 only.
    options = {"dilation": 4, "padding": 2, "backend": backend}
    y, indices = fastnn.max_pool2d_with_indices(np.ones((1, 1, 1, 1)), 2, **options)
    assert y.ravel() == [-inf] and indices.ravel() == [-1]
    with pytest.raises(fastnn.ShapeError, match=r"indices\[0, 0, 0, 0\] is -1"):
        fastnn.max_unpool2d(y, indices, output_size=1)


def test_unpooling_keeps_the_last_of_equal_places(backend):
    x, places = np.array([[[[1.0, 2], [3, 4]]]]), [[[[5, 0], [5, 1]]]]
    y, ctx = fastnn.max_unpool2d.forward(x, places, output_size=(2, 3), backend=backend)
    assert np.array_equal(y, [[[[2, 4, 0], [0, 0, 3]]]])
    dy = np.arange(6.0).reshape(1, 1, 2, 3)
    assert np.array_equal(fastnn.max_unpool2d.backward(ctx, dy).x, [[[[5, 0], [5, 1]]]])


def test_average_counts_padding_but_nothing_beyond_it(backend):
    # Windows of 3 from -1, 1, 3, 5 on cells 0 .. 5; -1 and 6 are padding, 7 is nothing.
    x = np.array([[[2.0, 4, 6, 8, 10, 12]]])
    options = {"stride": 2, "padding": 1, "ceil_mode": True, "backend": backend}
    y = fastnn.avg_pool1d(x, 3, **options)
    assert np.array_equal(y, [[[6 / 3, 18 / 3, 30 / 3, 12 / 2]]])
    y = fastnn.avg_pool1d(x, 3, count_include_pad=False, **options)
    assert np.array_equal(y, [[[6 / 2, 18 / 3, 30 / 3, 12 / 1]]])


def test_average_with_a_divisor_and_its_gradient(backend):
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    y, ctx = fastnn.avg_pool2d.forward(x, 2, stride=1, divisor_override=2, backend=backend)
    assert np.array_equal(y, [[[[4, 6]]]])  # (0+1+3+4)/2, (1+2+4+5)/2
    dx = fastnn.avg_pool2d.backward(ctx, np.array([[[[2.0, 4]]]])).x
    assert np.array_equal(dx, [[[[1, 3, 2], [1, 3, 2]]]])


@pytest.mark.parametrize("size", [3, 40])
def test_nan_and_infinity_stay_in_their_windows(backend, size):
    x = np.ones((1, 1, 2, 2 * size))
    x[..., 0, 2], x[..., 1, -1] = nan, inf
    want = np.ones(size)
    want[1], want[-1] = nan, inf
    np.testing.assert_array_equal(fastnn.avg_pool2d(x, 2, backend=backend)[0, 0, 0], want)
    got = fastnn.adaptive_avg_pool2d(x, (1, size), backend=backend)[0, 0, 0]
    np.testing.assert_array_equal(got, want)


def test_adaptive_windows_overlap(backend):
    # 5 cells to 3: [0, 2), [1, 4), [3, 5).
    x = np.array([[[[1.0, 3, 9, 6, 2]]]])
    y, ctx = fastnn.adaptive_avg_pool2d.forward(x, (1, 3), backend=backend)
    assert np.array_equal(y, [[[[2, 6, 4]]]])
    dx = fastnn.adaptive_avg_pool2d.backward(ctx, np.array([[[[2.0, 3, 4]]]])).x
    assert np.array_equal(dx, [[[[1, 2, 1, 3, 2]]]])
    y, ctx = fastnn.adaptive_max_pool2d.forward(x, (1, 3), backend=backend)
    assert np.array_equal(y, [[[[3, 9, 6]]]])
    dx = fastnn.adaptive_max_pool2d.backward(ctx, np.array([[[[2.0, 3, 4]]]])).x
    assert np.array_equal(dx, [[[[0, 2, 3, 4, 0]]]])


@pytest.mark.parametrize("size", [1, 7, 33, 4099])
def test_global_max_takes_the_first_of_ties_and_nan(backend, size):
    x = np.full((3, 1, size), -inf, np.float32)
    x[1, 0, size // 2 :] = 5
    x[2, 0, size // 2], x[2, 0, -1] = nan, 7
    if size == 1:
        x[2] = nan
    y, ctx = fastnn.global_max_pool.forward(x, backend=backend)
    np.testing.assert_array_equal(y.ravel(), [-inf, 5, nan])
    dx = fastnn.global_max_pool.backward(ctx, np.ones_like(y)).x
    assert [int(d.argmax()) for d in dx] == [0, size // 2, size // 2] and dx.sum() == 3


def test_global_pooling_is_adaptive_pooling_to_one(backend):
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 17))
    y = fastnn.global_max_pool(x, backend=backend)
    assert np.array_equal(y, fastnn.adaptive_max_pool2d(x, 1, backend=backend)[..., 0, 0])
    y = fastnn.global_avg_pool(x, backend=backend)
    want = fastnn.adaptive_avg_pool2d(x, 1, backend=backend)[..., 0, 0]
    np.testing.assert_allclose(y, want, rtol=1e-14, atol=1e-16)


def test_averages_of_large_windows_keep_their_digits(backend):
    x = np.full((1, 1, 1, 3 << 20), 1000.1, np.float32)
    np.testing.assert_allclose(fastnn.global_avg_pool(x, backend=backend), 1000.1, rtol=1e-5)


def test_nearest_takes_whole_numbers_exactly(backend):
    # floor(i * 5 / 3) = 0, 1, 3 and floor(i * 3 / 5) = 0, 0, 1, 1, 2.
    x = np.arange(5.0).reshape(1, 1, 5)
    assert np.array_equal(fastnn.interpolate(x, 3, backend=backend), [[[0, 1, 3]]])
    y, ctx = fastnn.interpolate.forward(x[..., :3], 5, backend=backend)
    assert np.array_equal(y, [[[0, 0, 1, 1, 2]]])
    dx = fastnn.interpolate.backward(ctx, np.array([[[1.0, 2, 3, 4, 5]]])).x
    assert np.array_equal(dx, [[[3, 7, 5]]])


def test_bilinear_by_hand(backend):
    # 2 to 4 columns: places -1/4 (moved to 0), 1/4, 3/4, 5/4 (moved to 1).
    x = np.array([[[[0.0, 8], [16, 24]]]])
    y = fastnn.interpolate(x, (1, 4), mode="bilinear", backend=backend)
    assert np.array_equal(y, [[[[8, 10, 14, 16]]]])  # the row's place is 1/2
    y = fastnn.interpolate(x, (3, 3), mode="bilinear", align_corners=True, backend=backend)
    assert np.array_equal(y, [[[[0, 4, 8], [8, 12, 16], [16, 20, 24]]]])


def test_a_given_factor_sets_the_coordinates(backend):
    # 3 * 1.5 = 4.5, so 4 columns, a step of 2/3 and not 3/4: places -1/6, 1/2, 7/6, 11/6.
    x = np.array([[[[0.0, 6, 12]]]])
    y = fastnn.interpolate(x, scale_factor=(1, 1.5), mode="bilinear", backend=backend)
    np.testing.assert_allclose(y, [[[[0, 3, 7, 11]]]], rtol=1e-14)


def test_padding_copies_what_is_not_finite(backend):
    x = np.array([[nan, 1.0, inf]])
    y = fastnn.pad(x, (1, 2, 1, 0), value=-inf, backend=backend)
    np.testing.assert_array_equal(y, [[-inf] * 6, [-inf, nan, 1, inf, -inf, -inf]])
    y = fastnn.pad(x, (2, 1), mode="reflect", backend=backend)
    np.testing.assert_array_equal(y, [[inf, 1, nan, 1, inf, 1]])


def test_padding_adds_up_where_copies_came_from(backend):
    x = np.zeros((2, 3))
    dy = np.arange(24.0).reshape(
        4, 6
    )  # rows 0 1 0 1 (reflect: -1 -> 1, 2 -> 0) of columns 2 1 0 1 2 1
    _, ctx = fastnn.pad.forward(x, (2, 1, 1, 1), mode="reflect", backend=backend)
    rows = np.array([dy[1] + dy[3], dy[0] + dy[2]])
    want = np.stack([rows[:, 2], rows[:, 1] + rows[:, 3] + rows[:, 5], rows[:, 0] + rows[:, 4]], 1)
    assert np.array_equal(fastnn.pad.backward(ctx, dy).x, want)


def test_an_empty_batch_is_padded_with_the_constant():
    y, ctx = fastnn.pad.forward(np.zeros((0, 2)), (0, 0, 1, 2), value=3.0)
    assert np.array_equal(y, np.full((3, 2), 3.0))
    assert fastnn.pad.backward(ctx, y).x.shape == (0, 2)
