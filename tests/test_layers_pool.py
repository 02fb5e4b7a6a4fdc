"""Layers of pooling and resampling: gradients, names in the state, and what they refuse."""

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.layers import Flatten, Linear, Sequential

LAYERS = [
    (layers.MaxPool1d(2), (2, 3, 7)),
    (layers.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), (2, 3, 7)),
    (layers.AvgPool2d((2, 3), ceil_mode=True, divisor_override=5), (2, 3, 5, 7)),
    (layers.AdaptiveAvgPool2d((2, None)), (2, 3, 5, 4)),
    (layers.AdaptiveMaxPool2d(2), (2, 3, 5, 4)),
    (layers.GlobalAvgPool(), (2, 3, 5, 4)),
    (layers.GlobalMaxPool(), (2, 3, 5)),
    (layers.Upsample((5, 3), mode="bilinear", align_corners=True), (2, 3, 3, 4)),
    (layers.Upsample(scale_factor=1.5), (2, 3, 4)),
    (layers.ZeroPad2d((1, 2, 0, 3)), (2, 3, 3, 4)),
    (layers.ReflectionPad2d(2), (2, 3, 3, 4)),
    (layers.ReplicationPad2d((1, 2, 0, 3)), (2, 3, 3, 4)),
]


@pytest.mark.parametrize("layer,shape", LAYERS, ids=lambda v: type(v).__name__)
def test_gradients_are_slopes(layer, shape):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    y = layer(x)
    dy, v = rng.standard_normal(y.shape), rng.standard_normal(shape)
    slope = np.sum(dy * (layer(x + 1e-6 * v, save=False) - layer(x - 1e-6 * v, save=False))) / 2e-6
    layer(x)
    np.testing.assert_allclose(np.sum(layer.backward(dy) * v), slope, rtol=1e-7, atol=1e-7)
    assert layer.state_dict() == {}


def test_state_names_do_not_change_around_pooling():
    model = Sequential(layers.ZeroPad2d(1), layers.GlobalAvgPool(), Flatten(), Linear(3, 2))
    assert list(model.state_dict()) == ["3.weight", "3.bias"]
    assert model(np.ones((5, 3, 4, 4), np.float32)).shape == (5, 2)


def test_unpooling_undoes_pooling():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, 5, 7))
    y, indices = fastnn.max_pool2d_with_indices(x, 2)
    layer = layers.MaxUnpool2d(2)
    assert layer(y, indices, output_size=(5, 7)).shape == x.shape
    again, places = fastnn.max_pool2d_with_indices(np.abs(x), 2)
    image = layer(again, places, output_size=(5, 7))
    assert np.array_equal(fastnn.max_pool2d(image, 2), again)
    assert layer.backward(x).shape == y.shape
    assert layer(y, np.zeros_like(indices)).shape == (2, 3, 4, 6)
    assert repr(layer) == "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"


def test_repr_is_pytorchs():
    assert repr(layers.AvgPool2d(3, stride=2, padding=1)) == (
        "AvgPool2d(kernel_size=3, stride=2, padding=1)"
    )
    assert repr(layers.AdaptiveAvgPool2d((5, None))) == "AdaptiveAvgPool2d(output_size=(5, None))"
    assert repr(layers.Upsample((3, 4))) == "Upsample(size=(3, 4), mode='nearest')"
    assert repr(layers.ReflectionPad2d(2)) == "ReflectionPad2d((2, 2, 2, 2))"


@pytest.mark.parametrize(
    "make,error,text",
    [
        (lambda: layers.MaxPool1d(0), fastnn.ShapeError, "kernel_size=0"),
        (lambda: layers.AvgPool2d(2, padding=2), fastnn.ShapeError, "half of it, 1"),
        (lambda: layers.AvgPool2d(2, divisor_override=0), fastnn.ShapeError, "divisor_override=0"),
        (lambda: layers.AdaptiveMaxPool2d((1, 0)), fastnn.ShapeError, "output_size=0"),
        (lambda: layers.MaxUnpool2d(2, stride=0), fastnn.ShapeError, "stride=0"),
        (lambda: layers.Upsample(), fastnn.OptionError, "one of them"),
        (lambda: layers.Upsample(2, mode="cubic"), fastnn.OptionError, "mode='cubic'"),
        (lambda: layers.ZeroPad2d((1, 2)), fastnn.ShapeError, "has 2 entries; it needs 4"),
        (lambda: layers.ReflectionPad2d(-1), fastnn.ShapeError, "padding=-1"),
    ],
)
def test_impossible_options_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()
