"""Ring 1: activations, values worked by hand or published, kinks, infinities and NaN."""

import math

import numpy as np
import pytest

import fastnn

BACKENDS = [b for b in fastnn.dispatch.BACKENDS if fastnn.dispatch.unavailable(b) is None]
NAN, INF = np.nan, np.inf


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def both(op, x, *args, backend, dtype=np.float64, **options):
    y, ctx = op.forward(np.array(x, dtype), *args, backend=backend, **options)
    return y, op.backward(ctx, np.ones_like(y)).x


def near(got, want, tolerance=1e-15):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_leaky_relu(backend):
    x = [-4, 0, 3, -INF, INF, NAN]
    y, dx = both(fastnn.leaky_relu, x, 0.25, backend=backend)
    np.testing.assert_array_equal(y, [-1, 0, 3, -INF, INF, NAN])
    np.testing.assert_array_equal(dx, [0.25, 0.25, 1, 0.25, 1, 0.25])


def test_prelu_at_its_kink(backend):
    # Zero belongs to the slope w, on both sides of it: dx = w dy, and x dy = 0 adds nothing to dw.
    y, ctx = fastnn.prelu.forward(np.array([[-4.0, 0, -0.0, 3]]), np.array([0.25]), backend=backend)
    assert np.array_equal(y, [[-1, 0, 0, 3]])
    dx, dw = fastnn.prelu.backward(ctx, np.array([[1.0, 2, 4, 8]]))
    assert np.array_equal(dx, [[0.25, 0.5, 1, 8]]) and np.array_equal(dw, [-4])


def test_elu(backend):
    # exp(-ln 2) - 1 = -1/2.
    x = [-math.log(2), 0, 3, -INF, INF, NAN]
    y, dx = both(fastnn.elu, x, 2.0, backend=backend)
    near(y, [-1, 0, 3, -2, INF, NAN])
    near(dx, [1, 2, 1, 0, 1, NAN])


def test_elu_keeps_digits_near_zero(backend):
    y, _ = both(fastnn.elu, [-1e-12, -1e-300, -5e-324], backend=backend)
    near(y, [-1e-12 + 5e-25, -1e-300, -5e-324])
    assert y[2] == -5e-324


def test_selu_has_its_fixed_point(backend):
    # Klambauer et al., equation 14: alpha and scale to eight digits.
    y, _ = both(fastnn.selu, [1, -INF], backend=backend)
    near(y, [1.05070098, -1.05070098 * 1.67326324], 1e-8)


def test_gelu(backend):
    # P(1) = 0.8413447460685429 (tables of the normal distribution).
    x = [1, -1, 0, -INF, INF, NAN]
    y, dx = both(fastnn.gelu, x, backend=backend)
    near(y, [0.8413447460685429, -0.1586552539314571, 0, 0, INF, NAN])
    bell = math.exp(-0.5) / math.sqrt(2 * math.pi)
    near(dx, [0.8413447460685429 + bell, 0.1586552539314571 - bell, 0.5, 0, 1, NAN])
    y, dx = both(fastnn.gelu, x, "tanh", backend=backend)
    gate = (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715)) / 2
    near(y, [gate, gate - 1, 0, 0, INF, NAN])
    near(dx[2:], [0.5, 0, 1, NAN])


def test_gelu_keeps_digits_far_out(backend):
    # -30 P(-30), P from erfc; 1 + erf would give 0.
    y, _ = both(fastnn.gelu, [-30.0], backend=backend)
    near(
        y / (-30 * math.erfc(30 / math.sqrt(2)) / 2), [1], 1e-12
    )  # the reference rounds 30 / sqrt(2)


def test_silu_and_sigmoid(backend):
    # exp(-ln 3) = 1/3: sigmoid 3/4.
    x = [math.log(3), 0, -math.log(3), -INF, INF, NAN]
    y, dx = both(fastnn.sigmoid, x, backend=backend)
    near(y, [0.75, 0.5, 0.25, 0, 1, NAN])
    near(dx, [0.1875, 0.25, 0.1875, 0, 0, NAN])
    y, dx = both(fastnn.sigmoid, np.divide(x, 2), scale=2.0, backend=backend)
    near(y, [0.75, 0.5, 0.25, 0, 1, NAN])
    near(dx, [0.375, 0.5, 0.375, 0, 0, NAN])
    y, dx = both(fastnn.silu, x, backend=backend)
    near(y, [0.75 * x[0], 0, 0.25 * x[2], 0, INF, NAN])
    near(dx, [0.75 + x[0] * 0.1875, 0.5, 0.25 + x[2] * 0.1875, 0, 1, NAN])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_overflows(backend, dtype):
    x = [-1e4, 1e4, -1e30, 1e30]
    for op, want in ((fastnn.sigmoid, [0, 1, 0, 1]), (fastnn.tanh, [-1, 1, -1, 1])):
        y, dx = both(op, x, backend=backend, dtype=dtype)
        np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(dx, 0)
    gates = ((fastnn.silu, {}), (fastnn.gelu, {}), (fastnn.gelu, {"approximate": "tanh"}),
             (fastnn.softplus, {}), (fastnn.softplus, {"threshold": 1e38}))  # fmt: skip
    for op, options in gates:
        y, dx = both(op, x, backend=backend, dtype=dtype, **options)
        np.testing.assert_array_equal(y, np.array([0, 1e4, 0, 1e30], dtype))
        np.testing.assert_array_equal(dx, [0, 1, 0, 1])


def test_tanh(backend):
    # tanh(ln 2) = (2 - 1/2) / (2 + 1/2) = 3/5.
    y, dx = both(fastnn.tanh, [math.log(2), -math.log(2), 0, -INF, INF, NAN], backend=backend)
    near(y, [0.6, -0.6, 0, -1, 1, NAN])
    near(dx, [0.64, 0.64, 1, 0, 0, NAN])


def test_softplus(backend):
    # log(1 + exp(ln 3)) = ln 4; at the threshold itself the logarithm, above it x.
    x = [math.log(3), 0, -INF, INF, NAN]
    y, dx = both(fastnn.softplus, x, backend=backend)
    near(y, [math.log(4), math.log(2), 0, INF, NAN])
    near(dx, [0.75, 0.5, 0, 1, NAN])
    y, dx = both(fastnn.softplus, [0.5, 0.5 + 1e-12], 2.0, 1.0, backend=backend)
    near(y, [math.log1p(math.e) / 2, 0.5 + 1e-12])
    near(dx, [math.e / (1 + math.e), 1])
    tiny, _ = both(fastnn.softplus, [-700.0], backend=backend)
    near(tiny / math.exp(-700), [1], 1e-13)


def test_hardsigmoid_and_hardswish_at_their_kinks(backend):
    x = [-3, 3, 0, -INF, INF, NAN]
    y, dx = both(fastnn.hardsigmoid, x, backend=backend)
    near(y, [0, 1, 0.5, 0, 1, NAN])
    near(dx, [0, 0, 1 / 6, 0, 0, 0])
    y, dx = both(fastnn.hardswish, x, backend=backend)
    near(y, [0, 3, 0, 0, INF, NAN])
    near(dx, [0, 1, 0.5, 0, 1, NAN])
