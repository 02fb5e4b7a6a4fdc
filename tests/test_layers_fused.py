"""Neighbours that run together in a `Sequential` give what they give on their own, to the bit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import fastnn
from fastnn.errors import DtypeError, ShapeError, StateError
from fastnn.layers import (
    GELU,
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GroupNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool1d,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    _fused,
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Everything is large enough to run together, and chunks are a few images."""
    monkeypatch.setattr(_fused, "SMALL", 0)
    monkeypatch.setattr(_fused, "CHUNK", 3000)


@pytest.fixture
def joined(monkeypatch):
    """The tails that ran with a layer, by the names of their layers."""
    seen = []
    sandwich = _fused._sandwich

    def spy(head, tail, x, save):
        names = [type(layer).__name__ for layer in (head, *tail.layers)]
        seen.append(" ".join(names))
        return sandwich(head, tail, x, save)

    monkeypatch.setattr(_fused, "_sandwich", spy)
    return seen


def nets(dtype):
    """Name, shape of x, layers and which of them run together in training."""
    rng = np.random.default_rng(1)
    own = {"rng": rng, "dtype": dtype}
    image = (7, 3, 9, 11)
    yield "conv relu", image, [Conv2d(3, 5, 3, **own), ReLU()], "Conv2d ReLU"
    yield "no bias", image, [Conv2d(3, 4, 3, bias=False, **own), ReLU()], "Conv2d ReLU"
    yield (
        "conv relu pool",
        image,
        [Conv2d(3, 5, 3, padding=1, **own), ReLU(), MaxPool2d(2)],
        "Conv2d ReLU MaxPool2d",
    )
    yield (
        "overlap",
        image,
        [Conv2d(3, 4, 5, stride=2, padding=2, **own), ReLU(), MaxPool2d(3, stride=2, padding=1)],
        "Conv2d ReLU MaxPool2d",
    )
    yield (
        "ceil",
        image,
        [Conv2d(3, 4, 1, **own), ReLU(), MaxPool2d((2, 3), ceil_mode=True)],
        "Conv2d ReLU MaxPool2d",
    )
    # A window between two cells of a dilated pooling is outside: -inf, which ReLU must not see.
    yield (
        "no cell",
        (7, 3, 1, 4),
        [Conv2d(3, 4, 1, **own), ReLU(), MaxPool2d(2, stride=1, padding=1, dilation=2)],
        "Conv2d ReLU",
    )
    yield "conv pool", image, [Conv2d(3, 4, 3, **own), MaxPool2d(2), ReLU()], "Conv2d MaxPool2d"
    yield (
        "depthwise",
        image,
        [Conv2d(3, 6, 3, groups=3, **own), Sigmoid(), MaxPool2d(2)],
        "Conv2d Sigmoid",
    )
    yield (
        "signal",
        (9, 3, 40),
        [Conv1d(3, 8, 5, padding="causal", **own), ReLU(), MaxPool1d(3)],
        "Conv1d ReLU MaxPool1d",
    )
    yield (
        "batch norm",
        image,
        [Conv2d(3, 5, 3, **own), BatchNorm2d(5, dtype=dtype), ReLU(), MaxPool2d(2)],
        "BatchNorm2d ReLU MaxPool2d",
    )
    yield (
        "signal norm",
        (9, 3, 40),
        [Conv1d(3, 8, 5, **own), BatchNorm1d(8, dtype=dtype), Tanh()],
        "BatchNorm1d Tanh",
    )
    yield (
        "linear",
        (9, 6),
        [Linear(6, 8, **own), ReLU(), Linear(8, 5, **own), LayerNorm(5, dtype=dtype), Tanh()],
        "Linear ReLU, LayerNorm Tanh",
    )
    yield (
        "saves its input",
        (9, 6),
        [Linear(6, 8, **own), GELU(), Linear(8, 5, **own), LeakyReLU(0.1)],
        "",
    )
    yield "twice", (9, 6), [Linear(6, 8, **own), Sigmoid(), Tanh(), Tanh()], "Linear Sigmoid"
    yield (
        "nested",
        image,
        [
            Residual(Conv2d(3, 3, 3, padding=1, **own), GroupNorm(1, 3, dtype=dtype), ReLU()),
            ConvTranspose2d(3, 2, 3, stride=2, **own),
            ReLU(),
            Flatten(),
            Linear(2 * 19 * 23, 3, **own),
        ],
        "GroupNorm ReLU, ConvTranspose2d ReLU",
    )


DTYPES = [np.float32, np.float64]
CASES = [pytest.param(*net, id=f"{net[0]}-{np.dtype(d)}") for d in DTYPES for net in nets(d)]


def drawn(shape, layers, seed=3):
    rng = np.random.default_rng(seed)
    model = Sequential(*layers)
    for layer in model:
        if type(layer).__name__.startswith("BatchNorm"):
            layer.buffers["running_mean"][...] = rng.normal(size=layer.num_features)
            layer.buffers["running_var"][...] = rng.uniform(0.5, 2, layer.num_features)
    dtype = next(iter(model.params.values())).dtype
    x = rng.normal(size=shape).astype(dtype)
    x.flat[::7] = 0  # ties, and zeros of both signs
    x.flat[3::11] = -0.0
    return model, x


def ran(model, x, *, fuse, save=True, input_grad=True, seed=5):
    """All that a forward and backward leave behind."""
    state = model.state_dict()
    model.zero_grad()
    with fastnn.use(fuse=fuse):
        y = model.forward(x, save=save)
        found = {"y": y.copy()}
        if save:
            dy = np.random.default_rng(seed).normal(size=y.shape).astype(y.dtype)
            dx = model.backward(dy, input_grad=input_grad)
            found |= {"dx": dx} if input_grad else {}
            found |= {name: grad.copy() for name, grad in model.grads.items()}
    found |= {f"state {name}": a for name, a in model.state_dict().items()}
    model.load_state_dict(state)
    return found


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


@pytest.mark.parametrize(("name", "shape", "layers", "together"), CASES)
@pytest.mark.parametrize("backend", ["cython", "numba", "naive"])
def test_same_as_apart(name, shape, layers, together, backend, joined):
    if backend == "naive":
        shape = (4, *shape[1:])
    model, x = drawn(shape, layers)
    with fastnn.use(backend=backend):
        apart = ran(model, x, fuse=False)
        assert joined == []
        same(ran(model, x, fuse=True), apart)
        assert ", ".join(joined) == together
        same(
            ran(model, x, fuse=True, input_grad=False), ran(model, x, fuse=False, input_grad=False)
        )
        same(ran(model.eval(), x, fuse=True), ran(model, x, fuse=False))
        same(ran(model, x, fuse=True, save=False), ran(model, x, fuse=False, save=False))
        model.train()


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_special_numbers(odd):
    model, x = drawn((7, 3, 9, 11), [Conv2d(3, 4, 1, rng=0), ReLU(), MaxPool2d(2)])
    x[::2, :, ::3, ::4] = odd
    with np.errstate(all="ignore"):
        same(ran(model, x, fuse=True), ran(model, x, fuse=False))


def test_same_for_any_chunk_and_threads(monkeypatch):
    model, x = drawn((7, 3, 9, 11), [Conv2d(3, 16, 3, rng=0), ReLU(), MaxPool2d(2)])
    first = ran(model, x, fuse=True)
    for chunk in (1, 10_000, 1 << 30):
        monkeypatch.setattr(_fused, "CHUNK", chunk)
        for threads in (1, 3):
            with fastnn.use(threads=threads):
                same(ran(model, x, fuse=True), first)
    one = model.forward(x[2:3], save=False)
    assert one.tobytes() == first["y"][2:3].tobytes()


def test_empty_batch(joined):
    model, x = drawn((0, 3, 9, 11), [Conv2d(3, 4, 3, rng=0), ReLU(), MaxPool2d(2)])
    same(ran(model, x, fuse=True), ran(model, x, fuse=False))
    assert joined


def test_evaluation_joins_the_batch_norm(joined):
    layers = [
        Conv2d(3, 4, 3, rng=0),
        BatchNorm2d(4),
        GELU(),
        Conv2d(4, 4, 3, rng=0),
        BatchNorm2d(4),
    ]
    layers += [ReLU(), MaxPool2d(2)]
    model, x = drawn((7, 3, 12, 11), layers)
    y = model.eval()(x)
    assert joined == ["Conv2d BatchNorm2d GELU", "Conv2d BatchNorm2d ReLU MaxPool2d"]
    with fastnn.use(fuse=False):
        assert model(x).tobytes() == y.tobytes()
    with pytest.raises(StateError, match="backward has nothing saved"):
        model.backward(y)
    assert not any(layer._contexts for _, layer in model._walk())


def test_layers_can_be_taken_one_by_one():
    model, x = drawn((7, 3, 9, 11), [Conv2d(3, 4, 3, rng=0), ReLU(), MaxPool2d(2)])
    y = model(x)
    dy = np.ones_like(y)
    apart = ran(model, x, fuse=False)["y"]
    assert apart.tobytes() == y.tobytes()
    model(x)
    expected = model.backward(dy)
    model(x)
    for layer in reversed(list(model)):
        dy = layer.backward(dy)
    assert dy.tobytes() == expected.tobytes()
    for layer in model:
        with pytest.raises(StateError):
            layer.backward(dy)


def test_context_is_used_up_and_dropped():
    model, x = drawn((7, 3, 9, 11), [Conv2d(3, 4, 3, rng=0), ReLU(), MaxPool2d(2)])
    y = model(x)
    model(2 * x)  # in place of what was saved
    dx = model.backward(y)
    with pytest.raises(StateError):
        model.backward(y)
    model.forward(2 * x)
    assert model.backward(y).tobytes() == dx.tobytes()
    model(x)
    model.drop_context()
    with pytest.raises(StateError):
        model[0].backward(dx)
    model(x)
    with pytest.raises(ShapeError, match=r"max_pool2d: dy has shape"):
        model.backward(y[:1])


def test_changed_weights_count():
    model, x = drawn((7, 3, 9, 11), [Conv2d(3, 4, 3, rng=0), ReLU(), MaxPool2d(2)])
    before = ran(model, x, fuse=True)
    model.params["0.weight"][...] *= -2
    after = ran(model, x, fuse=True)
    assert before["y"].tobytes() != after["y"].tobytes()
    same(after, ran(model, x, fuse=False))


def test_what_was_replaced_runs_as_it_is(joined):
    """A method put into one layer, and a subclass, keep layers apart."""

    class Louder(ReLU):
        def _forward(self, x, save):
            y, context = super()._forward(x, save)
            return 3 * y, context

    x = np.ones((4, 3, 9, 11), np.float32)
    conv, plain, louder = Conv2d(3, 4, 3, rng=0), ReLU(), Louder()
    calls = []
    forward = plain.forward
    plain.forward = lambda x, save=None: (calls.append(1), forward(x, save=save))[1]
    Sequential(conv, plain)(x)
    assert calls and not joined
    louder_y = Sequential(Conv2d(3, 4, 3, rng=0), louder)(x)
    assert not joined
    assert louder_y.tobytes() == (3 * fastnn.relu(conv(x))).tobytes()


def test_watchers_see_every_layer(joined):
    model, x = drawn((4, 3, 9, 11), [Conv2d(3, 4, 3, rng=0), ReLU(), MaxPool2d(2)])
    summary = str(model.summary((4, 3, 9, 11)))
    assert all(name in summary for name in ("Conv2d", "ReLU", "MaxPool2d"))
    assert not joined
    with fastnn.dispatch.dry_run() as calls:
        model(x)
    assert [op.name for op, _ in calls] == ["conv2d", "relu", "max_pool2d"]


def test_results_that_are_kept_stay():
    """No activation writes to what the user holds or another layer has saved."""
    model, x = drawn((7, 3, 9, 11), [ReLU(), Sigmoid(), Conv2d(3, 4, 3, rng=0), ReLU(), Tanh()])
    before = x.copy()
    same(ran(model, x, fuse=True), ran(model, x, fuse=False))
    assert x.tobytes() == before.tobytes()


def test_less_memory(monkeypatch):
    """The result of a convolution before a pooling never is there as a whole."""
    monkeypatch.setattr(_fused, "CHUNK", 1 << 16)
    monkeypatch.setattr(fastnn._memory, "empty", np.empty)
    model, x = drawn((32, 3, 16, 16), [Conv2d(3, 16, 3, padding=1, rng=0), ReLU(), MaxPool2d(2)])
    whole = 32 * 16 * 16 * 16 * 4

    def peak(fuse, save):
        with fastnn.use(fuse=fuse, threads=1):
            model.forward(x, save=save)
            tracemalloc.start()
            y = model.forward(x, save=save)
            _, most = tracemalloc.get_traced_memory()
            kept, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most, kept - y.nbytes

    assert peak(False, True)[0] > 2 * whole
    assert peak(True, True)[0] < whole
    assert peak(True, True)[1] < whole / 8  # the winners; apart, ReLU's result as well
    assert peak(True, False)[0] < whole / 2


def test_use_takes_a_flag():
    with pytest.raises(DtypeError, match=r"use: fuse=1; it must be True or False"):
        with fastnn.use(fuse=1):
            pass
    with fastnn.use(fuse=False), fastnn.use(threads=1):
        assert fastnn._config.policy.get().fuse is False
