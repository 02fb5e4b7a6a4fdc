"""A quick slice of the random calls; `fastnn selftest --fuzz N` is the long run."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn.dispatch import Impl
from fastnn.errors import OptionError, ShapeError
from fastnn.testing import _fuzz

SLICES, TRIALS = 8, 1500


@pytest.mark.parametrize("part", range(SLICES))
def test_random_calls_are_refused_or_equal(part: int) -> None:
    failures = []
    counts = dict.fromkeys(("compared", "refused", "large", "failed"), 0)
    for seed in range(part * TRIALS, (part + 1) * TRIALS):
        outcome = _fuzz.attempt(seed)
        counts[outcome.what] += 1
        if outcome.failure:
            failures.append(f"{outcome.failure}; {_fuzz.reproducer(seed)}")
    assert not failures, "\n".join(failures)
    assert counts["compared"] > TRIALS // 2 and counts["refused"] > TRIALS // 8, counts


def test_the_fuzzer_finds_a_wrong_gradient() -> None:
    """One sign of one gradient, in one corner of the options."""
    right = fastnn.relu.impl("naive")

    def backward(call, saved, dy, needs):
        (dx,) = right.backward(call, saved, dy, needs)
        return (-dx if dx is not None and dx.ndim == 2 else dx,)

    fastnn.relu.register(Impl("planted:wrong", op="relu", forward=right.forward, backward=backward))
    try:
        found = [_fuzz.attempt(seed, ["relu"]).failure for seed in range(60)]
    finally:
        fastnn.relu.unregister("planted:wrong")
    assert any(f is not None and "planted:wrong: a gradient differs" in f for f in found)


# What the fuzzer found, each with its first seed.


@pytest.mark.parametrize("backend", [[], {1}, np.array([1.0]), 3])
def test_a_backend_that_is_no_name(backend: object) -> None:
    with pytest.raises(OptionError, match=r"relu: backend=.*; it must be a name"):
        fastnn.relu(np.ones(3), backend=backend)


def test_a_result_too_large_to_number() -> None:
    x, w = np.zeros((0, 3, 6, 5)), np.zeros((3, 4, 3, 2))
    with pytest.raises(ShapeError, match=r"conv_transpose2d: the result would have shape"):
        fastnn.conv_transpose2d(x, w, dilation=2**31)


@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_the_stride_of_a_single_window_costs_nothing(backend: str) -> None:
    """It was walked through cell by cell: minutes for 2**31."""
    if fastnn.dispatch.unavailable(backend):
        pytest.skip(f"{backend}: {fastnn.dispatch.unavailable(backend)}")
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 2, 7, 6)), rng.standard_normal((4, 1, 3, 2))
    y, ctx = fastnn.conv2d.forward(x, w, stride=2**31, groups=2, backend=backend)
    want, right = fastnn.conv2d.forward(x, w, stride=2**31, groups=2, backend="naive")
    np.testing.assert_allclose(y, want, rtol=1e-12)
    dy = np.ones_like(y)
    got = fastnn.conv2d.backward(ctx, dy)
    np.testing.assert_allclose(got.x, fastnn.conv2d.backward(right, dy).x, rtol=1e-12)
