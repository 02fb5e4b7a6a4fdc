"""Layers of convolution's family: gradients are slopes, names and shapes are PyTorch's."""

import numpy as np
import pytest

from fastnn.errors import OptionError, ShapeError
from fastnn.layers import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d

LAYERS = [
    (Conv1d, {"dilation": 2, "padding": "causal", "groups": 2}, (3, 4, 6), (6, 2, 3)),
    (Conv2d, {"stride": 2, "padding": 1}, (2, 4, 5, 6), (6, 4, 3, 3)),
    (ConvTranspose1d, {"stride": 2, "padding": 1, "groups": 2}, (3, 4, 5), (4, 3, 3)),
    (
        ConvTranspose2d,
        {"stride": 2, "output_padding": (1, 0)},
        (2, 4, 3, 2),
        (4, 6, 3, 3),
    ),
]


def slope(loss, array, i, step=1e-6):
    kept = array[i]
    array[i] = kept + step
    above = loss()
    array[i] = kept - step
    below = loss()
    array[i] = kept
    return (above - below) / (2 * step)


@pytest.mark.parametrize(("kind", "options", "size", "weight"), LAYERS)
def test_gradients_are_slopes(kind, options, size, weight):
    rng = np.random.default_rng(0)
    layer = kind(4, 6, 3, **options, rng=rng, dtype=np.float64)
    x = rng.standard_normal(size)
    dy = rng.standard_normal(layer(x).shape)
    dx = layer.backward(dy)

    def loss():
        return float(np.sum(layer.forward(x, save=False) * dy))

    assert layer.params["weight"].shape == weight
    for array, gradient in ((x, dx), *((p, g) for _, p, g in layer.parameters())):
        for i in list(np.ndindex(array.shape))[:: max(1, array.size // 7)]:
            np.testing.assert_allclose(gradient[i], slope(loss, array, i), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("kind", "options", "size", "weight"), LAYERS)
def test_state_is_pytorchs(kind, options, size, weight):
    layer = kind(4, 6, 3, **options, rng=0)
    assert {k: v.shape for k, v in layer.state_dict().items()} == {"weight": weight, "bias": (6,)}
    assert np.abs(layer.params["weight"]).max() <= 1 / np.sqrt(np.prod(weight[1:]))
    assert list(kind(4, 6, 3, **options, bias=False).params) == ["weight"]
    torch = pytest.importorskip("torch")
    if options.get("padding") != "causal":
        theirs = getattr(torch.nn, kind.__name__)(4, 6, 3, **options).state_dict()
        assert {k: tuple(v.shape) for k, v in theirs.items()} == {"weight": weight, "bias": (6,)}


def test_repr_is_pytorchs():
    layer = ConvTranspose2d(4, 6, (3, 2), stride=2, output_padding=1, dilation=2, bias=False)
    assert repr(layer) == (
        "ConvTranspose2d(4, 6, kernel_size=(3, 2), stride=(2, 2), output_padding=(1, 1), "
        "dilation=(2, 2), bias=False)"
    )
    assert repr(Conv1d(4, 6, 3, padding=1, groups=2)) == (
        "Conv1d(4, 6, kernel_size=(3,), stride=(1,), padding=(1,), groups=2)"
    )


def test_impossible_arguments_are_named():
    with pytest.raises(ShapeError, match=r"ConvTranspose1d: groups=3 with in_channels=4"):
        ConvTranspose1d(4, 6, 3, groups=3)
    with pytest.raises(ShapeError, match=r"output_padding=2 .*stride=2 and dilation=1"):
        ConvTranspose2d(4, 6, 3, stride=2, output_padding=2)
    with pytest.raises(OptionError, match=r"padding='full'.*same, valid, causal"):
        Conv1d(4, 6, 3, padding="full")
