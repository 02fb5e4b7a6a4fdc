"""Optimisers against steps worked by hand, formulas written plainly, and PyTorch if it is there."""

from __future__ import annotations

import copy
import tracemalloc

import numpy as np
import pytest

import fastnn
from fastnn import io
from fastnn.errors import DtypeError, OptionError, ShapeError, StateError
from fastnn.layers import Linear, ReLU, Sequential
from fastnn.optim import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    RMSprop,
    clip_grad_norm,
    clip_grad_value,
)

SETTINGS = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05, "decoupled": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    (Adam, {}),
    (Adam, {"lr": 0.1, "betas": (0.6, 0.9), "eps": 1e-3}),
    (Adam, {"lr": 0.1, "weight_decay": 0.05}),
    (Adam, {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True}),
    (Adam, {"lr": 0.1, "bias_correction": False}),
    (AdamW, {"lr": 0.1}),
    (AdamW, {"lr": 0.1, "weight_decay": 0.2, "amsgrad": True}),
    (RMSprop, {}),
    (RMSprop, {"lr": 0.1, "alpha": 0.8, "momentum": 0.7, "weight_decay": 0.05}),
    (RMSprop, {"lr": 0.1, "alpha": 0.8, "centered": True}),
    (RMSprop, {"lr": 0.1, "alpha": 0.8, "centered": True, "momentum": 0.7}),
    (AdaGrad, {"lr": 0.1}),
    (AdaGrad, {"lr": 0.1, "lr_decay": 0.3, "weight_decay": 0.05}),
]
settings = pytest.mark.parametrize(
    ("kind", "options"), SETTINGS, ids=lambda v: v.__name__ if isinstance(v, type) else str(v)
)


@pytest.fixture(params=["cython", "naive"])
def engine(request):
    """The optimisers run compiled, and in NumPy."""
    if fastnn.dispatch.unavailable(request.param) is not None:
        pytest.skip("needs the compiled extension")
    with fastnn.use(backend=request.param):
        yield request.param


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
        # decoupled: 1 - 0.1*0.5 - 0.1*0.1*1; v = 0.5: 0.94; v = 0.95: 0.94 - 0.095 - 0.0094
        (SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "decoupled": True},
         [0.5, 0.5], [0.94, 0.8356]),
        # the step of 0.05 above, and 0.1*0.2*1
        (AdamW, {"lr": 0.1, "eps": 0.5, "weight_decay": 0.2}, [0.5], [0.93]),
        # v = 0.5, then 0.25: the root of 0.5 stays; m = 0.5, 0.25
        (Adam, {"lr": 0.1, "betas": (0.5, 0.5), "eps": 0.0, "amsgrad": True,
                "bias_correction": False}, [1.0, 0.0],
         [0.9292893218813453, 0.8939339828220179]),
        # v = 0.25*4 = 1: 2/(1 + 1)
        (RMSprop, {"lr": 0.1, "alpha": 0.75, "eps": 1.0}, [2.0], [0.9]),
        # v = 1, a = 0.5, sqrt(0.75)
        (RMSprop, {"lr": 0.1, "alpha": 0.75, "eps": 0.0, "centered": True}, [2.0],
         [0.7690598923241496]),
        # b = 1, then v = 0.75*1 = 0.75, b = 0.5
        (RMSprop, {"lr": 0.1, "alpha": 0.75, "eps": 1.0, "momentum": 0.5}, [2.0, 0.0],
         [0.9, 0.85]),
        # s = 9: 3/(3 + 1); s = 25 and lr/2: 4/(5 + 1)
        (AdaGrad, {"lr": 0.4, "lr_decay": 1.0, "eps": 1.0}, [3.0, 4.0], [0.7, 0.5666666666666667]),
    ],
)  # fmt: skip
def test_steps_worked_by_hand(kind, options, gradients, expected, engine):
    p, g = np.array([1.0]), np.empty(1)
    optimizer = kind([("p", p, g)], **options)
    for gradient, value in zip(gradients, expected, strict=True):
        g[0] = gradient
        optimizer.step()
        np.testing.assert_allclose(p, value, rtol=1e-12)
        assert g[0] == gradient


def sgd(p, gradients, lr, momentum=0.0, nesterov=False, weight_decay=0.0, decoupled=False):
    """PyTorch's documented algorithm, plainly, or with decoupled decay."""
    p, b = p.copy(), None
    for g in gradients:
        decay = lr * weight_decay * p if decoupled else 0
        if not decoupled:
            g = g + weight_decay * p
        if momentum:
            b = g if b is None else momentum * b + g
            g = g + momentum * b if nesterov else b
        p = p - lr * g - decay
    return p


def adam(
    p, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False,
    bias_correction=True, decoupled=False,
):  # fmt: skip
    """PyTorch's documented algorithms, plainly."""
    p, m, v, top = p.copy(), 0 * p, 0 * p, 0 * p
    for t, g in enumerate(gradients, 1):
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        top = np.maximum(top, v) if amsgrad else v
        mhat, vhat = m, top
        if bias_correction:
            mhat, vhat = m / (1 - betas[0] ** t), top / (1 - betas[1] ** t)
        p = p - lr * mhat / (np.sqrt(vhat) + eps)
    return p


def adamw(p, gradients, weight_decay=0.01, **options):
    return adam(p, gradients, weight_decay=weight_decay, decoupled=True, **options)


def rmsprop(
    p, gradients, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False
):
    """PyTorch's documented algorithm, plainly."""
    p, v, mean, b = p.copy(), 0 * p, 0 * p, 0 * p
    for g in gradients:
        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - mean**2 if centered else v) + eps)
        p = p - lr * b
    return p


def adagrad(p, gradients, lr=0.01, lr_decay=0.0, eps=1e-10, weight_decay=0.0):
    """PyTorch's documented algorithm, plainly."""
    p, total = p.copy(), 0 * p
    for t, g in enumerate(gradients):
        g = g + weight_decay * p
        total = total + g**2
        p = p - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
    return p


FORMULAS = {SGD: sgd, Adam: adam, AdamW: adamw, RMSprop: rmsprop, AdaGrad: adagrad}


def drawn(shape, dtype, steps=6):
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape).astype(dtype), [
        rng.standard_normal(shape).astype(dtype) for _ in range(steps)
    ]


@settings
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_trajectory_is_the_formulas(kind, options, dtype, engine):
    formula = FORMULAS[kind]
    shapes = [(3, 4), (5,), (0, 2), (), (170, 97), (33,)]  # blocks end inside the fifth
    cases = {str(shape): drawn(shape, dtype) for shape in shapes}
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


PYTORCH = {AdaGrad: "Adagrad"}


@settings
def test_trajectory_is_pytorchs(kind, options, engine):
    torch = pytest.importorskip("torch")
    if "decoupled" in options or "bias_correction" in options:
        pytest.skip("PyTorch has no such option")
    start, gradients = drawn((3, 4), np.float64)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    reference = getattr(torch.optim, PYTORCH.get(kind, kind.__name__))([theirs], **options)
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
def test_resuming_from_files_is_bitwise(kind, options, tmp_path, engine):
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
        "step", "lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad", "bias_correction",
        "decoupled", "clip_norm", "clip_value",
        "exp_avg.0.weight", "exp_avg.0.bias", "exp_avg_sq.0.weight", "exp_avg_sq.0.bias",
    ]  # fmt: skip
    numbers = ["step", "lr", "momentum", "nesterov", "weight_decay", "decoupled"]
    numbers += ["clip_norm", "clip_value"]
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


def test_nan_and_infinite_gradients_pass_through(engine):
    for kind in FORMULAS:
        p, g = np.ones(3, np.float32), np.array([np.nan, 0.5, 3e38], np.float32)
        optimizer = kind([("p", p, g)], lr=0.1, weight_decay=0.1)
        optimizer.step()
        assert np.isnan(p[0])
        assert np.isfinite(p[1])
        assert p[1] != 1


@settings
def test_a_step_allocates_nothing_of_the_parameters_size(kind, options, engine):
    p = np.ones(500_000, np.float32)
    optimizer = kind([("p", p, np.ones_like(p))], **options)
    optimizer.step()
    tracemalloc.start()
    try:
        optimizer.step()
        assert tracemalloc.get_traced_memory()[1] < p.nbytes / 20
    finally:
        tracemalloc.stop()


def test_a_deep_copy_of_model_and_optimiser_trains_itself(engine):
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
        "SGD(1 parameters, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0, decoupled=False)"
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
        (lambda: Adam(ONE, amsgrad=1), DtypeError, "amsgrad=1"),
        (lambda: AdamW(ONE, weight_decay=-1), OptionError, "AdamW: weight_decay=-1"),
        (lambda: RMSprop(ONE, alpha=1.0), OptionError, "RMSprop: alpha=1.0"),
        (lambda: AdaGrad(ONE, lr_decay=-0.5), OptionError, "AdaGrad: lr_decay=-0.5"),
        (lambda: SGD(ONE, 0.1, clip_norm=0), OptionError, "clip_norm=0.0; it must be above 0"),
        (lambda: SGD(ONE, 0.1, clip_value=np.nan), OptionError, "clip_value=nan"),
        (lambda: SGD(ONE, 0.1, clip_norm=1, clip_value=1), OptionError, "only one"),
        (lambda: clip_grad_norm(ONE, -1), OptionError, "clip_grad_norm: max_norm=-1"),
        (lambda: clip_grad_value([], 1), OptionError, "clip_grad_value: there are no param"),
        (lambda: SGD([{"params": ONE, "rate": 1}], 0.1), OptionError, r"unknown.*\['rate'\]"),
        (lambda: SGD([{"lr": 1}], 0.1), OptionError, "group 0.*must have params"),
        (lambda: SGD([{"params": ONE, "lr": -1}], 0.1), OptionError, "lr=-1"),
        (lambda: SGD([{"params": ONE}] * 2, 0.1), OptionError, "array is there twice"),
        (lambda: SGD([*ONE, {"params": ONE}], 0.1), DtypeError, "a parameter is dict"),
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


@settings
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_and_numpy_steps_agree(kind, options, dtype):
    """But for rounding: fused multiply-adds are one rounding less."""
    if fastnn.dispatch.unavailable("cython") is not None:
        pytest.skip("needs the compiled extension")
    ends = []
    for backend in ("cython", "naive"):
        start, gradients = drawn((40, 9), dtype, steps=4)
        g = np.empty_like(start)
        with fastnn.use(backend=backend):
            optimizer = kind([("p", start, g)], clip_norm=5.0, **options)
            for gradient in gradients:
                g[...] = gradient
                optimizer.step()
        ends.append([start, *(a for k, a in optimizer.state_dict().items() if k.endswith(".p"))])
    for compiled, naive in zip(*ends, strict=True):
        tolerance = 64 * np.finfo(dtype).eps
        np.testing.assert_allclose(compiled, naive, rtol=tolerance, atol=tolerance)


@settings
def test_bits_do_not_depend_on_threads_nor_on_the_other_parameters(kind, options):
    """More than a thread's share of work, in parameters that end within blocks."""
    sizes = [1, 70_001, 0, 300_000, 17]
    ends = []
    for threads in (1, 2, 5):
        cases = [drawn((n,), np.float32, steps=1) for n in sizes]
        triples = [(str(i), p, g) for i, (p, (g,)) in enumerate(cases)]
        with fastnn.use(threads=threads):
            optimizer = kind(triples, clip_norm=0.5, **options)
            for _ in range(2):
                optimizer.step()
            norm = clip_grad_norm(triples, 0.1)
        ends.append([norm, *(p for _, p, _ in triples), *(g for _, _, g in triples)])
    for end in ends[1:]:
        for a, b in zip(ends[0], end, strict=True):
            np.testing.assert_array_equal(a, b)


def test_groups_have_options_of_their_own(engine):
    whole = {}
    for name in "ab":
        p, g = np.ones(3), np.full(3, 0.5)
        options = {"lr": 0.1, "momentum": 0.9} if name == "a" else {"lr": 0.01, "weight_decay": 0.1}
        optimizer = SGD([(name, p, g)], **options)
        optimizer.step()
        optimizer.step()
        whole[name] = p
    a, b, g = np.ones(3), np.ones(3), np.full(3, 0.5)
    groups = [
        {"params": [("x", a, g)], "momentum": 0.9},
        {"params": [("x", b, g.copy())], "lr": 0.01, "weight_decay": 0.1},
    ]
    optimizer = SGD(groups, lr=0.1)
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(a, whole["a"])
    np.testing.assert_array_equal(b, whole["b"])
    assert [group["lr"] for group in optimizer.groups] == [0.1, 0.01]
    assert optimizer.groups[1].names == ("group1.x",)
    state = optimizer.state_dict()
    assert state["group1.lr"] == 0.01
    assert "momentum_buffer.group0.x" in state
    assert "momentum_buffer.group1.x" not in state
    optimizer.lr = 0.5
    assert [group["lr"] for group in optimizer.groups] == [0.5, 0.5]
    optimizer.groups[1]["lr"] = 0.25
    assert optimizer.groups[1].options["lr"] == 0.25
    with pytest.raises(OptionError, match="needs other state"):
        optimizer.groups[1]["momentum"] = 0.5
    optimizer.load_state_dict(state)
    assert [group["lr"] for group in optimizer.groups] == [0.1, 0.01]


def test_groups_of_layers_and_both_dtypes_at_once(engine):
    model = network()
    wide, grad = np.ones(3), np.ones(3)
    body, head = model.children["0"], model.children["2"]
    optimizer = Adam(
        [{"params": body, "betas": (0.5, 0.9)}, {"params": head}, {"params": [("w", wide, grad)]}],
        lr=0.1,
    )
    before = model.state_dict()
    for _, _, g in model.parameters():
        g.fill(1)
    optimizer.step()
    assert optimizer.groups[0]["beta1"] == 0.5
    for name, param in model.params.items():
        np.testing.assert_allclose(param, before[name] - 0.1, rtol=1e-5)
    np.testing.assert_allclose(wide, 0.9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_by_norm(dtype, engine):
    shapes = [(4, 5), (20_000,), (3,)]
    gradients = [drawn(shape, dtype, steps=1)[1][0] for shape in shapes]
    norm = np.sqrt(sum(float(np.sum(g.astype(float) ** 2)) for g in gradients))
    triples = [(str(i), np.ones_like(g), g.copy()) for i, g in enumerate(gradients)]
    assert clip_grad_norm(triples, 2 * norm) == pytest.approx(norm, rel=1e-12)
    for (_, _, clipped), g in zip(triples, gradients, strict=True):
        np.testing.assert_array_equal(clipped, g)
    fused = [(name, np.ones_like(p), g.copy()) for name, p, g in triples]
    SGD(fused, 1.0, clip_norm=0.5).step()
    clip_grad_norm(triples, 0.5)
    assert np.sqrt(sum(float(np.sum(g.astype(float) ** 2)) for _, _, g in triples)) <= 0.5 * (
        1 + 1e-6
    )
    for (_, p, g), (_, _, clipped), given in zip(fused, triples, gradients, strict=True):
        np.testing.assert_array_equal(g, given)
        np.testing.assert_allclose(clipped, given * 0.5 / norm, rtol=1e-5)
        np.testing.assert_allclose(1 - p, clipped, rtol=1e-4, atol=1e-6)


def test_clipping_by_value_and_what_is_not_finite(engine):
    g = np.array([np.nan, np.inf, -np.inf, 3.0, -0.5], np.float32)
    p = np.zeros_like(g)
    SGD([("p", p, g)], 1.0, clip_value=1.0).step()
    np.testing.assert_array_equal(p, [np.nan, -1, 1, -1, 0.5])
    clip_grad_value([("p", p, g)], 2.0)
    np.testing.assert_array_equal(g, [np.nan, 2, -2, 2, -0.5])
    assert np.isnan(clip_grad_norm([("p", p, g)], 1.0))
    assert np.isnan(g).all()
    g[:] = [1, np.inf, 0, 2, 3]
    assert clip_grad_norm([("p", p, g)], 1.0) == np.inf
    np.testing.assert_array_equal(g, [0, np.nan, 0, 0, 0])


def test_clipping_is_pytorchs(engine):
    torch = pytest.importorskip("torch")
    given = [drawn(shape, np.float64, steps=1)[1][0] for shape in [(3, 4), (50,)]]
    theirs = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in given]
    for clip, reference, most in (
        (clip_grad_norm, torch.nn.utils.clip_grad_norm_, 0.7),
        (clip_grad_value, torch.nn.utils.clip_grad_value_, 0.3),
    ):
        triples = [(str(i), np.zeros_like(g), g.copy()) for i, g in enumerate(given)]
        for p, g in zip(theirs, given, strict=True):
            p.grad = torch.from_numpy(g.copy())
        norm, theirs_norm = clip(triples, most), reference(theirs, most)
        if norm is not None:
            assert norm == pytest.approx(float(theirs_norm), rel=1e-12)
        for (_, _, g), p in zip(triples, theirs, strict=True):
            np.testing.assert_allclose(g, p.grad.numpy(), rtol=1e-12)


def test_centred_rmsprop_bears_a_gradient_that_never_changes(engine):
    p, g = np.zeros(1000, np.float32), np.linspace(0.1, 3, 1000, dtype=np.float32)
    optimizer = RMSprop([("p", p, g)], alpha=0.5, centered=True, eps=1e-3)
    for _ in range(100):
        optimizer.step()
    assert np.isfinite(p).all()
