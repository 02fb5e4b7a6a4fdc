"""Layers of activations: options, state and gradients; dropout's masks on every backend."""

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import DtypeError, FastnnError, OptionError, ShapeError
from fastnn.ops.noise.naive import philox

ALL = [
    layers.LeakyReLU(0.2), layers.ELU(0.7), layers.SELU(), layers.GELU(), layers.GELU("tanh"),
    layers.SiLU(), layers.Sigmoid(), layers.Sigmoid(2.0), layers.Tanh(), layers.Softplus(2.0),
    layers.Hardsigmoid(), layers.Hardswish(), layers.PReLU(dtype="f8"),
    layers.PReLU(3, 0.1, dtype="f8"), layers.Softmax(), layers.Softmax(1), layers.LogSoftmax(0),
    layers.Dropout(0.4, rng=1),
]  # fmt: skip


@pytest.mark.parametrize("layer", ALL, ids=repr)
def test_gradients_are_derivatives(layer):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 2, 3, 4))
    if isinstance(layer, layers.PReLU):
        x, dy = x.reshape(4, 3, 2), dy.reshape(4, 3, 2)
    draws = isinstance(layer, layers.Dropout)

    def loss():
        if draws:
            layer._rng = np.random.default_rng(3)
        return float(np.sum(layer(x) * dy))

    loss()
    dx = layer.backward(dy)
    gradients = [(x, dx), *((layer.params[k], layer.grads[k].copy()) for k in layer.params)]
    for array, gradient in gradients:
        direction = rng.standard_normal(array.shape)
        array += 1e-6 * direction
        above = loss()
        array -= 2e-6 * direction
        slope = (above - loss()) / 2e-6
        array += 1e-6 * direction
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-7, atol=1e-9)


def test_names_and_repr_are_pytorchs():
    assert repr(layers.LeakyReLU()) == "LeakyReLU(negative_slope=0.01)"
    assert repr(layers.ELU()) == "ELU(alpha=1.0)"
    assert repr(layers.GELU()) == "GELU(approximate='none')"
    assert repr(layers.PReLU(4)) == "PReLU(num_parameters=4)"
    assert repr(layers.Softplus()) == "Softplus(beta=1.0, threshold=20.0)"
    assert repr(layers.Tanh()) == "Tanh()"
    state = layers.PReLU(4).state_dict()
    assert list(state) == ["weight"] and state["weight"].shape == (4,)
    assert np.all(state["weight"] == np.float32(0.25))
    assert all(not layer.state_dict() for layer in ALL if not isinstance(layer, layers.PReLU))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: layers.LeakyReLU(np.nan), OptionError, "negative_slope=nan"),
        (lambda: layers.ELU("a"), DtypeError, "alpha='a'"),
        (lambda: layers.GELU("erf"), OptionError, "approximate='erf'"),
        (lambda: layers.Sigmoid(np.inf), OptionError, "scale=inf"),
        (lambda: layers.Softplus(0), OptionError, "beta=0.0"),
        (lambda: layers.PReLU(0), ShapeError, "num_parameters=0"),
        (lambda: layers.PReLU(2, "a"), DtypeError, "init='a'"),
        (lambda: layers.PReLU(2)(np.ones((4, 3), "f4")), ShapeError, "C=3"),
        (lambda: layers.Softmax(1.5), DtypeError, "axis=1.5"),
        (lambda: layers.LogSoftmax(2)(np.ones((4, 3))), ShapeError, "axis=2"),
    ],
)
def test_impossible_arguments_are_named(make, error, text):
    with pytest.raises(error, match=text) as caught:
        make()
    assert isinstance(caught.value, FastnnError)


# Known answers of Salmon et al.'s Random123 library, kat_vectors: counter, key, result.
PHILOX = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "want"), PHILOX)
def test_philox_is_the_published_one(counter, key, want):
    assert philox(counter, key) == want


@pytest.mark.parametrize("p", [1e-12, 0.1, 0.5, 0.999, 1.0])
def test_dropout_has_the_same_mask_on_every_backend(p):
    backends = [b for b in fastnn.dispatch.BACKENDS if fastnn.dispatch.unavailable(b) is None]
    for dtype in (np.float32, np.float64):
        x = np.ones(20_011, dtype)
        masks = [fastnn.dropout(x, p, rng=3, backend=b) != 0 for b in backends]
        for mask in masks:
            np.testing.assert_array_equal(mask, masks[-1])
        # Six standard deviations of the binomial distribution.
        assert abs(masks[0].mean() - (1 - p)) <= 6 * np.sqrt(p * (1 - p) / x.size) + 1e-9


def test_dropout_of_a_generator_draws_a_new_key_each_time():
    x = np.ones(300)
    rng = np.random.default_rng(5)
    first, second = fastnn.dropout(x, rng=rng), fastnn.dropout(x, rng=rng)
    assert np.any(first != second)
    np.testing.assert_array_equal(first, fastnn.dropout(x, rng=np.random.default_rng(5)))
    np.testing.assert_array_equal(first, fastnn.dropout(x, rng=5))


def test_dropped_elements_are_zero_though_nan():
    for backend in fastnn.dispatch.BACKENDS:
        if fastnn.dispatch.unavailable(backend) is None:
            x = np.full(64, np.nan)
            y = fastnn.dropout(x, rng=1, backend=backend)
            assert set(np.unique(np.isnan(y))) == {False, True} and not np.nanmax(np.abs(y))
            np.testing.assert_array_equal(fastnn.dropout(x, 1.0, rng=1, backend=backend), 0)
            y = fastnn.dropout(x, training=False, backend=backend)
            assert y is not x and np.all(np.isnan(y))
