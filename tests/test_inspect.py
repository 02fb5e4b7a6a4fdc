"""Looking into models: figures worked by hand, nothing changed, and wrong gradients found."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastnn
from fastnn import inspect
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.layers import (
    GRU,
    LSTM,
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from fastnn.train import L2, KLSparsity


def net(seed=0):
    rng = np.random.default_rng(seed)
    return Sequential(
        Conv2d(2, 4, 3, rng=rng),
        BatchNorm2d(4),
        Tanh(),
        MaxPool2d(2),
        Flatten(),
        Dropout(0.3, rng=rng),
        Residual(Linear(16, 16, rng=rng), Sigmoid()),
        Linear(16, 3, rng=rng),
    )


def batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((5, 2, 6, 6)).astype(np.float32), np.arange(5) % 3


def snapshot(model):
    parts = [layer for _, layer in model._walk()]
    arrays = {**model.state_dict(), **{f"d{k}": a.copy() for k, a in model.grads.items()}}
    return arrays, [p.training for p in parts], model[5]._rng.bit_generator.state


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("look", ["activations", "gradients", "statistics", "check_model"])
def test_the_model_is_left_as_it_was(look, training):
    model, (x, y) = net(), batch()
    model[1].eval()
    model(x)
    model.grads["0.bias"][...] = 7
    arrays, modes, state = snapshot(model)
    expected = net()  # its context has to survive: the gradient after is that of a twin
    expected[1].eval()
    dx = expected.backward(np.ones_like(expected(x)))
    loss = CrossEntropyLoss()
    {
        "activations": lambda: inspect.activations(model, x, training=training),
        "gradients": lambda: inspect.gradients(model, loss, x, y, training=training),
        "statistics": lambda: inspect.statistics(model, x, y, loss, training=training),
        "check_model": lambda: inspect.check_model(model, loss, x, y),
    }[look]()
    after, modes_after, state_after = snapshot(model)
    assert modes == modes_after and state == state_after and arrays.keys() == after.keys()
    for name, a in arrays.items():
        np.testing.assert_array_equal(a, after[name], name)
    np.testing.assert_array_equal(model.backward(np.ones((5, 3), np.float32)), dx)


def test_activations_are_what_the_layers_give_in_order():
    model, (x, _) = net().eval(), batch()
    found = inspect.activations(model, x)
    assert list(found) == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6.body.0",
        "6.body.1",
        "6.body",
        "6",
        "7",
        "",
    ]
    for i, layer in enumerate(model):
        x = layer(x)
        np.testing.assert_array_equal(found[str(i)], x)


def test_gradients_are_those_of_a_step():
    model, (x, y) = net().eval(), batch()
    found = inspect.gradients(model, fastnn.softmax_cross_entropy, x, y)
    loss = CrossEntropyLoss()
    loss.forward(model.forward(x, save=True), y)
    model.backward(loss.backward())
    for name, dw in model.grads.items():
        np.testing.assert_array_equal(found[name], dw, name)


def test_statistics_by_hand():
    model = Sequential(
        Linear(1, 3, dtype=np.float64), ReLU(), Linear(3, 2, dtype=np.float64), Tanh()
    )
    model.params["0.weight"][...] = [[1], [-1], [0]]
    model.params["0.bias"][...] = [0, 0, 2]
    model.params["2.weight"][...] = [[9, 0, 0], [0, 0, 0]]
    model.params["2.bias"][...] = [0, -9]
    x = np.array([[1.0], [2.0], [3.0], [6.0]])
    found = inspect.statistics(model, x, np.zeros((4, 2)), MSELoss(reduction="sum"))
    rows = {row.name: row for row in found.layers}
    assert list(rows) == ["0", "1", "2", "3", ""]
    relu = rows["1"]
    assert (relu.units, relu.dead, relu.constant) == (3, 1, 2)
    assert (relu.mean, relu.least, relu.most) == (20 / 12, 0, 6) and relu.saturated is None
    assert relu.std == pytest.approx(math.sqrt((1 + 4 + 9 + 36 + 16) / 12 - (20 / 12) ** 2))
    assert rows["3"].saturated == 1.0 and rows["3"].constant == 1 and rows["3"].dead == 0
    # The gradient of the tanh's result y is 2 y, and every y is +-1 but for rounding.
    assert rows["3"].gradient == pytest.approx(2, rel=1e-6)
    weights = {row.name: row for row in found.parameters}
    assert weights["0.weight"].flat == pytest.approx(2 / 3)  # ReLU shut, and no way on
    assert weights["2.weight"].flat == pytest.approx(2 / 6)  # from the dead unit
    assert "66.7 %" in str(found) and "1/3" in str(found)
    light = inspect.statistics(model, x)
    assert light.layers[1].gradient is None and light.parameters[0].flat is None
    assert str(light)


def test_a_channel_is_a_unit_of_a_convolution():
    model = Sequential(Conv2d(1, 2, 1, rng=0), ReLU())
    model.params["0.weight"][...] = [[[[1]]], [[[-1]]]]
    model.params["0.bias"][...] = 0
    row = inspect.statistics(model, np.ones((2, 1, 3, 4), np.float32)).layers[1]
    assert (row.units, row.dead, row.constant) == (2, 1, 2)


def test_collapse_is_seen_for_relu_and_not_for_leaky_relu():
    x = np.linspace(-2, 2, 20, dtype=np.float32)[:, None]
    for kind, expected in ((ReLU, True), (LeakyReLU, False)):
        model = Sequential(Linear(1, 2, rng=0), kind(), Linear(2, 1, rng=0))
        model.params["0.weight"][...] = 1
        model.params["0.bias"][...] = -5
        assert inspect.is_constant(model, x) is expected


CHECKED = {
    "conv net": (net, batch(), CrossEntropyLoss()),
    "weighted loss": (net, batch(), CrossEntropyLoss(np.array([1, 2, 3], np.float32))),
    "LSTM": (
        lambda: Sequential(
            LSTM(3, 4, num_layers=2, dropout=0.4, last_only=True, stateful=True, rng=0),
            Linear(4, 2, rng=0),
        ),
        (np.random.default_rng(0).standard_normal((5, 2, 3)), np.ones((2, 2), np.float32)),
        MSELoss(),
    ),
    "embedding": (
        lambda: Sequential(Embedding(9, 3, rng=0), GRU(3, 4, last_only=True, rng=0)),
        (np.array([[1, 2], [3, 3], [0, 8]]), np.zeros((2, 4))),
        fastnn.mse_loss,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("training", [False, True])
def test_right_models_pass_the_gradient_check(name, training):
    make, (x, y), loss = CHECKED[name]
    check = inspect.check_model(make().train(training), loss, x, y, penalties=[L2(0.1)])
    assert check.ok, str(check)
    assert check.error < 1e-5 and "all agree" in str(check)
    names = {slope.name for slope in check.slopes}
    assert names >= set(make().params) and ("x" in names) == (x.dtype.kind == "f")


def test_activity_penalties_are_checked_too():
    model = Sequential(Linear(3, 4, rng=0), Sigmoid(), Linear(4, 3, rng=0))
    x = np.random.default_rng(0).random((6, 3))
    check = inspect.check_model(model, MSELoss(), x, x, penalties=[KLSparsity("1", 0.5, rho=0.1)])
    assert check.ok, str(check)


class Wrong(Layer):
    """3 x with a wrong gradient of its factor, or of x."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.add_parameter("weight", np.full(2, 3.0))

    def _forward(self, x, save):
        return x * self.params["weight"], x

    def _backward(self, x, dy, input_grad):
        dw = np.sum(dy * x, axis=0)
        if self.fault == "w":
            dw[1] *= 1.001
        if self.fault == "zero":
            dw[:] = 0
        self.grads["weight"][...] += dw
        return dy * self.params["weight"] * (1.001 if self.fault == "x" else 1)


@pytest.mark.parametrize(("fault", "array"), [("w", "weight"), ("x", "x"), ("zero", "weight")])
def test_wrong_gradients_are_found(fault, array):
    x = np.random.default_rng(0).standard_normal((4, 2))
    assert inspect.check_model(Wrong(None), MSELoss(), x, np.zeros((4, 2))).ok
    check = inspect.check_model(Wrong(fault), MSELoss(), x, np.zeros((4, 2)))
    assert not check.ok and {slope.name for slope in check.slopes if not slope.ok} == {array}
    assert "wrong" in str(check)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: inspect.activations(3, np.ones(3)), DtypeError, "model is int"),
        (lambda: inspect.statistics(Tanh(), np.ones(3), np.ones(3)), DtypeError, "y and loss"),
        (lambda: inspect.is_constant(Tanh(), np.ones((1, 3))), ShapeError, r"\(1, 3\)"),
        (lambda: inspect.check_model(3, MSELoss(), 0, 0), DtypeError, "model is int"),
        (
            lambda: inspect.check_model(Tanh(), MSELoss(), np.ones(3), np.ones(3), rng=-1),
            OptionError,
            "rng=-1",
        ),
    ],
)
def test_errors_say_what_was_given(call, error, text):
    with pytest.raises(error, match=text):
        call()
