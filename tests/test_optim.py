"""Optimisers against steps worked by hand, formulas written plainly, and PyTorch if it is there."""

from __future__ import annotations

import copy
import tracemalloc

import numpy as np
import pytest

from fastnn import io, optim
from fastnn.errors import DtypeError, OptionError, ShapeError, StateError
from fastnn.layers import Linear, ReLU, Sequential
from fastnn.optim import SGD, Adam

SETTINGS = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    (Adam, {}),
    (Adam, {"lr": 0.1, "betas": (0.6, 0.9), "eps": 1e-3}),
    (Adam, {"lr": 0.1, "weight_decay": 0.05}),
]
settings = pytest.mark.parametrize(
    ("kind", "options"), SETTINGS, ids=lambda v: v.__name__ if isinstance(v, type) else str(v)
)


@pytest.mark.parametrize(
    ("kind", "options", "gradients", "expected"),
    [
        # p = 1 - 0.1*0.5 = 0.95, then 0.95 - 0.1*(-1)
        (SGD, {"lr": 0.1}, [0.5, -1.0], [0.95, 1.05]),
        # g = 0.5 + 0.1*1 = 0.6: 0.94; g = 0.5 + 0.094 = 0.594: 0.8806
        (SGD, {"lr": 0.1, "weight_decay": 0.1}, [0.5, 0.5], [0.94, 0.8806]),
        # v = 0.5: 0.95; v = 0.45 + 0.5 = 0.95: 0.855; v = 0.855 + 0.5 = 1.355: 0.7195
        (SGD, {"lr": 0.1, "momentum": 0.9}, [0.5, 0.5, 0.5], [0.95, 0.855, 0.7195]),
        # v = 0.5, g = 0.5 + 0.45 = 0.95: 0.905; v = 0.95, g = 0.5 + 0.855 = 1.355: 0.7695
        (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}, [0.5, 0.5], [0.905, 0.7695]),
        # g = 0.6, v = 0.6, 0.6 + 0.54 = 1.14: 0.886
        # g = 0.5886, v = 0.54 + 0.5886 = 1.1286, 0.5886 + 1.01574 = 1.60434: 0.725566
        (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
         [0.5, 0.5], [0.886, 0.725566]),
        # m/(1-beta1) = 0.5 and sqrt(v/(1-beta2)) = 0.5, so 0.5/(0.5 + 0.5) = 0.5: 0.95
        (Adam, {"lr": 0.1, "eps": 0.5}, [0.5], [0.95]),
        # weight decay first: g = 0.3 + 0.2 = 0.5, then as before
        (Adam, {"lr": 0.1, "eps": 0.5, "weight_decay": 0.2}, [0.3], [0.95]),
        # 1 - 0.1; m = 0.05/2 - 0.5 = -0.125 ... with beta1 = beta2 = 0.5 and eps = 0:
        # m = 0.25, v = 0.125: step 1. m = 0.125 - 0.5 = -0.375, v = 0.0625 + 0.5 = 0.5625;
        # mhat = -0.375/0.75 = -0.5, sqrt(0.5625/0.75) = sqrt(0.75): 0.9 + 0.05/sqrt(0.75)
        (Adam, {"lr": 0.1, "betas": (0.5, 0.5), "eps": 0.0}, [0.5, -1.0],
         [0.9, 0.9577350269189626]),
    ],
)  # fmt: skip
def test_steps_worked_by_hand(kind, options, gradients, expected):
    p, g = np.array([1.0]), np.empty(1)
    optimizer = kind([("p", p, g)], **options)
    for gradient, value in zip(gradients, expected, strict=True):
        g[0] = gradient
        optimizer.step()
        np.testing.assert_allclose(p, value, rtol=1e-12)
        assert g[0] == gradient


def sgd(p, gradients, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """PyTorch's documented algorithm, plainly."""
    p, b = p.copy(), None
    for g in gradients:
        g = g + weight_decay * p
        if momentum:
            b = g if b is None else momentum * b + g
            g = g + momentum * b if nesterov else b
        p = p - lr * g
    return p


def adam(p, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """PyTorch's documented algorithm, plainly."""
    p, m, v = p.copy(), 0 * p, 0 * p
    for t, g in enumerate(gradients, 1):
        g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        mhat, vhat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        p = p - lr * mhat / (np.sqrt(vhat) + eps)
    return p


def drawn(shape, dtype, steps=6):
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape).astype(dtype), [
        rng.standard_normal(shape).astype(dtype) for _ in range(steps)
    ]


@settings
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_trajectory_is_the_formulas(kind, options, dtype, monkeypatch):
    monkeypatch.setattr(optim, "_BLOCK", 5)  # so that blocks end inside and at the end
    formula = {SGD: sgd, Adam: adam}[kind]
    cases = {"a": drawn((3, 4), dtype), "b": drawn((5,), dtype), "c": drawn((), dtype)}
    params = {name: start.copy() for name, (start, _) in cases.items()}
    grads = {name: np.empty_like(p) for name, p in params.items()}
    optimizer = kind([(name, params[name], grads[name]) for name in cases], **options)
    for t in range(6):
        for name, (_, gradients) in cases.items():
            grads[name][...] = gradients[t]
        optimizer.step()
    for name, (start, gradients) in cases.items():
        expected = formula(start.astype("f8"), [g.astype("f8") for g in gradients], **options)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        assert params[name].dtype == dtype
        np.testing.assert_allclose(params[name], expected, rtol=tolerance, atol=tolerance)


@settings
def test_trajectory_is_pytorchs(kind, options):
    torch = pytest.importorskip("torch")
    start, gradients = drawn((3, 4), np.float64)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    reference = getattr(torch.optim, kind.__name__)([theirs], **options)
    p, g = start.copy(), np.empty_like(start)
    ours = kind([("p", p, g)], **options)
    for gradient in gradients:
        theirs.grad = torch.from_numpy(gradient.copy())
        reference.step()
        g[...] = gradient
        ours.step()
        np.testing.assert_allclose(p, theirs.detach().numpy(), rtol=1e-12)


def network(seed=0):
    rng = np.random.default_rng(seed)
    return Sequential(Linear(3, 4, rng=rng), ReLU(), Linear(4, 2, rng=rng))


def train(model, optimizer, steps, first=0):
    """Some steps towards fixed targets; step i has data of its own."""
    for i in range(first, first + steps):
        rng = np.random.default_rng(100 + i)
        x, target = (rng.standard_normal((5, n)).astype(np.float32) for n in (3, 2))
        optimizer.zero_grad()
        model.backward(model(x) - target, input_grad=False)
        optimizer.step()


@settings
def test_resuming_from_files_is_bitwise(kind, options, tmp_path):
    whole, model = network(), network()
    optimizer = kind(whole, **options)
    train(whole, optimizer, 3)
    optimizer.lr *= 0.5
    train(whole, optimizer, 4, first=3)

    optimizer = kind(model, **options)
    train(model, optimizer, 3)
    optimizer.lr *= 0.5
    model.save(tmp_path / "model.npz")
    io.save(tmp_path / "optimizer.npz", optimizer.state_dict())
    model = network(seed=1)
    optimizer = kind(model, **options)
    model.load(tmp_path / "model.npz")
    optimizer.load_state_dict(io.load(tmp_path / "optimizer.npz"))
    train(model, optimizer, 4, first=3)
    for name, param in model.params.items():
        np.testing.assert_array_equal(param, whole.params[name], err_msg=name)
        assert np.any(param != network().params[name])


def test_state_names():
    model = Sequential(Linear(2, 1))
    assert list(Adam(model).state_dict()) == [
        "step", "lr", "beta1", "beta2", "eps", "weight_decay",
        "exp_avg.0.weight", "exp_avg.0.bias", "exp_avg_sq.0.weight", "exp_avg_sq.0.bias",
    ]  # fmt: skip
    numbers = ["step", "lr", "momentum", "nesterov", "weight_decay"]
    assert list(SGD(model, 0.1).state_dict()) == numbers
    buffers = ["momentum_buffer.0.weight", "momentum_buffer.0.bias"]
    assert list(SGD(model, 0.1, momentum=0.5).state_dict()) == numbers + buffers


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"lr": None}, StateError, r"lacks \['lr'\]"),
        ({"more": np.ones(1)}, StateError, r"has \['more'\] too many"),
        ({"exp_avg.0.bias": np.ones(3, np.float32)}, ShapeError, r"exp_avg.0.bias of shape"),
        ({"exp_avg.0.bias": np.ones(4)}, DtypeError, "exp_avg.0.bias of dtype float64"),
        ({"lr": np.array(-1.0)}, OptionError, "lr=-1.0"),
        ({"step": np.array(-1)}, OptionError, "step=-1"),
    ],
)
def test_load_refuses_and_leaves_the_optimiser_untouched(change, error, text):
    model = network()
    optimizer = Adam(model, 0.1)
    train(model, optimizer, 2)
    state = {name: a + a for name, a in optimizer.state_dict().items() if name != "beta1"}
    state["beta1"] = np.array(0.5)
    state["beta2"] = np.array(0.5)
    before = optimizer.state_dict()
    for name, value in change.items():
        if value is None:
            del state[name]
        else:
            state[name] = value
    with pytest.raises(error, match=text):
        optimizer.load_state_dict(state)
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_state_dict_is_a_copy():
    model = network()
    optimizer = SGD(model, 0.1, momentum=0.9)
    state = optimizer.state_dict()
    train(model, optimizer, 1)
    assert not np.any(state["momentum_buffer.0.weight"])
    assert np.any(optimizer.state_dict()["momentum_buffer.0.weight"])


def test_nan_and_infinite_gradients_pass_through():
    for kind in (SGD, Adam):
        p, g = np.ones(3, np.float32), np.array([np.nan, 0.5, 3e38], np.float32)
        optimizer = kind([("p", p, g)], lr=0.1, weight_decay=0.1)
        optimizer.step()
        assert np.isnan(p[0])
        assert np.isfinite(p[1])
        assert p[1] != 1


@settings
def test_a_step_allocates_nothing_of_the_parameters_size(kind, options):
    p = np.ones(500_000, np.float32)
    optimizer = kind([("p", p, np.ones_like(p))], **options)
    optimizer.step()
    tracemalloc.start()
    try:
        optimizer.step()
        assert tracemalloc.get_traced_memory()[1] < p.nbytes / 20
    finally:
        tracemalloc.stop()


def test_a_deep_copy_of_model_and_optimiser_trains_itself():
    model = network()
    optimizer = Adam(model)
    train(model, optimizer, 1)
    twin, twins = copy.deepcopy((model, optimizer))
    before = model.state_dict()
    train(twin, twins, 1, first=1)
    for name, param in model.params.items():
        np.testing.assert_array_equal(param, before[name])
        assert np.any(param != twin.params[name])
    train(model, optimizer, 1, first=1)
    np.testing.assert_array_equal(model.params["0.weight"], twin.params["0.weight"])


def test_zero_grad_and_repr():
    p, g = np.ones(2), np.ones(2)
    optimizer = SGD([("p", p, g)], 0.1)
    optimizer.zero_grad()
    assert not np.any(g)
    assert repr(optimizer) == (
        "SGD(1 parameters, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)"
    )


ONE = [("p", np.ones(2), np.ones(2))]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: SGD(ONE, -0.1), OptionError, "SGD: lr=-0.1; it must be at least 0"),
        (lambda: SGD(ONE, np.nan), OptionError, "lr=nan"),
        (lambda: SGD(ONE, np.inf), OptionError, "lr=inf"),
        (lambda: SGD(ONE, "fast"), DtypeError, "lr='fast'"),
        (lambda: SGD(ONE, 0.1, momentum=1.0), OptionError, "momentum=1.0"),
        (lambda: SGD(ONE, 0.1, momentum=-0.5), OptionError, "momentum=-0.5"),
        (lambda: SGD(ONE, 0.1, weight_decay=-1), OptionError, "weight_decay=-1"),
        (lambda: SGD(ONE, 0.1, nesterov=True), OptionError, "it needs momentum"),
        (lambda: SGD(ONE, 0.1, nesterov=1), DtypeError, "nesterov=1"),
        (lambda: Adam(ONE, -1.0), OptionError, "Adam: lr=-1.0"),
        (lambda: Adam(ONE, betas=(1.0, 0.9)), OptionError, "beta1=1.0"),
        (lambda: Adam(ONE, betas=(0.9, -0.1)), OptionError, "beta2=-0.1"),
        (lambda: Adam(ONE, betas=(0.9,)), OptionError, "it must be two numbers"),
        (lambda: Adam(ONE, eps=-1e-8), OptionError, "eps=-1e-08"),
        (lambda: setattr(Adam(ONE), "lr", -1), OptionError, "lr=-1"),
        (lambda: SGD([], 0.1), OptionError, "there are no parameters"),
        (lambda: SGD(ReLU(), 0.1), OptionError, "there are no parameters"),
        (lambda: SGD(ONE * 2, 0.1), OptionError, "name is there twice"),
        (lambda: SGD([*ONE, ("q", *ONE[0][1:])], 0.1), OptionError, "array is there twice"),
        (lambda: SGD([("p", np.ones(2, int), np.ones(2))], 0.1), DtypeError, "p is int64"),
        (lambda: SGD([("p", np.ones(2), [1, 2])], 0.1), DtypeError, "gradient p is list"),
        (lambda: SGD([("p", np.ones(2), np.ones(3))], 0.1), ShapeError, r"\(2,\).*\(3,\)"),
        (lambda: SGD([("p", np.ones(2), np.ones(2, "f4"))], 0.1), ShapeError, "float32"),
        (lambda: SGD([("p", np.ones((2, 3)).T, np.ones((3, 2)))], 0.1), ShapeError, "strided"),
    ],
)
def test_impossible_arguments_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_numpy_scalars_do_not_change_the_precision():
    p = np.ones(2, np.float32)
    SGD([("p", p, np.ones_like(p))], np.float64(0.1), momentum=np.float64(0.9)).step()
    np.testing.assert_array_equal(p, np.float32(1) - np.float32(0.1))
