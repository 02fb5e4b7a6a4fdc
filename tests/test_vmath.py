"""The vector functions of _ext/src/vmath.h: a sample of every exponent, within 4 ULP."""

import math

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.skipif(
    fastnn.dispatch.unavailable("cython") is not None, reason="needs the compiled extension"
)


def sigmoid(x):
    with np.errstate(over="ignore"):
        return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))


@np.vectorize
def normal_cdf(x):
    return math.erfc(-x / math.sqrt(2)) / 2


FUNCTIONS = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "normal_cdf": normal_cdf,
}


def compiled(name, x):
    from fastnn._ext import _activation

    y = np.empty_like(x)
    _activation.pointwise_forward(name, (1.0, 0.0), x, y)
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_4_ulp_of_float64(name):
    """All float32 numbers whose last 13 bits are those of a prime step: half a million."""
    x = np.arange(0, 2**32, 8191, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        want = FUNCTIONS[name](x.astype(np.float64))
        rounded = want.astype(np.float32)
    got = compiled(name, x)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(rounded))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(rounded))
    finite = np.isfinite(rounded)
    ulp = np.spacing(np.abs(rounded[finite])).astype(np.float64)
    assert np.max(np.abs(got[finite] - want[finite]) / ulp) <= 4


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_within_5_ulp_of_the_c_library(name):
    """The library's own error, up to 1 ULP, is in the figure."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, 200_000, np.uint64, endpoint=False).view(np.float64)
    x = np.concatenate([bits, rng.normal(0, 2, 100_000), rng.normal(0, 200, 100_000)])
    with np.errstate(all="ignore"):
        want = FUNCTIONS[name](x)
    if name in ("sigmoid", "normal_cdf"):  # the formulas above lose digits far out
        x, want = x[np.abs(x) < 1], want[np.abs(x) < 1]
    got = compiled(name, x)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    finite = np.isfinite(want)
    error = np.abs(got[finite] - want[finite]) / np.spacing(np.abs(want[finite]))
    assert error.max() <= 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0], dtype)
    nan, inf = np.nan, np.inf
    wants = {
        "exp": [nan, inf, 0, 1, 1],
        "expm1": [nan, inf, -1, 0, -0.0],
        "log": [nan, inf, nan, -inf, -inf, nan],
        "log1p": [nan, inf, nan, 0, 0, -inf],
        "tanh": [nan, 1, -1, 0, -0.0],
        "sigmoid": [nan, 1, 0, 0.5, 0.5],
        "normal_cdf": [nan, 1, 0, 0.5, 0.5],
    }
    for name, want in wants.items():
        got = compiled(name, x)[: len(want)]
        np.testing.assert_array_equal(got, np.array(want, dtype), err_msg=name)
        np.testing.assert_array_equal(np.signbit(got[3:5]), np.signbit(want[3:5]), err_msg=name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_do_not_depend_on_the_place(name):
    """Tails go through whole vectors: an element alone is what it is in the middle of an array."""
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(1).normal(0, 3, 67).astype(dtype)
        whole = compiled(name, x)
        for i in (0, 1, 31, 66):
            np.testing.assert_array_equal(compiled(name, x[i : i + 1].copy()), whole[i : i + 1])
