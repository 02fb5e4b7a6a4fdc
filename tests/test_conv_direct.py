"""The direct convolution around the edges of its tiles, vectors, rows, images and chunks."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import _ext

pytestmark = pytest.mark.skipif(
    fastnn.dispatch.unavailable("cython") is not None, reason="needs the compiled extension"
)
DIRECT = "cython:direct"
EDGES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 24, 25, 31, 32, 33, 63, 64, 65, 129]


def integers(rng, *shape, dtype=np.float32):
    return rng.integers(-3, 4, shape).astype(dtype)


def windows(x, w, stride, padding, dilation):
    """x as N C P Q R S, by NumPy's own strides."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    span = [dilation * (taps - 1) + 1 for taps in w.shape[2:]]
    seen = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return seen[:, :, ::stride, ::stride, ::dilation, ::dilation]


def check(x, w, b=None, *, stride=1, padding=0, dilation=1, needs=("x",)):
    """y and dx, bitwise on integers, against NumPy."""
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    y, ctx = fastnn.conv2d.forward(x, w, b, **options, backend=DIRECT)
    seen = windows(x, w, **options)
    want = np.einsum("ncpqrs,kcrs->nkpq", seen, w, optimize=True)
    assert np.array_equal(y, want if b is None else want + b[:, None, None])
    dy = integers(np.random.default_rng(5), *y.shape, dtype=x.dtype)
    dx = np.zeros_like(np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)]))
    for r in range(w.shape[2]):
        for s in range(w.shape[3]):
            rows = slice(r * dilation, r * dilation + (y.shape[2] - 1) * stride + 1, stride)
            columns = slice(s * dilation, s * dilation + (y.shape[3] - 1) * stride + 1, stride)
            dx[:, :, rows, columns] += np.einsum("nkpq,kc->ncpq", dy, w[:, :, r, s], optimize=True)
    inner = slice(padding, -padding) if padding else slice(None)
    assert np.array_equal(fastnn.conv2d.backward(ctx, dy, needs=needs).x, dx[:, :, inner, inner])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", EDGES)
def test_widths_and_filters_around_every_tile_edge(n, dtype):
    rng = np.random.default_rng(n)
    x, w = integers(rng, 2, 5, 3, n, dtype=dtype), integers(rng, n, 5, 3, 3, dtype=dtype)
    check(x, w, integers(rng, n, dtype=dtype), padding=1)
    check(integers(rng, 1, n, 2, 35, dtype=dtype), integers(rng, 17, n, 1, 1, dtype=dtype))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 14])
def test_small_images_share_panels(size, stride):
    """A panel crosses rows and images; an image alone has the same bits as in its batch."""
    rng = np.random.default_rng(size)
    check(integers(rng, 9, 6, size, size), integers(rng, 19, 6, 3, 3), stride=stride, padding=1)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((9, 6, size, size), (19, 6, 3, 3)))
    options = {"stride": stride, "padding": 1, "backend": DIRECT}
    y, ctx = fastnn.conv2d.forward(x, w, **options)
    dx = fastnn.conv2d.backward(ctx, y, needs=("x",)).x
    for i in range(9):
        one, ctx = fastnn.conv2d.forward(x[i : i + 1], w, **options)
        assert np.array_equal(one[0], y[i])
        assert np.array_equal(fastnn.conv2d.backward(ctx, one, needs=("x",)).x[0], dx[i])


@pytest.mark.parametrize(
    "x,w,options",
    [
        ((1, 2, 3, 1100), (3, 2, 2, 3), {"padding": 1}),
        ((1, 2, 3, 1100), (3, 2, 2, 3), {"stride": 2}),
        ((2, 2, 40, 90), (13, 2, 2, 2), {"dilation": 30}),
        ((2, 3, 61, 47), (8, 3, 2, 1), {"stride": 7, "padding": 2}),
        ((3, 90, 9, 10), (20, 90, 3, 3), {"padding": 1}),
        ((2, 300, 6, 5), (7, 300, 1, 1), {"stride": 2}),
        ((2, 40, 30, 31), (5, 40, 3, 3), {}),
    ],
    ids=[
        "parts of a row",
        "strided parts",
        "far taps",
        "few rows",
        "blocks",
        "strided",
        "in place",
    ],
)
def test_each_way_to_lay_out_the_strip(x, w, options):
    rng = np.random.default_rng(0)
    check(integers(rng, *x), integers(rng, *w), **options)


def test_same_bits_as_im2col_forward():
    """They share one order of sums, so that either may be chosen for its speed alone."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((3, 70, 11, 9), (21, 70, 3, 3)))
    a, b = (
        fastnn.conv2d(x, w, padding=1, stride=2, backend=name) for name in (DIRECT, "cython:im2col")
    )
    assert np.array_equal(a, b)


def test_filters_beyond_the_workspace_are_packed_in_blocks():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((1, 300, 8, 8), (600, 300, 5, 5)))
    y, ctx = fastnn.conv2d.forward(x, w, backend=DIRECT)
    dx = fastnn.conv2d.backward(ctx, y, needs=("x",)).x
    limit = 4 << 20
    with fastnn.use(workspace=limit, threads=2):
        _ext._core.scratch_most()
        assert np.array_equal(fastnn.conv2d(x, w, backend=DIRECT), y)
        assert _ext._core.scratch_most() <= limit
        assert np.array_equal(fastnn.conv2d.backward(ctx, y, needs=("x",)).x, dx)
        assert _ext._core.scratch_most() <= limit
