"""The direct gradient of the filters around the edges of its tiles, vectors, strips and splits."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.skipif(
    fastnn.dispatch.unavailable("cython") is not None, reason="needs the compiled extension"
)


def check(x_shape, w_shape, *, stride=(1, 1), padding=(0, 0), groups=1, dtype=np.float32):
    """dw, bitwise on integers, against NumPy."""
    rng = np.random.default_rng(1)
    x, w = (rng.integers(-3, 4, s).astype(dtype) for s in (x_shape, w_shape))
    options = {"stride": stride, "padding": padding, "groups": groups}
    y, ctx = fastnn.conv2d.forward(x, w, **options, backend="cython:direct")
    dy = rng.integers(-3, 4, y.shape).astype(dtype)
    dw = fastnn.conv2d.backward(ctx, dy, needs=("w",)).w
    n, c = x_shape[:2]
    wide = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    seen = np.lib.stride_tricks.sliding_window_view(wide, w_shape[2:], axis=(2, 3))
    seen = seen[:, :, :: stride[0], :: stride[1]]
    seen = seen.reshape(n, groups, c // groups, *seen.shape[2:])
    dy = dy.reshape(n, groups, -1, *dy.shape[2:])
    want = np.einsum("ngcpqrs,ngkpq->gkcrs", seen, dy, optimize=True).reshape(w_shape)
    assert np.array_equal(dw, want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("filters", [1, 2, 5, 6, 7, 11, 12, 13, 20, 24, 25, 40])
def test_every_number_of_filters(filters, dtype):
    check((2, 3, 7, 9), (filters, 3, 3, 3), padding=(1, 1), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "channels,r,s",
    [(1, 1, 1), (1, 3, 3), (1, 5, 5), (3, 5, 5), (2, 4, 4), (3, 11, 11), (1, 1, 17), (1, 33, 1),
     (16, 4, 2), (13, 5, 1), (4, 8, 2)],
)  # fmt: skip
def test_windows_that_fill_vectors_and_those_that_do_not(channels, r, s, dtype):
    check((3, channels, r + 4, s + 6), (20, channels, r, s), dtype=dtype)
    check((2, channels, r + 1, s + 2), (9, channels, r, s), padding=(r // 2, s // 2), dtype=dtype)


@pytest.mark.parametrize("size", [(1, 3), (4, 5), (16, 16), (17, 15), (2, 255), (3, 600), (40, 7)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 2), (2, 3), (4, 5)])
def test_strips_of_images_of_rows_and_of_pieces_of_rows(size, stride):
    check((7, 2, *size), (10, 2, 3, 3), stride=stride, padding=(1, 1))
    check((2, 6, *size), (9, 2, 1, 3), stride=stride, padding=(0, 1), groups=3)


def test_many_filters_are_shared_out():
    """Sums of more filters than stay in the second level, and more channels than images have."""
    check((1, 20, 4, 4), (300, 20, 3, 3), padding=(1, 1))
    check((2, 3, 12, 12), (800, 3, 9, 9))


def test_partial_sums_keep_inside_the_workspace():
    """With the least memory the batch is split into two parts, else into twelve."""
    for workspace in (1 << 20, 1 << 26):
        with fastnn.use(workspace=workspace):
            check((5, 3, 40, 40), (128, 3, 11, 11))


@pytest.mark.parametrize("shape", [((9, 3, 40, 40), (25, 3, 3, 3)), ((3, 1, 70, 70), (6, 1, 5, 5))])
def test_the_same_bits_for_any_number_of_threads(shape):
    rng = np.random.default_rng(2)
    x, w = (rng.standard_normal(s, np.float32) for s in shape)
    y, ctx = fastnn.conv2d.forward(x, w, backend="cython:direct")
    dy = rng.standard_normal(y.shape, np.float32)
    found = []
    for threads in (1, 2, 3, 7):
        with fastnn.use(threads=threads):
            found.append(fastnn.conv2d.backward(ctx, dy, needs=("w",)).w)
    assert all(np.array_equal(found[0], dw) for dw in found[1:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (0, 2), (2, 0), (4, 5)])
@pytest.mark.parametrize("filters", [1, 2, 4])
def test_few_filters_on_many_channels(filters, padding, dtype):
    for r, s in ((1, 1), (3, 3), (2, 4), (5, 3)):
        check((2, 40, r + 3, s + 9), (filters, 40, r, s), padding=padding, dtype=dtype)
    check((3, 66, 7, 20), (3 * filters, 22, 3, 3), padding=padding, groups=3, dtype=dtype)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_few_filters_and_infinite_numbers(bad):
    """An infinite number beside an edge meets no zero that is not there by definition."""
    rng = np.random.default_rng(3)
    w = np.zeros((1, 40, 3, 3))
    for place in range(6):
        x = rng.integers(-3, 4, (1, 40, 6, 6)).astype(float)
        dy = rng.integers(-3, 4, (1, 1, 6, 6)).astype(float)
        (x if place % 2 else dy)[0, 0, (0, 3, 5)[place // 2], 5] = bad
        found = []
        for backend in ("naive", "cython:direct"):
            with np.errstate(invalid="ignore"):
                _, ctx = fastnn.conv2d.forward(x, w, padding=1, backend=backend)
                found.append(fastnn.conv2d.backward(ctx, dy, needs=("w",)).w)
        assert np.array_equal(*found, equal_nan=True)
