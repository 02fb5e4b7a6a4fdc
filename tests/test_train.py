"""The training loop: figures, penalties, callbacks, interruption, and resuming bitwise."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fastnn
from fastnn import io
from fastnn.errors import DtypeError, FileError, OptionError, ShapeError, StateError
from fastnn.layers import (
    LSTM,
    BatchNorm1d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Linear,
    MSELoss,
    ReLU,
    Sequential,
    Sigmoid,
)
from fastnn.optim import SGD, Adam
from fastnn.train import (
    L1,
    L2,
    ActivityPenalty,
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    History,
    JSONLog,
    KLSparsity,
    LearningRate,
    StopOnNaN,
    Trainer,
)


def line(n=40, seed=0):
    """Points on a plane with noise, x N 3 and y N 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3))
    return x, x @ [[1.0], [-2.0], [0.5]] + 0.1 * rng.standard_normal((n, 1))


def small(seed=0, **options):
    """A trainer of one linear layer in float64."""
    model = Linear(3, 1, rng=seed, dtype=np.float64)
    return Trainer(model, MSELoss(), SGD(model, lr=0.05), rng=seed, **options)


def deep(seed=0):
    """A trainer of a model with everything that has a state: buffers, dropout, Adam."""
    rng = np.random.default_rng(seed)
    model = Sequential(
        Linear(3, 8, rng=rng), BatchNorm1d(8), ReLU(), Dropout(0.3, rng=rng), Linear(8, 1, rng=rng)
    )
    return Trainer(model, MSELoss(), Adam(model, lr=0.01), rng=rng)


def plain(history):
    """The figures that must not differ between two runs."""
    return {name: column for name, column in history.items() if name != "seconds"}


def same_state(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], name)


class Spy(Callback):
    """Write down what is told."""

    def __init__(self):
        self.told = []

    def on_begin(self, run):
        self.told.append("begin")

    def on_epoch_begin(self, run):
        self.told.append(("epoch", run.epoch))

    def on_gradient(self, run, loss):
        self.told.append(("gradient", run.batch))

    def on_step(self, run, loss):
        self.told.append(("step", run.batch))

    def on_epoch_end(self, run):
        self.told.append("epoch end")

    def on_end(self, run):
        self.told.append("end")


# -- steps and figures ---------------------------------------------------------------------------


def test_fit_does_what_the_plain_loop_does():
    x, y = line()
    trainer, model = small(), Linear(3, 1, rng=0, dtype=np.float64)
    optimizer, loss, rng = SGD(model, lr=0.05), MSELoss(), np.random.default_rng(0)
    expected = []
    for _ in range(3):
        order, total = rng.permutation(40), 0.0
        for start in range(0, 40, 16):
            part = order[start : start + 16]
            optimizer.zero_grad()
            total += len(part) * float(loss.forward(model(x[part]), y[part]))
            model.backward(loss.backward())
            optimizer.step()
        expected.append(total / 40)
    history = trainer.fit((x, y), epochs=3, batch_size=16)
    assert history["loss"] == pytest.approx(expected, rel=1e-14)
    same_state(trainer.model.state_dict(), model.state_dict())
    assert history.stopped is None and history["lr"] == [0.05] * 3


def test_the_training_loss_is_the_mean_over_samples_not_over_batches_nor_the_last_one():
    trainer = small()
    trainer.optimizer.lr = 0.0
    x, y = line(10)
    history = trainer.fit((x, y), epochs=1, batch_size=8, shuffle=False)
    whole = float(np.mean((trainer.predict(x) - y) ** 2))
    assert history["loss"][0] == pytest.approx(whole, rel=1e-13)


def test_metrics_are_called_with_target_and_result_and_are_of_all_samples_in_evaluation():
    def spread(y_true, y_pred):
        assert y_true.shape == y_pred.shape and np.any(y_true != y_pred)
        return np.ptp(y_true)

    x, y = line()
    trainer = small(metrics=[spread])
    history = trainer.fit((x, y), (x, y), epochs=2, batch_size=16)
    assert list(history) == ["loss", "spread", "val_loss", "val_spread", "lr", "seconds"]
    assert history["val_spread"][0] == np.ptp(y) != history["spread"][0]
    assert trainer.evaluate((x, y), 7)["spread"] == np.ptp(y)


def test_any_iterable_of_batches_will_do_and_an_exhausted_one_is_refused():
    x, y = line()
    parts = [(x[:30], y[:30]), (x[30:], y[30:])]
    a, b = small(), small()
    a.fit(parts, epochs=2)
    b.fit((x, y), epochs=2, batch_size=30, shuffle=False)
    same_state(a.model.state_dict(), b.model.state_dict())
    assert a.evaluate(parts)["loss"] == pytest.approx(a.evaluate((x, y))["loss"], rel=1e-14)
    once = small()
    once.fit(iter(parts), epochs=1)
    with pytest.raises(StateError, match="gave no batch"):
        small().fit(iter(parts), epochs=2)


def test_predict_is_in_evaluation_mode_and_the_same_for_any_batch_size():
    x = line()[0].astype(np.float32)
    trainer = deep()
    y = trainer.predict(x, 7)
    np.testing.assert_array_equal(y, trainer.predict(x))
    np.testing.assert_array_equal(y, trainer.predict([x[:7], x[7:]]))
    assert trainer.predict(x[:0]).shape == (0, 1)
    assert all(layer.training for layer in trainer.model)


def test_a_frozen_layer_stays_frozen():
    x, y = (a.astype(np.float32) for a in line())
    trainer = deep()
    norm = trainer.model[1]
    norm.eval()
    trainer.fit((x, y), (x, y), epochs=2)
    assert not norm.training and trainer.model.training
    np.testing.assert_array_equal(norm.buffers["running_mean"], 0)


def test_a_stateful_layer_starts_each_epoch_anew():
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    model = LSTM(3, 4, stateful=True, last_only=True, rng=0)
    trainer = Trainer(model, MSELoss(), SGD(model, lr=0.0))
    batch = [(x, np.zeros((2, 4), np.float32))]
    history = trainer.fit(batch, epochs=2)
    assert history["loss"][0] == history["loss"][1]
    state = model.state[0]
    assert np.any(state)
    assert trainer.evaluate(batch)["loss"] == history["loss"][0]
    np.testing.assert_array_equal(model.state[0], state)


def test_the_same_bits_for_one_and_two_threads():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 3, 16, 16)).astype(np.float32), rng.integers(0, 5, 64)

    def trained(threads):
        source = np.random.default_rng(1)
        model = Sequential(
            Conv2d(3, 16, 3, rng=source), ReLU(), Flatten(), Linear(16 * 14 * 14, 5, rng=source)
        )
        optimizer = Adam(model, lr=0.01)
        trainer = Trainer(
            model, CrossEntropyLoss(), optimizer, penalties=[L2(0.1)], clip_norm=1.0, rng=source
        )
        with fastnn.use(threads=threads):
            history = trainer.fit((x, y), (x, y), epochs=2, batch_size=24)
        return plain(history), model.state_dict()

    (one, weights), (two, again) = trained(1), trained(2)
    assert one == two
    same_state(weights, again)


# -- penalties -----------------------------------------------------------------------------------


def numerical(trainer, x, y, array, index, h=1e-6):
    """The slope of the whole objective at one entry."""
    values = []
    for step in (h, -h):
        array[index] += step
        values.append(trainer.evaluate((x, y), len(x))["loss"])
        array[index] -= step
    return (values[0] - values[1]) / (2 * h)


@pytest.mark.parametrize(
    "penalty",
    [
        L2(0.3),
        L1(0.3),
        L2(0.3, "2.*"),
        L1(0.2, lambda name, w: name == "0.bias"),
        KLSparsity("1", 0.5, rho=0.1),
        ActivityPenalty("1", fastnn.kl_sparsity, 0.2, rho=0.7),
    ],
    ids=["l2", "l1", "l2-pattern", "l1-function", "sparsity", "activity"],
)
def test_the_penaltys_gradient_is_that_of_the_reported_loss(penalty):
    rng = np.random.default_rng(1)
    model = Sequential(
        Linear(3, 4, rng=rng, dtype=np.float64), Sigmoid(), Linear(4, 1, rng=rng, dtype=np.float64)
    )
    x, y = line(6)
    trainer = Trainer(model, fastnn.mse_loss, SGD(model, lr=0.0), penalties=[penalty])
    before = trainer.evaluate((x, y))["loss"]
    assert trainer.step(x, y) == pytest.approx(before, rel=1e-13)
    for name, dw in model.grads.items():
        index = (0,) * dw.ndim
        slope = numerical(trainer, x, y, model.params[name], index)
        assert dw[index] == pytest.approx(slope, rel=1e-6, abs=1e-8), name


def test_penalties_have_the_stated_values():
    model = Sequential(Linear(2, 1, dtype=np.float64), Sigmoid())
    model.params["0.weight"][...] = [[3.0, -4.0]]
    model.params["0.bias"][...] = 0
    x, y = np.zeros((4, 2)), np.full((4, 1), 0.5)

    def loss(*penalties):
        optimizer = SGD(model, lr=0.0)
        return Trainer(model, MSELoss(), optimizer, penalties=penalties).evaluate((x, y))["loss"]

    assert loss() == 0
    assert loss(L2(0.1)) == pytest.approx(0.1 / 2 * 25)
    assert loss(L1(0.1), L2(0.1)) == pytest.approx(0.7 + 1.25)
    # Every activation is 1/2: KL(1/4 | 1/2) = 1/4 log(1/2) + 3/4 log(3/2)
    kl = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert loss(KLSparsity("1", 2.0, rho=0.25)) == pytest.approx(2 * kl)
    assert loss(KLSparsity(model[1], 2.0, rho=0.25)) == pytest.approx(2 * kl)


def test_a_weight_longer_than_a_block_is_penalised_whole():
    model = Linear(300, 200, rng=0, dtype=np.float64)
    x, y = np.zeros((1, 300)), np.zeros((1, 200))
    trainer = Trainer(model, MSELoss(), SGD(model, lr=0.0), penalties=[L2(2.0)])
    w = model.params["weight"]
    value = trainer.step(x, y) - float(np.mean(model.params["bias"] ** 2))
    assert value == pytest.approx(np.sum(w * w), rel=1e-12)
    np.testing.assert_allclose(model.grads["weight"], 2 * w, rtol=1e-14)


def test_clipping_by_value_and_by_norm():
    x, y = line(8)
    free, value, norm = small(), small(clip_value=0.1), small(clip_norm=0.1)
    for trainer in (free, value, norm):
        trainer.step(x, 100 * y)
    grads = [trainer.model.grads for trainer in (free, value, norm)]
    total = math.sqrt(sum(float(np.sum(g * g)) for g in grads[0].values()))
    for name, g in grads[0].items():
        np.testing.assert_array_equal(grads[1][name], np.clip(g, -0.1, 0.1))
        want = g * (0.1 / (total + 1e-6))  # PyTorch's rule
        np.testing.assert_allclose(grads[2][name], want, rtol=1e-13)
    calm = small(clip_norm=1e9)
    calm.step(x, 100 * y)
    same_state(dict(calm.model.grads), dict(grads[0]))


def test_an_optimiser_of_some_parameters_leaves_no_old_gradients_in_the_norm():
    x, y = line(8)
    model = Linear(3, 1, rng=0, dtype=np.float64)
    some = [triple for triple in model.parameters() if triple[0] == "bias"]
    trainer = Trainer(model, MSELoss(), SGD(some, lr=0.0), clip_norm=1.0)
    trainer.step(x, 100 * y)
    first = {name: dw.copy() for name, dw in model.grads.items()}
    trainer.step(x, 100 * y)
    same_state(dict(model.grads), first)


# -- callbacks -----------------------------------------------------------------------------------


def test_callbacks_are_told_in_order():
    x, y = line()
    spy = Spy()
    small().fit((x, y), epochs=2, batch_size=20, callbacks=[spy])
    steps = [("gradient", 0), ("step", 0), ("gradient", 1), ("step", 1), "epoch end"]
    assert spy.told == ["begin", ("epoch", 0), *steps, ("epoch", 1), *steps, "end"]


class Scripted(Callback):
    """Give the figure "val_loss" chosen values, and remember the weights of each epoch."""

    def __init__(self, values):
        self.values, self.weights = values, []

    def on_epoch_end(self, run):
        run.figures["val_loss"] = self.values[run.epoch]
        self.weights.append(run.model.state_dict())


@pytest.mark.parametrize(
    ("options", "epochs", "best"),
    [
        ({"patience": 2}, 4, 1),
        ({"patience": 3}, 6, 5),
        ({"patience": 2, "min_delta": 0.5}, 4, 1),
        ({"patience": 1, "mode": "max"}, 2, 0),
    ],
)
def test_early_stopping_waits_its_patience_and_restores_the_best(options, epochs, best):
    script = Scripted([3.0, 2.0, math.nan, 2.0, 1.9, 1.0] if "min_delta" not in options
                      else [3.0, 2.0, 1.8, 1.6, 1.0])  # fmt: skip
    if options["patience"] == 3:
        script.values = [3.0, 2.0, 2.5, 2.2, 1.5, 1.0]
    stopper = EarlyStopping(**options)
    trainer = small()
    history = trainer.fit(line(), epochs=len(script.values), callbacks=[script, stopper])
    assert history.epoch == epochs and stopper.best_epoch == best
    same_state(trainer.model.state_dict(), script.weights[best])
    assert (history.stopped is None) == (epochs == len(script.values))


def test_early_stopping_knows_that_accuracy_is_to_grow():
    x, y = np.eye(3, dtype=np.float32), np.arange(3)
    model = Linear(3, 3, rng=0)
    trainer = Trainer(
        model,
        CrossEntropyLoss(),
        SGD(model, lr=1.0),
        metrics={"accuracy": lambda t, p: np.mean(p.argmax(1) == t)},
    )
    stopper = EarlyStopping("val_accuracy", patience=3)
    history = trainer.fit((x, y), (x, y), epochs=20, callbacks=[stopper])
    assert history["val_accuracy"][stopper.best_epoch] == 1.0


def test_a_figure_that_is_not_there_is_named():
    with pytest.raises(OptionError, match=r"no figure 'val_loss'.*validation set"):
        small().fit(line(), callbacks=[EarlyStopping()])


def test_stop_on_nan_keeps_the_weights_of_the_step_before():
    x, y = line()
    y[25] = np.nan
    trainer, twin = small(), small()
    history = trainer.fit((x, y), epochs=3, batch_size=20, shuffle=False, callbacks=[StopOnNaN()])
    twin.step(x[:20], y[:20])
    same_state(trainer.model.state_dict(), twin.model.state_dict())
    assert history.epoch == 0 and history.stopped == "the loss is nan in epoch 0, batch 1"


def test_learning_rates_by_function_and_by_schedule():
    class Halving:
        def __init__(self, optimizer):
            self.optimizer, self.seen = optimizer, []

        def step(self, *figures):
            self.seen.append(figures)
            self.optimizer.lr *= 0.5

    trainer = small()
    history = trainer.fit(line(), epochs=3, callbacks=[LearningRate(lambda e: 0.1 / (e + 1))])
    assert history["lr"] == [0.1, 0.05, 0.1 / 3]
    trainer.optimizer.lr = 0.1
    schedule = Halving(trainer.optimizer)
    history = trainer.fit(line(), epochs=3, callbacks=[LearningRate(schedule)])
    assert history["lr"] == [0.1, 0.05, 0.025] and schedule.seen == [()] * 3
    history = trainer.fit(line(), epochs=1, callbacks=[LearningRate(schedule, monitor="loss")])
    assert schedule.seen[-1] == (history["loss"][0],)


def test_learning_rates_by_step_go_on_over_epochs_and_when_resumed(tmp_path):
    seen = []

    class Watch(Callback):
        def on_gradient(self, run, loss):
            seen.append(run.trainer.optimizer.lr)

    def callbacks():
        rate = LearningRate(lambda step: 0.1 / (step + 1), each_step=True)
        return [rate, Watch(), Checkpoint(tmp_path / "run.npz")]

    small().fit(line(), epochs=1, batch_size=20, callbacks=callbacks())
    small().fit(line(), epochs=3, batch_size=20, callbacks=callbacks(), resume=tmp_path / "run.npz")
    assert seen == [0.1 / (step + 1) for step in range(6)]


def test_logs_have_a_line_per_epoch_while_it_runs(tmp_path):
    seen = []

    class Reader(Callback):
        last = True

        def on_epoch_end(self, run):
            seen.append((tmp_path / "log.csv").read_text().count("\n"))

    logs = [CSVLog(tmp_path / "log.csv"), JSONLog(tmp_path / "log.jsonl"), Reader()]
    history = small().fit(line(), epochs=3, callbacks=logs)
    assert seen == [2, 3, 4]
    assert plain(History.load(tmp_path / "log.csv")) == plain(history)
    lines = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in lines] == [1, 2, 3]
    assert [entry["loss"] for entry in lines] == history["loss"]


# -- interruption --------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_gradient", "on_step", "on_epoch_end"])
def test_a_keyboard_interrupt_ends_with_history_and_best_weights(hook):
    script = Scripted([1.0, 2.0, 3.0, 4.0])

    def interrupt(self, run, *loss):
        if run.epoch == 2:
            raise KeyboardInterrupt

    breaker = type("Breaker", (Callback,), {hook: interrupt})()
    spy = Spy()
    trainer = small()
    history = trainer.fit(
        line(), epochs=4, callbacks=[script, EarlyStopping(patience=9), spy, breaker]
    )
    assert history.stopped == "interrupted" and spy.told[-1] == "end"
    assert history.epoch == (3 if hook == "on_epoch_end" else 2)
    same_state(trainer.model.state_dict(), script.weights[0])


def test_an_error_passes_through_and_the_logs_are_closed(tmp_path):
    class Faulty(Callback):
        def on_epoch_end(self, run):
            raise RuntimeError("mine")

    log = CSVLog(tmp_path / "log.csv")
    with pytest.raises(RuntimeError, match="mine"):
        small().fit(line(), callbacks=[log, Faulty()])
    assert log._file is None


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_ends_a_real_run_after_its_step():
    code = """
        import os, signal, numpy as np
        from fastnn.layers import Linear, MSELoss
        from fastnn.optim import SGD
        from fastnn.train import Callback, EarlyStopping, Trainer

        class Press(Callback):
            def on_epoch_end(self, run):
                weights.append(run.model.state_dict()["weight"].copy())
            def on_gradient(self, run, loss):
                if run.epoch == 2:
                    os.kill(os.getpid(), signal.SIGINT)
            def on_step(self, run, loss):
                if run.epoch == 2:
                    print("stepped", run.batch)

        signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
        weights = []
        model = Linear(2, 1, rng=0)
        trainer = Trainer(model, MSELoss(), SGD(model, lr=0.1), rng=0)
        x = np.random.default_rng(0).standard_normal((64, 2)).astype("f4")
        history = trainer.fit(
            (x, x[:, :1]), epochs=1000, callbacks=[Press(), EarlyStopping("loss")]
        )
        print(history.epoch, history.stopped, np.array_equal(weights[1], model.params["weight"]))
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split("\n")[:3] == ["stepped 0", "2 interrupted True", "True"], done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_a_second_ctrl_c_does_not_wait_and_other_handlers_are_left_alone():
    x, y = line()

    class Press(Callback):
        def on_gradient(self, run, loss):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("the second one interrupts here")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert small().fit((x, y), callbacks=[Press()]).stopped == "interrupted"
        mine = []
        signal.signal(signal.SIGINT, lambda *_: mine.append(1))

        class Press2(Callback):
            def on_gradient(self, run, loss):
                os.kill(os.getpid(), signal.SIGINT)

        assert small().fit((x, y), batch_size=40, callbacks=[Press2()]).stopped is None
        assert mine == [1]
    finally:
        signal.signal(signal.SIGINT, before)


# -- resuming ------------------------------------------------------------------------------------


def full_run(path, epochs, data, bits=np.random.PCG64, more=(), **options):
    rng = np.random.Generator(bits(3))
    model = Sequential(
        Linear(3, 8, rng=rng), BatchNorm1d(8), ReLU(), Dropout(0.3, rng=7), Linear(8, 1, rng=rng)
    )
    trainer = Trainer(model, MSELoss(), Adam(model, lr=0.01), rng=rng)
    callbacks = [
        Checkpoint(path),
        LearningRate(lambda epoch: 0.01 * 0.9**epoch),
        EarlyStopping(patience=50),
        *more,
    ]
    train, validation = data
    history = trainer.fit(
        train, validation, epochs=epochs, batch_size=16, callbacks=callbacks, **options
    )
    return trainer, history


@pytest.mark.parametrize(
    "bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64]
)
def test_a_resumed_run_equals_the_uninterrupted_one_bitwise(tmp_path, bits):
    data = [tuple(a.astype(np.float32) for a in line(50, seed)) for seed in (0, 1)]
    whole, history = full_run(tmp_path / "a.npz", 6, data, bits)
    full_run(tmp_path / "b.npz", 3, data, bits)
    again, resumed = full_run(tmp_path / "b.npz", 6, data, bits, resume=tmp_path / "b.npz")
    assert plain(history) == plain(resumed) and history.epoch == 6
    same_state(whole.model.state_dict(), again.model.state_dict())
    same_state(whole.optimizer.state_dict(), again.optimizer.state_dict())
    last = [io.load(tmp_path / name) for name in ("a.npz", "b.npz")]
    for state in last:
        del state["history"]  # it has seconds
    same_state(*last)


class Loader:
    """Batches in an order drawn anew each time, with its generator to be seen."""

    def __init__(self, x, y, seed):
        self.x, self.y, self.rng = x, y, np.random.default_rng(seed)

    def __iter__(self):
        order = self.rng.permutation(len(self.x))
        return ((self.x[part], self.y[part]) for part in np.array_split(order, 4))


def test_a_loaders_generator_is_resumed_as_well(tmp_path):
    x, y = (a.astype(np.float32) for a in line(50))

    def data():
        return Loader(x, y, 5), (x, y)

    whole, history = full_run(tmp_path / "a.npz", 4, data())
    full_run(tmp_path / "b.npz", 2, data())
    again, resumed = full_run(tmp_path / "b.npz", 4, data(), resume=tmp_path / "b.npz")
    assert plain(history) == plain(resumed)
    same_state(whole.model.state_dict(), again.model.state_dict())


def test_a_run_that_was_over_does_not_go_on_when_resumed(tmp_path):
    def stopped(**options):
        trainer = small()
        callbacks = [script, EarlyStopping(patience=1), Checkpoint(tmp_path / "run.npz")]
        return trainer, trainer.fit(line(), epochs=9, callbacks=callbacks, **options)

    script = Scripted([2.0, 1.0, 3.0])
    first, history = stopped()
    again, resumed = stopped(resume=tmp_path / "run.npz")
    assert resumed.epoch == 3 and resumed.stopped == history.stopped
    same_state(first.model.state_dict(), again.model.state_dict())


def test_a_run_that_was_interrupted_in_an_epoch_resumes_from_the_last_whole_one(tmp_path):
    data = [tuple(a.astype(np.float32) for a in line(50, seed)) for seed in (0, 1)]
    _, history = full_run(tmp_path / "a.npz", 4, data)

    class Breaker(Callback):
        def on_step(self, run, loss):
            if (run.epoch, run.batch) == (2, 1):
                raise KeyboardInterrupt

    path = tmp_path / "b.npz"
    _, cut = full_run(path, 4, data, more=[Breaker()])
    assert cut.stopped == "interrupted" and cut.epoch == 2
    _, resumed = full_run(path, 4, data, resume=path)
    assert plain(history) == plain(resumed)


def test_resume_without_a_file_starts_anew_and_a_wrong_file_is_refused(tmp_path):
    trainer = small()
    history = trainer.fit(line(), epochs=2, resume=tmp_path / "none.npz")
    assert history.epoch == 2
    trainer.model.save(tmp_path / "weights.npz")
    with pytest.raises(FileError, match="must be a checkpoint"):
        small().fit(line(), resume=tmp_path / "weights.npz")
    small().fit(line(), callbacks=[Checkpoint(tmp_path / "small.npz")])
    with pytest.raises(StateError, match="1 random generators but trainer and model have 2"):
        model = Sequential(Dropout(0.5, rng=0), Linear(3, 1))
        Trainer(model, MSELoss(), SGD(model, lr=1)).fit(line(), resume=tmp_path / "small.npz")


def test_checkpoints_of_the_best_epoch_and_of_weights_alone(tmp_path):
    script = Scripted([3.0, 1.0, 2.0])
    kept = Checkpoint(tmp_path / "best.npz", monitor="val_loss", weights_only=True)
    trainer = small()
    trainer.fit(line(), epochs=3, callbacks=[kept, script])
    model = Linear(3, 1, dtype=np.float64)
    model.load(tmp_path / "best.npz")
    same_state(model.state_dict(), script.weights[1])
    often = Checkpoint(tmp_path / "every.npz", every=2)
    trainer.fit(line(), epochs=3, callbacks=[often])
    found = History.from_json(io.load(tmp_path / "every.npz")["history"].tobytes().decode())
    assert found.epoch == 2
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


# -- history -------------------------------------------------------------------------------------


def test_history_is_plain_data_and_survives_files(tmp_path):
    history = History()
    history.append({"loss": 2.0})
    history.append({"loss": 0.1 + 0.2, "val_accuracy": 0.5})
    history.append({"loss": 1.0, "val_accuracy": 0.75})
    assert math.isnan(history["val_accuracy"][0]) and history.epoch == 3
    assert history.best("val_accuracy") == 2 and history.best("loss") == 1
    assert history.best("loss", "max") == 0
    for name in ("h.csv", "h.json"):
        history.save(tmp_path / name)
        found = History.load(tmp_path / name)
        np.testing.assert_equal(dict(found), dict(history))
    assert sorted(os.listdir(tmp_path)) == ["h.csv", "h.json"]
    with pytest.raises(OptionError, match="must end in"):
        history.save(tmp_path / "h.txt")
    with pytest.raises(OptionError, match="no figure 'x'"):
        history.best("x")
    assert "0.50000" in str(history) and "3 epochs" in repr(history)


def test_a_history_draws_itself():
    pytest.importorskip("matplotlib", reason="draws with matplotlib")
    pytest.importorskip("fastnn.plot", reason="fastnn.plot draws the curves")
    history = small().fit(line(), line(), epochs=3)
    assert history.plot(title="a line") is not None


# -- progress ------------------------------------------------------------------------------------


def test_progress_is_quiet_without_a_terminal_and_drawn_when_asked(capsys):
    small().fit(line(), epochs=2)
    assert capsys.readouterr().err == ""
    pytest.importorskip("tqdm", reason="draws with tqdm")
    small().fit(line(), epochs=2, progress=True)
    text = capsys.readouterr().err
    assert "4/4" in text and "loss=" in text


def test_importing_fastnn_train_loads_no_optional_package():
    code = (
        "import sys, fastnn.train; print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'scipy', 'numba', 'h5py', 'matplotlib', 'sklearn', 'tqdm', 'torch'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Trainer(3, MSELoss(), None), DtypeError, "model is int"),
        (lambda: Trainer(Linear(1, 1), 3, None), DtypeError, "loss is int"),
        (lambda: small(penalties=[3]), DtypeError, "penalty is int"),
        (lambda: small(penalties=[L2(1.0, "nothing")]), OptionError, "chooses none of weight"),
        (lambda: small(penalties=[KLSparsity("7", 1.0)]), OptionError, "layer='7' is not in"),
        (lambda: L2(-1.0), OptionError, "strength=-1"),
        (lambda: ActivityPenalty("0", 3, 1.0), DtypeError, "op is int"),
        (lambda: small(clip_norm=0.0), OptionError, "clip_norm=0.0"),
        (lambda: Trainer(Linear(1, 1), MSELoss(), None, rng=-1), OptionError, "rng=-1"),
        (lambda: small(metrics={"loss": max}), OptionError, "'loss'"),
        (lambda: small().fit(line()[0]), DtypeError, "train is ndarray"),
        (lambda: small().fit((line(4)[0], line(5)[1])), ShapeError, r"x of shape \(4, 3\)"),
        (lambda: small().fit(line(), 3), DtypeError, "validation is int"),
        (lambda: small().fit(line(), batch_size=0), ShapeError, "batch_size=0"),
        (lambda: small().fit(line(), epochs=1.5), DtypeError, "epochs=1.5"),
        (lambda: small().fit(line(), callbacks=[3]), DtypeError, "callback is int"),
        (lambda: small().fit([line()[0]]), DtypeError, "a batch is ndarray"),
        (lambda: small().predict([]), StateError, "no batch"),
        (lambda: small().predict(np.array(1.0)), ShapeError, "no axis"),
        (lambda: EarlyStopping(patience=0), ShapeError, "patience=0"),
        (lambda: EarlyStopping(min_delta=-1.0), OptionError, "min_delta=-1"),
        (lambda: EarlyStopping(mode="up"), OptionError, "mode='up'"),
        (lambda: LearningRate(0.1), OptionError, "schedule is float"),
        (
            lambda: LearningRate(lambda e: 0.1, monitor="loss", each_step=True),
            OptionError,
            "monitor='loss' with each_step",
        ),
    ],
)
def test_errors_say_what_was_given(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_loss_that_is_not_one_number_is_refused():
    model = Linear(3, 1, dtype=np.float64)
    trainer = Trainer(model, MSELoss(reduction="none"), SGD(model, lr=0.1))
    with pytest.raises(OptionError, match=r"the loss has shape \(32, 1\)"):
        trainer.fit(line())
