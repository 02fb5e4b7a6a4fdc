"""Winograd's convolution: its matrices, precision, bits, bounds on memory, and what NaN spoils."""

import ctypes
import mmap
import sys
from fractions import Fraction

import numpy as np
import pytest

import fastnn
from fastnn import _ext, dispatch, testing

pytestmark = pytest.mark.skipif(
    dispatch.unavailable("cython") is not None, reason="needs the compiled extension"
)

IMPL = "cython:winograd"
POINTS = {2: [0, 1, -1], 4: [0, 1, -1, Fraction(1, 2), -2]}


def numbers(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def everything(x, w, dy=None, **options):
    """y, dx, dw of Winograd's implementation."""
    y, ctx = fastnn.conv2d.forward(x, w, backend=IMPL, **options)
    grads = fastnn.conv2d.backward(ctx, numbers(*y.shape, dtype=y.dtype) if dy is None else dy)
    return y, grads.x, grads.w


def matrices(points, m):
    """B, G, A of Cook's and Toom's construction, rows by point, the last for infinity."""

    def polynomial(roots):
        coefficients = [Fraction(1)]
        for r in roots:
            higher, lower = [0, *coefficients], [*coefficients, 0]
            coefficients = [h - r * low for h, low in zip(higher, lower, strict=True)]
        return coefficients + [Fraction(0)] * (len(points) - len(roots))

    b, g, a = [], [], []
    for i, p in enumerate(points):
        others = points[:i] + points[i + 1 :]
        slope = Fraction(1)
        for q in others:
            slope *= p - q
        b.append(polynomial(others))
        g.append([Fraction(p) ** k / slope for k in range(3)])
        a.append([Fraction(p) ** k for k in range(m)])
    return [*b, polynomial(points)], [*g, [0, 0, 1]], [*a, [0] * (m - 1) + [1]]


def size(row):
    return sum(map(abs, row))


@pytest.mark.parametrize("m", POINTS)
def test_growth_follows_from_the_points(m):
    """The bounds of the comparisons are those of the matrices, worked out in fractions."""
    from fastnn.ops.conv import cython_winograd

    b, g, a = matrices(POINTS[m], m)
    every = list(zip(a, g, b, strict=True))
    y = max(sum(abs(p[o]) * size(t) * size(c) for p, t, c in every) for o in range(m)) / 3
    dw = max(sum(abs(t[o]) * size(p) * size(c) for p, t, c in every) for o in range(3)) / m
    assert cython_winograd.GROWTH[m] == pytest.approx(float(y**2), rel=1e-3)
    assert cython_winograd.GROWTH_DW[m] == pytest.approx(float(dw**2), rel=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "case", [c for c in fastnn.conv2d.cases() if c.kind != "bench"], ids=lambda c: c.id
)
def test_fast_agrees_with_naive(case, dtype):
    with fastnn.use(precision="fast"):
        testing.check_impl(fastnn.conv2d, IMPL, case, dtype)


def test_comparisons_reject_a_wrong_tap():
    """The bound is wide, yet not wide enough for a tap that is off by a fiftieth."""

    def wrong(call, x, w, b, *, out, save):
        spoilt = w.copy()
        spoilt[0, 0, 0, 0] *= 1.02
        return right.forward(call, x, spoilt, b, out=out, save=save)

    right = fastnn.conv2d.impl(IMPL)
    case = fastnn._cases.case(
        "core", x=fastnn._cases.shape(1, 4, 9, 9), w=fastnn._cases.shape(3, 4, 3, 3)
    )
    fastnn.conv2d.register(
        fastnn.Impl(
            "mine:wrong",
            op="conv2d",
            forward=wrong,
            backward=right.backward,
            bounds=right.bounds,
        )
    )
    try:
        with fastnn.use(precision="fast"), pytest.raises(AssertionError, match="must be at most 1"):
            testing.check_impl(fastnn.conv2d, "mine:wrong", case, "float32")
    finally:
        fastnn.conv2d.unregister("mine:wrong")


def agree(x, w, dtype, **options):
    """y, dx and dw of random numbers are im2col's in float64."""
    x, w = numbers(*x, dtype=dtype), numbers(*w, dtype=dtype, seed=1)
    got = everything(x, w, **options)
    dy = numbers(*got[0].shape, dtype=dtype).astype("float64")
    y, ctx = fastnn.conv2d.forward(
        x.astype("float64"), w.astype("float64"), backend="cython:im2col", **options
    )
    grads = fastnn.conv2d.backward(ctx, dy)
    for a, b in zip(got, (y, grads.x, grads.w), strict=True):
        assert np.abs(a - b).max() <= 100 * np.finfo(dtype).eps * np.abs(b).max()


# Around every edge of tiles, vectors and panels: 2, 4 results; 2 to 16 lanes; 12 or 6 rows.
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 49])
@pytest.mark.parametrize("precision", ["default", "fast"])
def test_sizes_around_every_edge(n, precision):
    for dtype in ("float32", "float64"):
        for x, w, padding in (
            ((2, n, 5, 6), (3, n, 3, 3), 1),
            ((1, 3, 6, 4), (n, 3, 3, 3), 1),
            ((1, 2, n, 4), (3, 2, 3, 3), 2),
            ((2, 3, 4, n), (2, 3, 3, 3), ((1, 0), (2, 3))),
        ):
            with fastnn.use(precision=precision):
                agree(x, w, dtype, padding=padding)


# Phases of one size and of two, one tile more in some, fewer rows or columns than phases.
@pytest.mark.parametrize("dilation", [(2, 2), (1, 3), (3, 1), (4, 7), (20, 20)])
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (8, 8), (9, 17), (25, 90)])
def test_dilations(size, dilation):
    for dtype in ("float32", "float64"):
        for precision in ("default", "fast"):
            with fastnn.use(precision=precision):
                options = {"dilation": dilation, "padding": dilation}
                agree((2, 3, *size), (5, 3, 3, 3), dtype, **options)
                agree((1, 34, *size), (34, 17, 3, 3), dtype, groups=2, **options)


# A block is at most 96 tiles and a chunk 128: several of both, rows cut and not, small images.
SHAPES = [
    ((5, 20, 30, 27), (37, 20, 3, 3), {"padding": 1}),
    ((3, 8, 9, 1000), (12, 4, 3, 3), {"groups": 2, "padding": (0, 1)}),
    ((170, 5, 3, 4), (18, 5, 3, 3), {"padding": 1}),
    ((4, 6, 24, 19), (18, 6, 3, 3), {"padding": (3, 1), "dilation": (3, 2)}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("precision", ["default", "fast"])
@pytest.mark.parametrize("x,w,options", SHAPES)
def test_bits_depend_on_nothing_but_numbers(x, w, options, precision, dtype):
    """Any number of threads, a small workspace, a sample alone or in a batch."""
    x, w = numbers(*x, dtype=dtype), numbers(*w, dtype=dtype, seed=1)
    with fastnn.use(precision=precision):
        whole = everything(x, w, **options)
        for threads in (1, 2, 3, 8):
            for workspace in (64 << 20, 1 << 20):
                with fastnn.use(threads=threads, workspace=workspace):
                    again = everything(x, w, **options)
                assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
        dy = numbers(*whole[0].shape, dtype=dtype)
        for cut in (slice(0, 1), slice(len(x) - 1, None), slice(1, 3)):
            some = everything(x[cut], w, dy[cut], **options)
            assert np.array_equal(some[0], whole[0][cut])
            assert np.array_equal(some[1], whole[1][cut])


@pytest.mark.parametrize(
    "x,w,limit",
    [
        pytest.param((2, 220, 9, 8), (200, 220, 3, 3), 1 << 20, id="transformed filters of 12 MB"),
        pytest.param((1, 1500, 3, 3), (9, 1500, 3, 3), 8 << 20, id="many channels"),
        pytest.param((1, 16, 5, 3000), (40, 16, 3, 3), 1 << 20, id="long rows"),
    ],
)
def test_scratch_stays_inside_the_workspace(x, w, limit):
    x, w = numbers(*x, dtype="float64"), numbers(*w, dtype="float64", seed=1)
    with fastnn.use(precision="fast"):
        y, ctx = fastnn.conv2d.forward(x, w, padding=1, backend=IMPL)
        grads = fastnn.conv2d.backward(ctx, y)
        with fastnn.use(workspace=limit, threads=3):
            _ext._core.scratch_most()
            small, ctx = fastnn.conv2d.forward(x, w, padding=1, backend=IMPL)
            assert _ext._core.scratch_most() <= limit + 4096
            for name in ("x", "w"):
                gradient = getattr(fastnn.conv2d.backward(ctx, y, needs=(name,)), name)
                assert _ext._core.scratch_most() <= limit + 4096
                assert np.array_equal(gradient, getattr(grads, name))
        assert np.array_equal(small, y)


def test_more_channels_than_the_workspace_has_room_for_are_refused():
    x, w = np.ones((1, 400, 3, 3)), np.ones((2, 400, 3, 3))
    assert fastnn.conv2d.impl(IMPL).supports(fastnn.conv2d.front(x, w).call) is None
    assert np.array_equal(fastnn.conv2d(x, w, backend=IMPL).ravel(), [3600, 3600])
    with (
        fastnn.use(workspace=1 << 20),
        pytest.raises(fastnn.UnsupportedError, match="400 channels need a workspace of"),
    ):
        fastnn.conv2d(x, w, backend=IMPL)


# -- precision -------------------------------------------------------------------------------------


def test_exact_turns_it_off():
    x, w = numbers(4, 32, 16, 16), numbers(32, 32, 3, 3)
    assert fastnn.conv2d.explain(x, w, padding=1).chosen == IMPL
    with fastnn.use(precision="exact"):
        assert fastnn.conv2d.explain(x, w, padding=1).chosen != IMPL
        with pytest.raises(fastnn.UnsupportedError, match='precision="exact" turns it off'):
            fastnn.conv2d(x, w, padding=1, backend=IMPL)
    assert fastnn.conv2d.explain(x, w, padding=1).chosen == IMPL


def test_backward_has_the_precision_of_its_forward():
    x, w, dy = numbers(2, 20, 12, 12), numbers(24, 20, 3, 3), numbers(2, 24, 12, 12)
    seen = {}
    for level in ("default", "fast"):
        with fastnn.use(precision=level):
            y, ctx = fastnn.conv2d.forward(x, w, padding=1, backend=IMPL)
            inside = fastnn.conv2d.backward(ctx, dy)
        outside = fastnn.conv2d.backward(ctx, dy)
        assert np.array_equal(inside.x, outside.x)
        seen[level] = y, inside
    assert not np.array_equal(seen["default"][0], seen["fast"][0])
    assert not np.array_equal(seen["default"][1].x, seen["fast"][1].x)
    assert np.array_equal(seen["default"][1].w, seen["fast"][1].w)  # F(4x4,3x3) in both


def test_default_is_as_accurate_as_a_plain_sum():
    x, w = numbers(2, 64, 20, 20), numbers(64, 64, 3, 3, seed=1) / 24
    dy = numbers(2, 64, 20, 20, seed=2)
    want = everything(*(a.astype("float64") for a in (x, w, dy)), padding=1)
    error = {}
    for level, impl in (("exact", "cython:im2col"), ("default", IMPL), ("fast", IMPL)):
        with fastnn.use(precision=level):
            y, ctx = fastnn.conv2d.forward(x, w, padding=1, backend=impl)
            grads = fastnn.conv2d.backward(ctx, dy)
        found = zip((y, grads.x, grads.w), want, strict=True)
        error[level] = [np.sqrt(np.mean((a - b) ** 2)) for a, b in found]
    for i in range(2):
        assert error["default"][i] < 2 * error["exact"][i]
        assert error["exact"][i] < error["fast"][i] < 10 * error["exact"][i]


@pytest.mark.parametrize(
    "x,w", [((28, 28), (64, 64)), ((7, 7), (24, 16)), ((12, 12), (16, 8)), ((3, 3), (64, 64))]
)
def test_the_choice_sees_neither_batch_nor_threads(x, w):
    chosen = set()
    for n in (1, 2, 7, 100):
        for threads in (1, 2, 16):
            with fastnn.use(threads=threads):
                call = np.empty((n, w[1], *x), "f4"), np.empty((*w, 3, 3), "f4")
                chosen.add(fastnn.conv2d.explain(*call, padding=1).chosen)
    assert len(chosen) == 1


# -- NaN -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision,m", [("default", 2), ("fast", 4)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_pixel_spoils_its_tiles_and_nothing_else(precision, m, bad):
    """Results of every tile whose cells hold the pixel are no numbers; the rest keep their bits."""
    x, w = numbers(3, 5, 21, 23), numbers(7, 5, 3, 3, seed=1)
    with fastnn.use(precision=precision):
        clean = fastnn.conv2d(x, w, padding=1, backend=IMPL)
        row, column = 9, 12
        x[1, 2, row, column] = bad
        y, ctx = fastnn.conv2d.forward(x, w, padding=1, backend=IMPL)
        dy = numbers(*y.shape)
        grads = fastnn.conv2d.backward(ctx, dy)
    spoilt = np.zeros(y.shape, bool)
    for p in range(0, 21, m):
        for q in range(0, 23, m):
            # Cells of the tile at (p, q) with one row and column of padding before the image.
            if p - 1 <= row < p + m + 1 and q - 1 <= column < q + m + 1:
                spoilt[1, :, p : p + m, q : q + m] = True
    assert np.array_equal(y[~spoilt], clean[~spoilt])
    inside = np.zeros(y.shape, bool)  # what the definition spoils
    inside[1, :, row - 1 : row + 2, column - 1 : column + 2] = True
    assert not np.isfinite(y[inside]).any() and not (inside & ~spoilt).any()
    assert not np.isfinite(grads.w[:, 2]).any()  # all taps of that channel
    assert np.isfinite(grads.w[:, [0, 1, 3, 4]]).all() and np.isfinite(grads.x).all()


def test_a_bad_weight_spoils_its_filter_and_channel():
    x, w = numbers(2, 5, 9, 8), numbers(7, 5, 3, 3, seed=1)
    clean = everything(x, w, padding=1)
    w[3, 2, 0, 1] = np.nan
    y, dx, dw = everything(x, w, padding=1)
    others = [0, 1, 2, 4, 5, 6]
    assert np.isnan(y[:, 3]).all() and np.array_equal(y[:, others], clean[0][:, others])
    assert np.isnan(dx[:, 2]).all()
    assert np.array_equal(dx[:, [0, 1, 3, 4]], clean[1][:, [0, 1, 3, 4]])
    assert np.array_equal(dw, clean[2])


# -- memory ----------------------------------------------------------------------------------------


def fenced(array):
    """A copy of `array` that ends where the next page may not be touched."""
    page = mmap.PAGESIZE
    whole = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, whole + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for fence in (start, start + page + whole):
        assert libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0
    copy = np.frombuffer(memory, array.dtype, array.size, page + whole - array.nbytes)
    copy = copy.reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")
@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (2, 16, 7, 7), (1, 19, 5, 18), (3, 33, 4, 2)])
def test_nothing_outside_the_arrays_is_touched(shape):
    from fastnn._ext import _conv

    x, w = numbers(*shape), numbers(17, shape[1], 3, 3)
    call = fastnn.conv2d.front(x, w, padding=1).call
    dy = numbers(*call.out)
    x, w, dy, y, dx, dw = (fenced(a) for a in (x, w, dy, dy, x, w))
    for m in (2, 4):
        _conv.winograd_forward(call, m, x, w, None, y)
        _conv.winograd_image(call, m, w, dy, None, dx)
        _conv.winograd_filters(call, m, x, dy, dw)
        for found, like in ((y, dy), (dx, x), (dw, w)):
            assert np.isfinite(found).all() and found.shape == like.shape
