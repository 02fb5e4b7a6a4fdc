"""NaN, infinities, the smallest numbers and -0 at every place: all backends agree with naive.

Sample n of a batch has one special number in one cell, so a call tries them all. Agreement is of
kind (NaN, +Inf, -Inf, finite) in every place of the result and of dx, and of numbers where finite.
Winograd's algorithm is left out, for it spreads NaN, as `conv2d` says.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np

import fastnn

WINDOWS = [*itertools.product((1, 2, 3), repeat=2)]
POINTWISE = ("relu", "leaky_relu", "elu", "selu", "silu", "sigmoid", "tanh", "softplus", "gelu",
             "hardsigmoid", "hardswish")  # fmt: skip


def specials(dtype):
    info = np.finfo(dtype)
    return [np.nan, np.inf, -np.inf, info.smallest_subnormal, -info.tiny / 2, -0.0]


def planted(channels, size, dtype, seed=0):
    """A batch in which each cell of an image takes each special number once."""
    rng = np.random.default_rng(seed)
    values = specials(dtype)
    cells = [*itertools.product(range(size[0]), range(size[1]))]
    x = rng.uniform(0.5, 2, (len(values) * len(cells), channels, *size)).astype(dtype)
    x *= rng.choice([-1, 1], x.shape)
    for n, (value, (i, j)) in enumerate(itertools.product(values, cells)):
        x[n, n % channels, i, j] = value
    return x


def kinds(a):
    """0 for finite, 1 and 2 for the infinities, 3 for NaN."""
    return np.isnan(a) * 3 + (a == np.inf) * 1 + (a == -np.inf) * 2


def difference(got, want, channels=1):
    """What differs, or None; sums over channels of numbers near 1 round like their magnitudes."""
    wrong = kinds(got) != kinds(want)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"{got[place]} at {place}, naive has {want[place]} ({wrong.sum()} such)"
    finite = np.isfinite(want)
    got, want = got[finite], want[finite]
    far = np.abs(got - want) > 100 * np.finfo(got.dtype).eps * np.maximum(np.abs(want), channels)
    return f"{far.sum()} finite numbers differ" if far.any() else None


def calls(channels, window, dtype):
    """(operation, arguments) of each kind of window."""
    rng = np.random.default_rng(channels)
    x = planted(channels, (4, 4), dtype)
    for name in ("max_pool2d", "avg_pool2d"):
        for padding in (0, tuple(t // 2 for t in window)):
            yield name, {"x": x, "kernel_size": window, "stride": 1, "padding": padding}
    w = rng.uniform(0.5, 2, (2, channels, *window)).astype(dtype)
    yield "conv2d", {"x": x, "w": w}
    yield "conv2d", {"x": x, "w": w, "padding": 1}
    yield "conv_transpose2d", {"x": x, "w": w.swapaxes(0, 1).copy(), "stride": 2}
    deep = rng.uniform(0.5, 2, (channels, 1, *window)).astype(dtype)
    yield "conv2d", {"x": x, "w": deep, "groups": channels, "padding": 1}


def compare(name, arguments, failures):
    """Forward and dx on every implementation against naive; how many results were compared."""
    op = getattr(fastnn, name)
    count = 0
    with np.errstate(all="ignore"):
        want, ctx = op.forward(**arguments, backend="naive")
        # dy is of one sign and never 0, so that dx has no sum whose kind depends on the order.
        dy = np.linspace(1, 2, want.size).reshape(want.shape).astype(want.dtype)
        right = op.backward(ctx, dy, needs=("x",)).x
        for impl in op.impls:
            if impl in ("naive", "cython:winograd") or op.impl(impl).supports(ctx.call):
                continue
            y, own = op.forward(**arguments, backend=impl)
            pairs = (("y", y, want), ("dx", op.backward(own, dy, needs=("x",)).x, right))
            for what, got, exact in pairs:
                count += got.size
                wrong = difference(got, exact, arguments["x"].shape[1])
                if wrong:
                    shapes = {k: v.shape if isinstance(v, np.ndarray) else v
                              for k, v in arguments.items()}  # fmt: skip
                    failures.append(f"{name} {impl} {want.dtype} {shapes}: {what} is {wrong}")
    return count


def run(channels=range(1, 34), windows=WINDOWS, dtypes=("float32", "float64")):
    """(results compared, failures)."""
    failures: list[str] = []
    count = 0
    for dtype, c, window in itertools.product(dtypes, channels, windows):
        for name, arguments in calls(c, window, dtype):
            count += compare(name, arguments, failures)
        if window == windows[-1]:
            print(f"{dtype}, {c} channels: {count:,} compared", file=sys.stderr)
    for dtype, name, size in itertools.product(dtypes, POINTWISE, channels):
        count += compare(name, {"x": planted(1, (1, size), dtype)}, failures)
    return count, failures
