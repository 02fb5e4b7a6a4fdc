"""Depthwise convolution around the edges of its vectors, rows and tiles, plane by plane or not."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.skipif(
    fastnn.dispatch.unavailable("cython") is not None, reason="needs the compiled extension"
)


def check(n, c, size, taps, *, filters=1, padding=(0, 0), dtype=np.float32):
    """y, dx and dw, bitwise on integers, against the same as a convolution with all channels."""
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 4, (n, c, *size)).astype(dtype)
    w = rng.integers(-3, 4, (c * filters, 1, *taps)).astype(dtype)
    b = rng.integers(-3, 4, c * filters).astype(dtype)
    y, ctx = fastnn.conv2d.forward(x, w, b, padding=padding, groups=c, backend="cython:depthwise")
    dy = rng.integers(-3, 4, y.shape).astype(dtype)
    got = fastnn.conv2d.backward(ctx, dy)
    spread = np.zeros((c * filters, c, *taps), dtype)
    own = np.arange(c * filters), np.arange(c * filters) // filters
    spread[own] = w[:, 0]
    want, ctx = fastnn.conv2d.forward(x, spread, b, padding=padding, backend="cython:im2col")
    grads = fastnn.conv2d.backward(ctx, dy)
    assert np.array_equal(y, want)
    assert np.array_equal(got.x, grads.x)
    assert np.array_equal(got.w[:, 0], grads.w[own])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 65])
def test_widths_around_vectors(width, dtype):
    check(2, 3, (5, width), (3, 3), padding=(1, 1), dtype=dtype)
    check(1, 2, (4, width), (3, 2), filters=2, padding=(1, 0), dtype=dtype)


@pytest.mark.parametrize("taps", [(3, 3), (5, 5), (7, 7), (3, 1), (5, 2), (7, 4), (2, 3), (4, 4)])
@pytest.mark.parametrize("height", [1, 2, 7, 8, 9, 16, 17, 30])
def test_heights_around_groups_of_rows(height, taps):
    check(1, 3, (height, 21), taps, padding=(taps[0] // 2, taps[1] // 2))


@pytest.mark.parametrize("size", [(70, 70), (3, 5000), (300, 17), (12, 1500), (64, 65)])
@pytest.mark.parametrize("padding", [(1, 1), (0, 0), (2, 5)])
def test_tiles_of_large_planes(size, padding):
    check(2, 2, size, (3, 3), padding=padding)


def test_zeros_beside_a_plane_stay_for_the_next():
    """Planes of a task share their borders, which are written once."""
    check(9, 8, (18, 18), (5, 5), padding=(4, 3))
