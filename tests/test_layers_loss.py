"""Losses as objects and the Embedding layer: gradients, names, contexts."""

import copy

import numpy as np
import pytest
from test_layers import differences

import fastnn
from fastnn import layers
from fastnn.errors import DtypeError, OptionError, ShapeError, StateError

W = np.array([1.0, 2.0, 0.5])
LOSSES = {
    "mse": (layers.MSELoss(), "numbers"),
    "l1": (layers.L1Loss(reduction="sum"), "numbers"),
    "huber": (layers.HuberLoss(delta=0.5), "numbers"),
    "kl": (layers.KLDivLoss(reduction="batchmean", log_target=True), "numbers"),
    "bce": (layers.BCEWithLogitsLoss(W, pos_weight=W), "numbers"),
    "margin": (layers.MultiMarginLoss(2, 0.5, W, divide_by_classes=False), "labels"),
    "cross": (layers.CrossEntropyLoss(W, label_smoothing=0.1, ignore_index=1), "labels"),
    "soft": (layers.CrossEntropyLoss(W, label_smoothing=0.1), "numbers"),
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x, numbers = rng.standard_normal((2, 5, 3))
    return {"x": x, "numbers": numbers, "labels": np.array([2, 0, 1, 1, 0])}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_loss_objects_are_slopes(name, data):
    loss, kind = LOSSES[name]
    x, target = data["x"], data[kind]
    y = loss.forward(x, target)
    assert y == loss(x, target)
    dx = loss.backward(2.0)
    want = 2 * differences(lambda: float(loss(x, target)), x)
    np.testing.assert_allclose(dx, want, rtol=1e-5, atol=1e-8)


def test_loss_objects_keep_one_context(data):
    loss = layers.MSELoss(reduction="none")
    y = loss.forward(data["x"], data["numbers"])
    other = copy.deepcopy(loss)
    with pytest.raises(StateError, match="MSELoss: backward has nothing saved"):
        other.backward()
    dx = loss.backward(np.full_like(y, 0.5))
    np.testing.assert_allclose(dx, data["x"] - data["numbers"])
    with pytest.raises(StateError, match="nothing saved"):
        loss.backward()


def test_cross_entropy_loss_takes_sample_weights(data):
    weights = np.arange(1.0, 6)
    got = layers.CrossEntropyLoss()(data["x"], data["labels"], sample_weight=weights)
    assert got == fastnn.softmax_cross_entropy(data["x"], data["labels"], sample_weight=weights)


def test_a_bad_option_is_found_when_the_loss_is_used(data):
    with pytest.raises(OptionError, match="reduction='max'"):
        layers.MSELoss(reduction="max")(data["x"], data["numbers"])


def embedding(**options):
    return layers.Embedding(6, 3, rng=0, dtype="f8", **options)


def test_embedding_gradient_is_the_slope():
    layer = embedding()
    x, target = np.array([[1, 5], [1, 0]]), np.ones((2, 2, 3))
    loss = layers.MSELoss()
    loss.forward(layer.forward(x), target)
    assert layer.backward(loss.backward()) is None
    want = differences(lambda: float(loss(layer(x), target)), layer.params["weight"])
    np.testing.assert_allclose(layer.grads["weight"], want, rtol=1e-6, atol=1e-9)


def test_embedding_has_pytorchs_state_and_padding_row():
    layer = embedding(padding_idx=-2)
    assert list(layer.state_dict()) == ["weight"]
    assert not layer.params["weight"][4].any() and layer.params["weight"][:4].all()
    y = layer(np.array([4, 4, 2]))
    layer.backward(np.ones_like(y))
    assert np.array_equal(layer.grads["weight"].any(1), [False, False, True, False, False, False])
    assert repr(layer) == "Embedding(6, 3, padding_idx=-2)"


def test_embedding_in_a_network():
    model = layers.Sequential(embedding(), layers.Flatten(), layers.Linear(6, 2, dtype="f8"))
    y = model(np.array([[0, 1], [2, 3]]))
    model.backward(np.ones_like(y), input_grad=False)
    assert model.grads["0.weight"].any(1).tolist() == [True] * 4 + [False] * 2


def test_embedding_refuses_what_cannot_be():
    with pytest.raises(OptionError, match=r"padding_idx=6 .*V=6"):
        embedding(padding_idx=6)
    with pytest.raises(ShapeError, match="num_embeddings=0"):
        layers.Embedding(0, 3)
    with pytest.raises(DtypeError, match="indices has dtype float64"):
        embedding()(np.ones(3))
