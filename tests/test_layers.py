"""Layers: gradients of a whole network, the state dict, and the rules about contexts."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn.errors import DtypeError, FastnnError, OptionError, ShapeError, StateError
from fastnn.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)


def convnet(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return Sequential(
        Conv2d(2, 3, 3, padding=1, rng=rng, dtype=dtype),
        BatchNorm2d(3, dtype=dtype),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(18, 4, rng=rng, dtype=dtype),
    )


NAMES = [  # what torch.nn.Sequential of the same layers has, in its order
    "0.weight",
    "0.bias",
    "1.weight",
    "1.bias",
    "1.running_mean",
    "1.running_var",
    "1.num_batches_tracked",
    "5.weight",
    "5.bias",
]


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    return rng.standard_normal((4, 2, 5, 6)), rng.integers(4, size=4)


def disturb(model):
    """Leave the special points: weights of ones, biases and running means of zeros."""
    rng = np.random.default_rng(2)
    for array in [*model.params.values(), *model.buffers.values()]:
        if array.dtype.kind == "f":
            array += rng.uniform(0.1, 0.5, array.shape)
    return model


def differences(loss, array, step=1e-6):
    """Central differences of loss() for every element of `array`."""
    slopes = np.empty(array.shape)
    for i in np.ndindex(array.shape):
        kept = array[i]
        array[i] = kept + step
        above = loss()
        array[i] = kept - step
        slopes[i] = (above - loss()) / (2 * step)
        array[i] = kept
    return slopes


def check_gradients(model, x, labels):
    """Compare every gradient of the mean cross-entropy with differences."""
    y = model.forward(x, save=True)
    _, ctx = ops.softmax_cross_entropy.forward(y, labels)
    dx = model.backward(ops.softmax_cross_entropy.backward(ctx, np.array(1.0)).x)

    def loss():
        return float(ops.softmax_cross_entropy(model.forward(x, save=False), labels))

    np.testing.assert_allclose(dx, differences(loss, x), rtol=1e-5, atol=1e-9)
    for name, param, grad in model.parameters():
        np.testing.assert_allclose(
            grad, differences(loss, param), rtol=1e-5, atol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_gradients_of_a_network_are_slopes(batch, mode):
    x, labels = batch
    model = disturb(convnet())
    getattr(model, mode)()
    check_gradients(model, x, labels)
    assert all(np.any(grad) for _, _, grad in model.parameters())


def test_frozen_batch_norm_inside_a_model_in_training(batch):
    x, labels = batch
    model = disturb(convnet())
    model[1].eval()
    before = model[1].buffers["running_mean"].copy()
    check_gradients(model, x, labels)
    np.testing.assert_array_equal(model[1].buffers["running_mean"], before)


def test_batch_norm_1d_inside_a_network(batch):
    rng = np.random.default_rng(3)
    model = disturb(
        Sequential(
            Linear(5, 3, rng=rng, bias=False, dtype="f8"),
            BatchNorm1d(3, affine=False, dtype="f8"),
            Linear(3, 4, rng=rng, dtype="f8"),
        )
    )
    check_gradients(model, rng.standard_normal((6, 5)), rng.integers(4, size=6))
    assert list(model.params) == ["0.weight", "2.weight", "2.bias"]


# -- initial values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "shape", "fan_in"),
    [
        (lambda rng: Conv2d(6, 40, (3, 2), groups=2, rng=rng), (40, 3, 3, 2), 18),
        (lambda rng: Linear(50, 40, rng=rng), (40, 50), 50),
    ],
)
def test_initial_weights_fill_pytorchs_interval(make, shape, fan_in):
    layer = make(7)
    bound = 1 / np.sqrt(fan_in)
    assert layer.params["weight"].shape == shape
    assert layer.params["bias"].shape == shape[:1]
    for array in layer.params.values():
        assert array.dtype == np.float32
        assert np.abs(array).max() <= bound * (1 + 1e-6)
        assert array.max() > 0.8 * bound
        assert array.min() < -0.8 * bound
    again, other = make(np.random.default_rng(7)), make(8)
    np.testing.assert_array_equal(layer.params["weight"], again.params["weight"])
    np.testing.assert_array_equal(layer.params["bias"], again.params["bias"])
    assert np.any(layer.params["weight"] != other.params["weight"])


def test_one_seed_is_one_network_in_both_precisions():
    for a, b in zip(
        convnet(np.float32).params.values(), convnet(np.float64).params.values(), strict=True
    ):
        assert (a.dtype, b.dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(a, b.astype(np.float32))


def test_global_random_state_is_neither_read_nor_moved():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = Linear(3, 2), Linear(3, 2)
    Dropout()(np.ones(5))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert np.any(first.params["weight"] != second.params["weight"])


# -- contexts ------------------------------------------------------------------------------------


def test_gradients_add_up_in_place_until_zeroed(batch):
    x, _ = batch
    model = convnet()
    held = dict(model.grads)
    dy = np.random.default_rng(4).standard_normal(model(x).shape)
    model.backward(dy)
    once = {name: grad.copy() for name, grad in model.grads.items()}
    model(x)
    model.backward(dy)
    for name, grad in model.grads.items():
        assert grad is held[name]
        np.testing.assert_array_equal(grad, 2 * once[name], err_msg=name)
    model.zero_grad()
    assert not any(np.any(grad) for grad in held.values())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(2, 3, 2, rng=0), (2, 2, 4, 5)),
        (Linear(3, 2, rng=0), (4, 3)),
        (BatchNorm1d(3), (4, 3)),
        (BatchNorm2d(2), (3, 2, 4, 5)),
        (MaxPool2d(2), (2, 3, 4, 6)),
        (ReLU(), (3, 4)),
        (Flatten(), (2, 3, 4)),
        (Dropout(rng=0), (3, 4)),
        (Sequential(ReLU(), Linear(3, 2, rng=0)), (4, 3)),
        (Sequential(), (4, 3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_each_backward_needs_its_own_forward(layer, shape):
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    dy = np.ones_like(layer(x))
    assert layer.backward(dy).shape == shape
    with pytest.raises(StateError, match=rf"^{type(layer).__name__}: backward has nothing saved"):
        layer.backward(dy)

    layer(x)
    assert layer.backward(dy, input_grad=False) is None
    layer(x)
    layer.drop_context()
    with pytest.raises(StateError):
        layer.backward(dy)

    layer(x)
    layer.eval()(x)  # saves nothing, and what was saved before is of another call
    with pytest.raises(StateError):
        layer.backward(dy)
    layer(x, save=True)
    assert layer.backward(dy).shape == shape
    layer.train()(x, save=False)
    with pytest.raises(StateError):
        layer.backward(dy)


def test_failed_forward_leaves_nothing_to_differentiate():
    model = Sequential(Linear(3, 3, rng=0), Linear(3, 2, rng=1))
    x = np.ones((2, 3), np.float32)
    dy = np.ones_like(model(x))
    with pytest.raises(FastnnError):
        model(x[:, :2])
    with pytest.raises(StateError):
        model.backward(dy)


def test_without_input_grad_the_first_layers_dx_is_never_computed(batch, monkeypatch):
    x, _ = batch
    model = Sequential(ReLU(), *convnet(), ReLU())
    dy = np.random.default_rng(6).standard_normal(model(x).shape)
    model.backward(dy)
    expected = {name: grad.copy() for name, grad in model.grads.items()}
    model.zero_grad()
    needs = {}

    def spy(op):
        inner = op.backward

        def backward(ctx, dy, *, needs: tuple[str, ...]):
            calls.append((op.name, needs))
            return inner(ctx, dy, needs=needs)

        monkeypatch.setattr(op, "backward", backward)

    calls = []
    for op in (ops.conv2d, ops.relu, ops.batch_norm):
        spy(op)
    model(x)
    assert model.backward(dy, input_grad=False) is None
    needs = [c for c in calls if c[0] == "conv2d"]
    assert needs == [("conv2d", ("w", "b"))]
    assert [name for name, _ in calls] == ["relu", "relu", "batch_norm", "conv2d"]
    for name, grad in model.grads.items():
        np.testing.assert_array_equal(grad, expected[name], err_msg=name)
    with pytest.raises(StateError):  # the skipped layer's context is gone, too
        model[0].backward(x)


def test_a_model_without_parameters_skips_all_without_input_grad():
    model = Sequential(ReLU(), Sequential(Flatten()))
    y = model(np.ones((2, 3, 4)))
    assert model.backward(y, input_grad=False) is None
    with pytest.raises(StateError):
        model[1][0].backward(y)


def test_a_copy_is_independent_and_has_no_context(batch):
    x, _ = batch
    model = convnet()
    dy = np.ones_like(model(x))
    twin = copy.deepcopy(model)
    with pytest.raises(StateError):
        twin.backward(dy)
    np.testing.assert_array_equal(twin(x), model(x))
    twin.params["5.weight"].fill(0)
    assert np.any(model.params["5.weight"])
    assert model.backward(dy).shape == x.shape


# -- modes ---------------------------------------------------------------------------------------


def test_batch_norm_counts_and_averages_in_training_only():
    layer = BatchNorm2d(2, momentum=0.25, dtype=np.float64)
    x = np.array([0.0, 2, 4, 6, 10, 10, 10, 14]).reshape(2, 1, 2, 2).transpose(1, 0, 2, 3)
    layer(x)
    # Channel means 3 and 11; unbiased variances 20/3 and 12/3.
    np.testing.assert_allclose(layer.buffers["running_mean"], [0.75, 2.75])
    np.testing.assert_allclose(layer.buffers["running_var"], [0.75 + 5 / 3, 0.75 + 1])
    count = layer.buffers["num_batches_tracked"]
    assert (count.shape, count.dtype, int(count)) == ((), np.int64, 1)
    y = layer.eval()(x)
    assert int(count) == 1
    np.testing.assert_allclose(y[0, 1, 0, 0], (10 - 2.75) / np.sqrt(1.75 + 1e-5))


def test_train_and_eval_reach_all_children_and_return_the_model():
    model = Sequential(ReLU(), Sequential(Dropout()))
    assert model.training
    assert model.eval() is model
    assert not any(part.training for part in (model, model[0], model[1], model[1][0]))
    assert model.train() is model
    assert all(part.training for part in (model, model[0], model[1], model[1][0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_scales_what_it_keeps(dtype):
    x = np.random.default_rng(7).standard_normal((200, 50)).astype(dtype)
    layer = Dropout(0.2, rng=3)
    y = layer(x)
    kept = y != 0
    assert y.dtype == dtype
    assert abs(kept.mean() - 0.8) < 0.02  # five standard deviations of 10000 draws
    np.testing.assert_allclose(y[kept], x[kept] / 0.8, rtol=1e-6)
    dy = np.random.default_rng(8).standard_normal(x.shape).astype(dtype)
    np.testing.assert_allclose(layer.backward(dy), np.where(kept, dy / 0.8, 0), rtol=1e-6)


def test_dropout_is_reproducible_and_draws_anew_each_time():
    x = np.ones((20, 30))
    layer, twin = Dropout(rng=9), Dropout(rng=np.random.default_rng(9))
    first, second = layer(x), layer(x)
    np.testing.assert_array_equal(first, twin(x))
    np.testing.assert_array_equal(second, twin(x))
    assert np.any(first != second)
    np.testing.assert_array_equal(first, Dropout(rng=9)(x.astype(np.float32)))


def test_dropout_is_the_identity_in_evaluation_and_at_p_0():
    x = np.random.default_rng(10).standard_normal((3, 4))
    layer = Dropout(0.9, rng=0).eval()
    assert layer(x) is x
    layer(x, save=True)
    np.testing.assert_array_equal(layer.backward(x), x)
    np.testing.assert_array_equal(Dropout(0)(x), x)
    np.testing.assert_array_equal(Dropout(1)(x), 0 * x)


def test_flatten_keeps_the_order_and_takes_empty_batches():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(Flatten()(x), np.arange(24.0).reshape(2, 12))
    np.testing.assert_array_equal(Flatten(0)(x), np.arange(24.0))
    layer = Flatten(2)
    assert layer(x[:, :0]).shape == (2, 0, 4)
    assert Flatten()(np.zeros((0, 3, 4))).shape == (0, 12)
    strided = x.transpose(2, 0, 1)
    flat = Flatten()
    np.testing.assert_array_equal(flat.backward(flat(strided)), strided)


# -- state ---------------------------------------------------------------------------------------


def test_state_dict_has_pytorchs_names_and_shapes():
    state = convnet(np.float32).state_dict()
    assert list(state) == NAMES
    assert [a.shape for a in state.values()] == [
        (3, 2, 3, 3),
        *[(3,)] * 5,
        (),
        (4, 18),
        (4,),
    ]
    assert {name: a.dtype.name for name, a in state.items() if a.dtype != np.float32} == {
        "1.num_batches_tracked": "int64"
    }
    nested = Sequential(Sequential(Linear(2, 2, bias=False)), BatchNorm1d(2, affine=False))
    assert list(nested.state_dict()) == [
        "0.0.weight",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]


def test_state_dict_matches_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, padding=1),
        torch.nn.BatchNorm2d(3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(18, 4),
    )
    model = convnet(np.float32)
    model.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    x = np.random.default_rng(11).standard_normal((4, 2, 5, 6)).astype(np.float32)
    y = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model(x), y, rtol=1e-4, atol=1e-5)


def test_state_round_trip_copies_both_ways(batch):
    x, _ = batch
    model, twin = disturb(convnet()), convnet(seed=1)
    model(x)
    held = dict(twin.params)
    state = model.state_dict()
    twin.load_state_dict(state)
    np.testing.assert_array_equal(twin.eval()(x), model.eval()(x))
    assert int(twin.buffers["1.num_batches_tracked"]) == 1
    state["5.weight"].fill(0)
    for name, param in twin.params.items():
        assert param is held[name]
        np.testing.assert_array_equal(param, model.params[name])
    assert np.any(model.params["5.weight"])


def test_load_takes_other_byte_orders_and_layouts():
    model, twin = convnet(), convnet(seed=1)
    state = {
        name: a.astype(a.dtype.newbyteorder(">"), order="F")
        for name, a in model.state_dict().items()
    }
    twin.load_state_dict(state)
    np.testing.assert_array_equal(twin.params["5.weight"], model.params["5.weight"])
    assert twin.params["5.weight"].dtype.isnative


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"5.bias": None}, StateError, r"lacks \['5.bias'\] and has \[\] too many"),
        ({"5.bias": None, "0.bias": None, "b": np.ones(1)}, StateError,
         r"lacks \['0.bias', '5.bias'\] and has \['b'\] too many"),
        ({"6.weight": np.ones(3)}, StateError, r"lacks \[\] and has \['6.weight'\] too many"),
        ({"5.bias": np.ones(5)}, ShapeError, r"5.bias of shape \(5,\); it must be \(4,\)"),
        ({"5.bias": np.ones((4, 1))}, ShapeError, r"5.bias of shape \(4, 1\)"),
        ({"5.bias": np.ones(4, np.float32)}, DtypeError, r"5.bias of dtype float32.*float64"),
        ({"1.num_batches_tracked": np.array(1.0)}, DtypeError, r"float64; it must be int64"),
    ],
)  # fmt: skip
def test_load_refuses_and_leaves_the_model_untouched(change, error, text):
    model = convnet()
    before = model.state_dict()
    state = convnet(seed=1).state_dict()
    for name, value in change.items():
        if value is None:
            del state[name]
        else:
            state[name] = value
    with pytest.raises(error, match=rf"^Sequential: state .*{text}"):
        model.load_state_dict(state)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    with pytest.raises(DtypeError, match="state is list"):
        model.load_state_dict([])


def test_save_and_load_files(tmp_path):
    model, twin = disturb(convnet()), convnet(seed=1)
    model.save(tmp_path / "m.npz")
    twin.load(tmp_path / "m.npz")
    for name, array in twin.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[name])
    with pytest.raises(fastnn.errors.FileError, match="limit=100"):
        twin.load(tmp_path / "m.npz", limit=100)


def test_mappings_refuse_a_new_array_for_a_name():
    layer = Linear(2, 2)
    with pytest.raises(TypeError):
        layer.params["weight"] = np.ones((2, 2))
    layer.params["weight"][...] = 5
    assert layer.state_dict()["weight"].min() == 5


# -- structure and texts -------------------------------------------------------------------------


def test_sequential_is_a_sequence():
    model = convnet()
    assert len(model) == 6
    assert [type(layer).__name__ for layer in model][:2] == ["Conv2d", "BatchNorm2d"]
    assert model[-1] is list(model)[5]
    assert list(model[1:3]) == [model[1], model[2]]
    assert list(model.children) == ["0", "1", "2", "3", "4", "5"]
    with pytest.raises(IndexError):
        model[6]


def test_a_layer_may_be_used_once():
    relu = ReLU()
    with pytest.raises(OptionError, match="Sequential: 1 is or holds a ReLU that is in here"):
        Sequential(relu, relu)
    with pytest.raises(OptionError, match="used once"):
        Sequential(Sequential(relu), Flatten(), Sequential(relu))
    with pytest.raises(DtypeError, match="Sequential: 0 is str; it must be a Layer"):
        Sequential("relu")


def test_repr_is_pytorchs():
    assert repr(convnet()) == (
        "Sequential(\n"
        "  (0): Conv2d(2, 3, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        "  (1): BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True)\n"
        "  (2): ReLU()\n"
        "  (3): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)\n"
        "  (4): Flatten(start_dim=1)\n"
        "  (5): Linear(in_features=18, out_features=4, bias=True)\n"
        ")"
    )
    conv = Conv2d(4, 6, (3, 2), stride=2, padding="valid", dilation=2, groups=2, bias=False)
    assert repr(conv) == (
        "Conv2d(4, 6, kernel_size=(3, 2), stride=(2, 2), padding='valid', dilation=(2, 2), "
        "groups=2, bias=False)"
    )
    assert repr(Sequential(Sequential(Dropout(0.1)))) == (
        "Sequential(\n  (0): Sequential(\n    (0): Dropout(p=0.1)\n  )\n)"
    )


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Conv2d(0, 3, 3), ShapeError, "in_channels=0"),
        (lambda: Conv2d(3, 4, 3, groups=2), ShapeError, "groups=2 with in_channels=3"),
        (lambda: Conv2d(3, 4, 0), ShapeError, "kernel_size=0"),
        (lambda: Conv2d(3, 4, 3, stride=0), ShapeError, "stride=0"),
        (lambda: Conv2d(3, 4, 3, padding=-1), ShapeError, "padding=-1"),
        (lambda: Conv2d(3, 4, 3, padding="full"), OptionError, "padding='full'"),
        (lambda: Conv2d(3, 4, 3, padding="same", stride=2), ShapeError, "needs stride 1"),
        (lambda: Conv2d(3, 4, 3, bias=1), DtypeError, "bias=1; it must be True or False"),
        (lambda: Conv2d(3, 4, 3, dtype="f2"), DtypeError, "dtype=float16"),
        (lambda: Conv2d(3, 4, 3, dtype="what"), DtypeError, "dtype='what'"),
        (lambda: Linear(3, 2.0), DtypeError, "out_features=2.0"),
        (lambda: Linear(3, 2, rng=-1), OptionError, "rng=-1"),
        (lambda: Linear(3, 2, rng="a"), OptionError, "rng='a'"),
        (lambda: BatchNorm2d(3, eps=0), OptionError, "eps"),
        (lambda: BatchNorm2d(3, momentum=1.5), OptionError, "momentum"),
        (lambda: BatchNorm2d(3, momentum=None), DtypeError, "momentum=None"),
        (lambda: MaxPool2d(2, padding=2), ShapeError, "padding"),
        (lambda: MaxPool2d(2, stride=0), ShapeError, "stride=0"),
        (lambda: MaxPool2d((2, 2, 2)), ShapeError, "kernel_size"),
        (lambda: Flatten(-1), ShapeError, "start_dim=-1"),
        (lambda: Dropout(1.5), OptionError, "p=1.5"),
        (lambda: Dropout(np.nan), OptionError, "p=nan"),
        (lambda: Dropout(rng="a"), OptionError, "rng='a'"),
        (lambda: BatchNorm2d(3)(np.ones((2, 3))), ShapeError, "2 axes.*must be N C H W"),
        (lambda: BatchNorm1d(3)(np.ones(3)), ShapeError, "1 axes.*must be N C or N C L"),
        (lambda: BatchNorm1d(3)(np.ones((2, 4), "f4")), ShapeError, "C=4"),
        (lambda: BatchNorm1d(3, affine=False)(np.ones((2, 4), "f4")), ShapeError, "C=4"),
        (lambda: Flatten(2)(np.ones((2, 3))), ShapeError, "start_dim=2 needs at least 3"),
        (lambda: Dropout()(np.ones(3, int)), DtypeError, "int64"),
        (lambda: Linear(3, 2)(np.ones((2, 3))), DtypeError, "x is float64 but w is float32"),
    ],
)  # fmt: skip
def test_impossible_arguments_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("layer", [Flatten(), Dropout(rng=0), ReLU()], ids=repr)
def test_dy_of_another_shape_is_refused(layer):
    layer(np.ones((2, 3, 4)))
    with pytest.raises(ShapeError, match="dy has shape"):
        layer.backward(np.ones((24,)))


class Residual(Layer):
    """A layer of a user: x + body(x)."""

    def __init__(self, body):
        super().__init__()
        self.add_child("body", body)
        self.add_parameter("gain", np.array([2.0]))

    def _forward(self, x, save):
        y = self.children["body"].forward(x, save=save)
        return x + self.params["gain"] * y, y

    def _backward(self, context, dy, input_grad):
        self.grads["gain"][0] += np.sum(dy * context)
        dx = self.children["body"].backward(self.params["gain"] * dy)
        return dx + dy if input_grad else None


def test_a_layer_of_a_user_takes_part_in_all():
    rng = np.random.default_rng(12)
    body = Sequential(Linear(4, 4, rng=rng, dtype="f8"), ReLU())
    model = Sequential(Residual(body))
    assert list(model.state_dict()) == ["0.gain", "0.body.0.weight", "0.body.0.bias"]
    check_gradients(model, rng.standard_normal((5, 4)), rng.integers(4, size=5))
    for name in ("", "a.b", "gain", "body"):
        with pytest.raises(OptionError, match="Residual: name"):
            model[0].add_parameter(name, np.ones(2))
    with pytest.raises(DtypeError, match="Residual: count has dtype int64"):
        model[0].add_parameter("count", np.ones(2, int))


def test_layers_exports_what_it_says():
    for name in ("Layer", "Sequential", "Conv2d", "Linear", "BatchNorm1d", "BatchNorm2d",
                 "MaxPool2d", "ReLU", "Flatten", "Dropout"):  # fmt: skip
        assert issubclass(getattr(layers, name), Layer)
