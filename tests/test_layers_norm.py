"""Normalising layers: PyTorch's names, gradients of a network, and what they refuse."""

import numpy as np
import pytest

import fastnn
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.layers import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
    RMSNorm,
    Sequential,
)

LAYERS = [
    (LayerNorm(5, dtype="f8"), (3, 4, 5), {"weight": (5,), "bias": (5,)}),
    (LayerNorm((4, 5), bias=False, dtype="f8"), (3, 4, 5), {"weight": (4, 5)}),
    (LayerNorm([5], elementwise_affine=False, dtype="f8"), (3, 5), {}),
    (RMSNorm((4, 5), eps=0.1, dtype="f8"), (3, 4, 5), {"weight": (4, 5)}),
    (RMSNorm(5, elementwise_affine=False, dtype="f8"), (3, 5), {}),
    (GroupNorm(2, 6, dtype="f8"), (3, 6, 4), {"weight": (6,), "bias": (6,)}),
    (GroupNorm(3, 6, affine=False, dtype="f8"), (3, 6), {}),
    (InstanceNorm1d(4, affine=True, dtype="f8"), (3, 4, 5), {"weight": (4,), "bias": (4,)}),
    (InstanceNorm2d(4, dtype="f8"), (3, 4, 2, 3), {}),
]


@pytest.mark.parametrize(("layer", "shape", "state"), LAYERS, ids=lambda v: repr(v)[:30])
def test_state_dict_has_pytorchs_names_and_shapes(layer, shape, state):
    assert {k: v.shape for k, v in layer.state_dict().items()} == state
    assert all((v == (k == "weight")).all() for k, v in layer.state_dict().items())
    assert not layer.buffers


@pytest.mark.parametrize(("layer", "shape", "state"), LAYERS, ids=lambda v: repr(v)[:30])
def test_gradients_are_slopes(layer, shape, state):
    rng = np.random.default_rng(1)
    for param in layer.params.values():
        param[...] = rng.standard_normal(param.shape)
    x, dy = rng.standard_normal((2, *shape))
    layer.zero_grad()
    layer(x)
    gradients = {"x": layer.backward(dy), **layer.grads}
    arrays = {"x": x, **layer.params}
    for name, array in arrays.items():
        v = rng.standard_normal(array.shape)
        losses = []
        for h in (1e-6, -1e-6):
            array += h * v
            losses.append(np.sum(dy * layer(x, save=False)))
            array -= h * v
        slope = (losses[0] - losses[1]) / 2e-6
        np.testing.assert_allclose(np.sum(gradients[name] * v), slope, rtol=1e-6, atol=1e-7)


def test_training_and_evaluation_are_the_same():
    x = np.random.default_rng(2).standard_normal((3, 4, 5)).astype(np.float32)
    for layer in (LayerNorm(5), RMSNorm(5), GroupNorm(2, 4), InstanceNorm1d(4)):
        np.testing.assert_array_equal(layer.train()(x), layer.eval()(x))


def test_options_reach_the_operation():
    x = np.random.default_rng(3).standard_normal((3, 4, 5))
    w, b = np.arange(1.0, 5), np.arange(4.0)
    layer = GroupNorm(2, 4, eps=0.5, dtype="f8")
    layer.load_state_dict({"weight": w, "bias": b})
    np.testing.assert_array_equal(layer(x), fastnn.group_norm(x, 2, w, b, eps=0.5))
    np.testing.assert_array_equal(
        RMSNorm((4, 5), eps=0.5, dtype="f8")(x), fastnn.rms_norm(x, (4, 5), eps=0.5)
    )


def test_reprs():
    assert repr(LayerNorm((3, 4))) == "LayerNorm((3, 4), eps=1e-05, elementwise_affine=True)"
    assert repr(LayerNorm(3, bias=False)).endswith("elementwise_affine=True, bias=False)")
    assert repr(RMSNorm(3)) == "RMSNorm((3,), eps=None, elementwise_affine=True)"
    assert repr(GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True)"
    assert repr(BatchNorm1d(2, convention="keras")).endswith("affine=True, convention='keras')")


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: LayerNorm(()), ShapeError, r"LayerNorm: normalized_shape=\(\)"),
        (lambda: LayerNorm(2.0), DtypeError, r"LayerNorm: normalized_shape=2\.0"),
        (lambda: LayerNorm(3, eps=0), OptionError, r"eps=0\.0"),
        (lambda: LayerNorm(3, dtype="f2"), DtypeError, r"float16"),
        (
            lambda: LayerNorm(3, elementwise_affine=1),
            DtypeError,
            r"elementwise_affine=1",
        ),
        (lambda: RMSNorm(3, eps=-1), OptionError, r"eps=-1\.0"),
        (lambda: GroupNorm(3, 4), ShapeError, r"C=4 channels and num_groups=3"),
        (lambda: GroupNorm(0, 4), ShapeError, r"GroupNorm: num_groups=0"),
        (lambda: InstanceNorm2d(0), ShapeError, r"InstanceNorm2d: num_features=0"),
        (lambda: BatchNorm2d(3, convention="tf"), OptionError, r"convention='tf'"),
    ],
)
def test_impossible_options_are_refused_at_once(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "match"),
    [
        (LayerNorm((4, 5)), (3, 5), r"normalized_shape=\(4, 5\)"),
        (GroupNorm(2, 4, affine=False), (3, 6), r"GroupNorm: x has shape \(3, 6\), C=6.*C=4"),
        (InstanceNorm1d(4), (3, 5, 2), r"InstanceNorm1d: x has shape \(3, 5, 2\), C=5.*C=4"),
        (InstanceNorm1d(4), (3, 4), r"InstanceNorm1d: x has 2 axes.*N C L"),
        (InstanceNorm2d(4), (3, 4, 2), r"InstanceNorm2d: x has 3 axes.*N C H W"),
    ],
)
def test_other_axes_or_channels_are_refused(layer, shape, match):
    with pytest.raises(ShapeError, match=match):
        layer(np.ones(shape, np.float32))


def test_batch_norm_moves_statistics_as_keras_does():
    layer = BatchNorm1d(1, momentum=0.75, convention="keras", dtype="f8")
    layer(np.array([[1.0], [3.0]]))  # mean 2, biased variance 1
    assert layer.buffers["running_mean"].item() == 0.25 * 2
    assert layer.buffers["running_var"].item() == 0.75 * 1 + 0.25 * 1


def test_a_state_comes_from_keras_and_goes_back():
    from fastnn.ops.norm import conventions

    rng = np.random.default_rng(4)
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    keras = {name: rng.uniform(0.5, 2, 3) for name in names}
    layer = BatchNorm1d(3, eps=1e-3, dtype="f8").eval()
    layer.load_state_dict(conventions.keras_to_torch(keras))
    x = rng.standard_normal((5, 3))
    gamma, beta, mean, var = keras.values()
    np.testing.assert_allclose(layer(x), gamma * (x - mean) / np.sqrt(var + 1e-3) + beta)
    back = conventions.torch_to_keras(layer.state_dict())
    assert back.keys() == keras.keys()
    assert all(np.array_equal(back[k], keras[k]) for k in keras)


def test_a_model_with_all_of_them_runs_in_float32():
    model = Sequential(InstanceNorm2d(4), GroupNorm(2, 4), LayerNorm((5, 6)), RMSNorm(6))
    x = np.random.default_rng(5).standard_normal((2, 4, 5, 6)).astype(np.float32)
    y = model(x)
    assert y.dtype == np.float32 and model.backward(np.ones_like(y)).shape == x.shape
    assert list(model.state_dict()) == ["1.weight", "1.bias", "2.weight", "2.bias", "3.weight"]
