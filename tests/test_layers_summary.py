"""Dry runs and summaries: what they say is what the operations say, and nothing is changed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from test_layers import Residual as Gained
from test_layers import convnet

import fastnn
from fastnn import dispatch, layers
from fastnn.errors import DtypeError, ShapeError, StateError
from fastnn.layers import Concat, Dropout, Layer, Linear, ReLU, Residual, Sequential, summary


def test_rows_are_the_calls_of_a_real_run():
    model = convnet().eval()
    x = np.random.default_rng(0).standard_normal((4, 2, 5, 6))
    model.forward(x, save=True)
    contexts = [layer._contexts[:] for _, layer in model._walk()]
    calls = [c[0].call if c and hasattr(c[0], "call") else None for c in contexts]
    found = summary(model, x.shape)
    assert found.dtype == "float64"
    for row, call in zip(found.rows, calls, strict=True):
        assert row.flops == (0 if call is None else call.flops)
        assert row.bytes == (0 if call is None else call.bytes)
        assert call is None or row.output == call.out
    assert [row.kind for row in found.rows[1:]] == [type(layer).__name__ for layer in model]
    assert [row.name for row in found.rows] == ["", "0", "1", "2", "3", "4", "5"]
    assert found.parameters == sum(p.size for p in model.params.values())
    assert found.flops == sum(call.flops for call in calls if call is not None)
    assert found.bytes == sum(call.bytes for call in calls if call is not None)
    assert str(found).splitlines()[-1].split() == [
        "total", f"{found.parameters:,}", f"{found.flops:,}", f"{found.bytes:,}"
    ]  # fmt: skip


def test_a_summary_leaves_the_model_as_it_was():
    model = Sequential(convnet(np.float32), Dropout(0.5, rng=1))
    model[1].eval()
    x = np.random.default_rng(1).standard_normal((4, 2, 5, 6)).astype(np.float32)
    y = model(x)
    state = model.state_dict()
    assert model.summary((3, 2, 5, 6)).rows[0].output == (3, 4)
    assert [layer.training for _, layer in model._walk()][-2:] == [True, False]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    assert model.backward(np.ones_like(y)).shape == x.shape  # its forward was before the summary


def test_costs_of_containers_and_of_users_layers_are_their_own():
    one, two = Linear(4, 4, dtype="f8"), Linear(4, 4, dtype="f8")
    model = Sequential(Gained(one), Residual(two, shortcut=ReLU()), Concat(ReLU()))
    rows = {row.name: row for row in model.summary((5, 4)).rows}
    assert (rows["0"].parameters, rows["0.body"].parameters) == (1, 20)
    assert rows["0.body"].flops == rows["1.body.0"].flops > 0
    assert rows["1"].flops == rows["1.body"].flops == rows["2"].flops == rows["0"].flops == 0
    assert rows["1.shortcut"].flops == rows["2.0"].flops == 20


class Twice(Layer):
    """Two operations of its own around a child that is never run."""

    def __init__(self):
        super().__init__()
        self.add_child("idle", ReLU())

    def _forward(self, x, save):
        return fastnn.relu(fastnn.relu(x)), None

    def _backward(self, context, dy, input_grad):
        return dy


def test_several_operations_of_one_layer_add_up_and_idle_layers_say_so():
    found = Twice().summary((3, 7))
    assert [(r.flops, r.output) for r in found.rows] == [(42, (3, 7)), (0, None)]
    assert "not run" in str(found)


def test_nothing_is_computed(monkeypatch):
    for impl in fastnn.linear._impls:
        monkeypatch.setattr(impl, "_functions", None)
        monkeypatch.setattr(impl, "_module", "no.such.module")
    model = Sequential(Linear(2000, 1000))
    assert model.summary((10_000, 2000)).flops >= 2 * 10_000 * 2000 * 1000


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: summary(3, (1, 2)), DtypeError, "summary: model is int; it must be a Layer"),
        (lambda: summary(ReLU(), (1, -2)), ShapeError, "input_shape=-2; it must be at least 0"),
        (lambda: summary(ReLU(), (1, 2.0)), DtypeError, "input_shape=2.0"),
        (lambda: summary(ReLU(), (1, 2), dtype=int), DtypeError, "dtype=int64"),
        (lambda: summary(Linear(3, 2), (1, 4)), ShapeError, "x has I=4"),
        (lambda: summary(Linear(3, 2), (1, 3), dtype="f8"), DtypeError, "float64"),
    ],
)
def test_what_cannot_be_summarised_is_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()
    assert layers.base.watcher.get() is None
    assert fastnn._config.policy.get().stand_in is None


def test_a_dry_run_checks_describes_and_updates_nothing():
    x, mean, var = np.ones((2, 3)), np.zeros(3), np.ones(3)
    with dispatch.dry_run() as calls:
        y, ctx = fastnn.batch_norm.forward(x, running_mean=mean, running_var=var, training=True)
        with pytest.raises(ShapeError):
            fastnn.linear(x, np.ones((3, 2)))
        out = np.full((2, 3), 7.0)
        assert fastnn.relu(x, out=out) is out
        assert fastnn.relu.explain(x).chosen in fastnn.relu.impls
    assert y.shape == (2, 3) and not y.any() and not mean.any()
    assert [(op.name, call.out) for op, call in calls] == [("batch_norm", (2, 3)), ("relu", (2, 3))]
    with pytest.raises(StateError, match="batch_norm: forward was a dry run"):
        fastnn.batch_norm.backward(ctx, y)
    np.testing.assert_array_equal(fastnn.relu(x), x)


@pytest.mark.parametrize("dtypes", [None, ("float32", "int64")])
def test_a_dry_run_of_an_operation_with_several_results(dtypes):
    call = SimpleNamespace(dtype="float32", out=((2, 3), (4,)), out_dtypes=dtypes)
    op = SimpleNamespace(name="two", outputs=("y", "indices"))
    with dispatch.dry_run() as calls:
        impl = fastnn._config.policy.get().stand_in(op, call)
    (y, indices), saved = impl.forward(call, out=None, save=True)
    assert calls == [(op, call)] and saved is None
    assert (y.shape, indices.shape) == call.out
    assert (y.dtype, indices.dtype) == (dtypes or ("float32", "float32"))
