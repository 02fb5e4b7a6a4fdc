"""Initial values: ranges, moments, orthogonality, and which arrays of a model are filled."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from fastnn import init
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.layers import GRU, LSTM, BatchNorm2d, Conv2d, ConvTranspose2d, Linear, Sequential

SHAPE = (64, 48, 3, 5)  # fan_in 48*15 = 720, fan_out 64*15 = 960
SCHEMES = {
    "glorot": (init.glorot_uniform, init.glorot_normal, {}, math.sqrt(2 / (720 + 960))),
    "glorot gain": (init.glorot_uniform, init.glorot_normal, {"gain": 3.0}, 3 * math.sqrt(1 / 840)),
    "he": (init.he_uniform, init.he_normal, {}, math.sqrt(2 / 720)),
    "he out": (init.he_uniform, init.he_normal, {"mode": "fan_out"}, math.sqrt(2 / 960)),
    "he leaky": (init.he_uniform, init.he_normal, {"negative_slope": 0.5}, math.sqrt(1.6 / 720)),
    "lecun": (init.lecun_uniform, init.lecun_normal, {}, math.sqrt(1 / 720)),
}


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_deviation_is_the_formulas(name, dtype):
    flat, bell, options, std = SCHEMES[name]
    a = flat(np.empty(SHAPE, dtype), rng=0, **options)
    b = bell(np.empty(SHAPE, dtype), rng=0, **options)
    for drawn in (a, b):  # of 46,080 numbers: deviations of mean and std are 0.5 % and 0.4 %
        assert abs(drawn.mean()) < 0.02 * std
        assert drawn.std() == pytest.approx(std, rel=0.02)
    bound = math.sqrt(3) * std
    assert 0.999 * bound < np.abs(a).max() <= bound * (1 + 1e-6)
    assert np.abs(b).max() > 3.5 * std


def test_one_seed_is_one_network_for_either_dtype():
    single, double = (init.he_normal(np.empty(SHAPE, t), rng=7) for t in (np.float32, np.float64))
    np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (8, 2, 3, 1)])
def test_orthogonal_rows_or_columns(shape):
    w = init.orthogonal(np.empty(shape), gain=2.0, rng=0).reshape(shape[0], -1)
    small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-13)


def test_orthogonal_is_uniform_in_its_signs():
    """A bare QR decomposition gives one sign of a 1 by 1 matrix always."""
    signs = {float(init.orthogonal(np.empty((1, 1)), rng=seed)[0, 0]) for seed in range(20)}
    assert signs == {-1.0, 1.0}


def test_truncated_normal_is_drawn_again_and_not_clipped():
    a = init.truncated_normal(np.empty(100_000), mean=3.0, std=0.5, bound=2.0, rng=0)
    assert np.abs(a - 3).max() < 1.0 and len(np.unique(a)) == a.size
    # The variance of a normal distribution cut at 2: 1 - 2*2*phi(2)/(2*Phi(2) - 1)
    share = math.erf(math.sqrt(2))
    variance = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / share
    assert a.std() == pytest.approx(0.5 * math.sqrt(variance), rel=0.01)


def test_normal_uniform_and_constant():
    a = init.normal(np.empty(50_000), mean=2.0, std=3.0, rng=0)
    assert a.mean() == pytest.approx(2, abs=0.06) and a.std() == pytest.approx(3, rel=0.02)
    b = init.uniform(np.empty(50_000), low=-0.125, high=0.5, rng=0)
    assert -0.125 <= b.min() < -0.1249 and 0.4999 < b.max() < 0.5
    np.testing.assert_array_equal(init.constant(np.empty(3), value=0.25), 0.25)


def test_apply_fills_matrices_in_place_and_leaves_biases_and_norms():
    model = Sequential(Conv2d(3, 8, 3, rng=0), BatchNorm2d(8), Linear(8, 2, rng=0))
    arrays, before = dict(model.params), model.state_dict()
    assert init.apply(model, init.he_normal, rng=1) is model
    changed = [name for name, a in model.params.items() if np.any(a != before[name])]
    assert changed == ["0.weight", "2.weight"]
    assert all(model.params[name] is a for name, a in arrays.items())
    init.apply(model, init.constant, parameters="*.bias", value=0.5)
    init.apply(model, init.constant, parameters=lambda name, a: a.size == 2, value=0.25)
    assert np.all(model.params["0.bias"] == 0.5) and np.all(model.params["2.bias"] == 0.25)
    again = Sequential(Conv2d(3, 8, 3), BatchNorm2d(8), Linear(8, 2))
    init.apply(again, init.he_normal, rng=1)
    np.testing.assert_array_equal(again.params["0.weight"], model.params["0.weight"])


@pytest.mark.parametrize(("kind", "gates"), [(LSTM, 4), (GRU, 3)])
def test_gates_are_matrices_of_their_own(kind, gates):
    layer = init.apply(kind(5, 7), init.orthogonal, parameters="weight_hh*", rng=0)
    for w in layer.params["weight_hh_l0"].reshape(gates, 7, 7):
        np.testing.assert_allclose(w @ w.T, np.eye(7), atol=1e-6)
    init.apply(layer, init.glorot_uniform, parameters="weight_ih*", rng=0)
    bound = math.sqrt(6 / (5 + 7))
    assert 0.9 * bound < np.abs(layer.params["weight_ih_l0"]).max() <= bound


def test_transposed_convolutions_have_their_inputs_first():
    layer = init.apply(ConvTranspose2d(100, 3, 2), init.lecun_uniform, rng=0)
    bound = math.sqrt(3 / (100 * 4))
    assert 0.98 * bound < np.abs(layer.params["weight"]).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: init.he_normal(np.empty(3)), ShapeError, r"shape \(3,\)"),
        (lambda: init.he_normal(np.empty((3, 0))), ShapeError, r"\(3, 0\)"),
        (lambda: init.he_normal([1.0]), DtypeError, "a is list"),
        (lambda: init.normal(np.empty(3, int)), DtypeError, "a is int64"),
        (lambda: init.normal(np.empty(3), std=-1.0), OptionError, "std=-1"),
        (lambda: init.uniform(np.empty(3), low=2.0), OptionError, "low=2.0, high=1.0"),
        (lambda: init.he_normal(np.empty((3, 3)), mode="in"), OptionError, "mode='in'"),
        (lambda: init.truncated_normal(np.empty(3), bound=0.0), OptionError, "bound=0.0"),
        (lambda: init.orthogonal(np.empty(3)), ShapeError, r"\(3,\)"),
        (lambda: init.apply(3, init.normal), DtypeError, "model is int"),
        (
            lambda: init.apply(Linear(2, 1), init.normal, parameters="x"),
            OptionError,
            "chooses none of weight, bias",
        ),
        (lambda: init.normal(np.empty(3), rng="x"), OptionError, "rng='x'"),
    ],
)
def test_errors_say_what_was_given(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("scheme", [init.uniform, init.normal, init.glorot_normal, init.he_uniform])
def test_large_weights_are_drawn_in_blocks_and_as_if_at_once(scheme, monkeypatch):
    whole = scheme(np.empty((70, 90)), rng=0)
    monkeypatch.setattr(init, "_BLOCK", 1000)
    np.testing.assert_array_equal(scheme(np.empty((70, 90)), rng=0), whole)
    turned = np.empty((90, 70)).T
    np.testing.assert_array_equal(scheme(turned, rng=0), whole)
    tracemalloc.start()
    try:
        scheme(np.empty((700, 900), np.float32), rng=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * 700 * 900 * 4
