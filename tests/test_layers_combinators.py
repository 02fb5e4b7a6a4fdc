"""Layers made of layers: their formulas, gradients, names and contexts."""

from __future__ import annotations

import numpy as np
import pytest
from test_layers import check_gradients, disturb

from fastnn.errors import DtypeError, OptionError, ShapeError, StateError
from fastnn.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Permute,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    TimeDistributed,
)


def conv(c, k, size, rng, **options):
    return Conv2d(c, k, size, rng=rng, dtype=np.float64, **options)


def models():
    """Every combinator inside a network that ends in four scores, with the shape of its x."""
    rng = np.random.default_rng(0)
    head = lambda i: Linear(i, 4, rng=rng, dtype=np.float64)  # noqa: E731
    yield (
        "residual",
        (3, 2, 5, 4),
        Sequential(
            Residual(conv(2, 2, 3, rng, padding=1), ReLU()),
            Residual(
                conv(2, 3, 3, rng, padding=1, stride=2),
                BatchNorm2d(3, dtype=np.float64),
                shortcut=conv(2, 3, 1, rng, stride=2),
            ),
            Flatten(),
            head(18),
        ),
    )
    yield (
        "concat",
        (3, 2, 4, 5),
        Sequential(
            Concat(
                conv(2, 3, 1, rng),
                Sequential(conv(2, 1, 3, rng, padding=1), ReLU()),
                MaxPool2d(3, stride=1, padding=1),
                Sequential(),
            ),
            Flatten(),
            head(8 * 20),
        ),
    )
    one, three = (Linear(6, k, rng=rng, dtype=np.float64) for k in (1, 3))
    yield "last-axis", (5, 6), Concat(one, three, axis=-1)
    yield (
        "time",
        (2, 3, 2, 4, 5),
        Sequential(
            TimeDistributed(Sequential(conv(2, 3, 3, rng), BatchNorm2d(3, dtype=np.float64))),
            Reshape(54),
            head(54),
        ),
    )
    yield (
        "permute",
        (3, 4, 5, 2),
        Sequential(Permute(0, 3, 1, 2), conv(2, 2, 2, rng), Flatten(), head(24)),
    )
    yield "reshape", (3, 12), Sequential(Reshape(2, -1, 2), conv(2, 2, 2, rng), Flatten(), head(4))


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("shape", "model"), [pytest.param(s, m, id=name) for name, s, m in models()]
)
def test_gradients_are_slopes(shape, model, mode):
    rng = np.random.default_rng(1)
    getattr(disturb(model), mode)()
    list(model.params.values())[-2][...] *= 0.1  # a loss near log(4), so that its slopes are exact
    model.zero_grad()
    check_gradients(model, rng.standard_normal(shape), rng.integers(4, size=shape[0]))
    assert all(np.any(grad) for _, _, grad in model.parameters())


@pytest.mark.parametrize(
    ("shape", "model"), [pytest.param(s, m, id=name) for name, s, m in models()]
)
def test_contexts_are_used_up_and_input_grad_is_a_choice(shape, model):
    model.train()
    model.zero_grad()
    x = np.random.default_rng(2).standard_normal(shape)
    dy = np.random.default_rng(3).standard_normal(model(x).shape)
    assert model.backward(dy).shape == shape
    with pytest.raises(StateError):
        model.backward(dy)
    grads = {name: grad.copy() for name, grad in model.grads.items()}
    model.zero_grad()
    model(x)
    assert model.backward(dy, input_grad=False) is None
    for name, grad in model.grads.items():
        np.testing.assert_array_equal(grad, grads[name], err_msg=name)
    assert not any(layer._contexts for _, layer in model._walk())
    model.eval()(x)
    assert not any(layer._contexts for _, layer in model._walk())


def test_names_are_those_of_pytorch_modules_with_the_same_attributes():
    model = Sequential(
        Residual(Conv2d(2, 2, 1, bias=False), shortcut=Conv2d(2, 2, 1, bias=False)),
        Concat(Linear(2, 2, bias=False), Sequential(ReLU(), Linear(2, 2, bias=False))),
        TimeDistributed(Linear(2, 2)),
    )
    assert list(model.state_dict()) == [
        "0.body.0.weight",
        "0.shortcut.weight",
        "1.0.weight",
        "1.1.1.weight",
        "2.layer.weight",
        "2.layer.bias",
    ]
    assert not any(layer.training for _, layer in model.eval()._walk())


def test_residual_adds_what_it_was_given():
    x = np.random.default_rng(4).standard_normal((3, 4))
    np.testing.assert_array_equal(Residual()(x), 2 * x)
    np.testing.assert_array_equal(Residual(ReLU(), shortcut=ReLU())(x), 2 * np.maximum(x, 0))
    layer = Residual(Dropout(0.5, rng=0)).eval()
    np.testing.assert_array_equal(layer.forward(x, save=True), 2 * x)
    dy = x.copy()
    np.testing.assert_array_equal(layer.backward(dy), 2 * x)
    np.testing.assert_array_equal(dy, x)  # dropout passes dy itself through: no sum in place


def test_concat_joins_in_order_along_any_axis():
    x = np.random.default_rng(5).standard_normal((2, 3, 4))
    for axis in (0, 1, 2, -1, -3):
        layer = Concat(Sequential(), ReLU(), axis=axis)
        y = layer(x)
        np.testing.assert_array_equal(y, np.concatenate([x, np.maximum(x, 0)], axis))
        np.testing.assert_array_equal(layer.backward(np.ones_like(y)), 1.0 + (x > 0))


def test_time_distributed_is_the_layer_at_every_step():
    x = np.random.default_rng(6).standard_normal((4, 3, 5)).astype(np.float32)
    layer = Linear(5, 2, rng=0)
    y = TimeDistributed(layer).eval()(x)
    for t in range(4):
        np.testing.assert_array_equal(y[t], layer(x[t]))
    steps = TimeDistributed(BatchNorm1d(5))
    np.testing.assert_allclose(steps(x).reshape(12, 5).mean(0), 0, atol=1e-6)
    backward_in_time = TimeDistributed(Flatten())(x[::-1])
    np.testing.assert_array_equal(backward_in_time, x[::-1])


def test_empty_batches_keep_their_sample_shape():
    assert Reshape(3, -1)(np.zeros((0, 12))).shape == (0, 3, 4)
    assert Reshape()(np.zeros((5, 1))).shape == (5,)
    x = np.zeros((2, 0, 5), np.float32)
    layer = TimeDistributed(Linear(5, 3))
    assert layer(x).shape == (2, 0, 3)
    assert layer.backward(np.zeros((2, 0, 3), np.float32)).shape == x.shape
    assert Residual(ReLU())(x).shape == Concat(ReLU())(x).shape == x.shape


X = np.ones((2, 6), np.float32)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Residual(Flatten, shortcut=None), DtypeError, "Sequential: 0 is .*a Layer"),
        (lambda: Residual(shortcut=3), DtypeError, "Residual: shortcut is int.*a Layer"),
        (lambda: Residual(layer := ReLU(), shortcut=layer), OptionError, "shortcut is or holds"),
        (lambda: Residual(Linear(6, 5))(X), ShapeError, r"\(2, 5\) but the shortcut \(2, 6\)"),
        (lambda: Residual(Reshape(1, 6))(X), ShapeError, r"\(2, 1, 6\) but the shortcut \(2, 6\)"),
        (lambda: Residual(shortcut=Widen())(X), DtypeError, "gives float32 but .* float64"),
        (lambda: Concat(), OptionError, "0 branches"),
        (lambda: Concat(ReLU(), axis=1.0), DtypeError, "axis=1.0"),
        (lambda: Concat(ReLU(), axis=2)(X), ShapeError, r"2 axes, shape \(2, 6\); axis=2"),
        (lambda: Concat(ReLU(), axis=-3)(X), ShapeError, r"axis=-3"),
        (lambda: Concat(ReLU(), Reshape(3, 2))(X), ShapeError, r"\(2, 6\) but .* 1 \(2, 3, 2\)"),
        (lambda: Concat(ReLU(), Linear(6, 5), axis=0)(X), ShapeError, r"branch 1 \(2, 5\)"),
        (lambda: Concat(ReLU(), Widen())(X), DtypeError, "gives float32 but branch 1 float64"),
        (lambda: Permute(0, 2), ShapeError, r"axes=\(0, 2\); they must be 0 to 1"),
        (lambda: Permute(1, 0)(X[0]), ShapeError, r"x has 1 axes, shape \(6,\)"),
        (lambda: Reshape(-1, 3, -1), ShapeError, "has 2 sizes of -1"),
        (lambda: Reshape(0), ShapeError, "size=0; it must be at least 1"),
        (lambda: Reshape(2.0), DtypeError, "size=2.0"),
        (lambda: Reshape(4, -1)(X), ShapeError, r"6 elements per sample; .*\(4, -1\)"),
        (lambda: Reshape(5)(X), ShapeError, r"x has shape \(2, 6\), 6 elements .*\(5,\)"),
        (lambda: Reshape()(np.ones(())), ShapeError, r"x has shape \(\)"),
        (lambda: TimeDistributed(ReLU())(X[0]), ShapeError, r"1 axes, shape \(6,\)"),
        (lambda: TimeDistributed(Flatten(0))(X.reshape(2, 3, 2)), ShapeError, "for 6 samples"),
        (lambda: TimeDistributed("x"), DtypeError, "layer is str"),
    ],
)  # fmt: skip
def test_impossible_arguments_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()


class Widen(ReLU):
    """A layer that changes the dtype, which layers of a user may do."""

    def _forward(self, x, save):
        y, context = super()._forward(x, save)
        return y.astype(np.float64), context


@pytest.mark.parametrize(
    "layer", [Residual(ReLU()), Concat(ReLU()), TimeDistributed(ReLU()), Reshape(-1)], ids=repr
)
def test_dy_of_another_shape_is_refused(layer):
    y = layer(X)
    with pytest.raises(ShapeError, match=r"dy has shape \(2, 1\)"):
        layer.backward(np.ones((2, 1), y.dtype))
