"""Regression with early stopping: house prices in 506 districts of Boston.

13-32-16-1 with swish, squared error, SGD with Nesterov momentum, at most 300 epochs, the weights of
the epoch with the least absolute error on the validation part. How good that is depends on the
start, so there are several. The same with raw columns, and with a batch norm in place of
standardised ones. Data: boston_housing.data.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _example import Example, main

from fastnn import datasets, init, layers, metrics, optim, plot
from fastnn.train import EarlyStopping, History, StopOnNaN, Trainer

Array = np.ndarray[Any, Any]

SEED = 42
PATIENCE = 30
STARTS = 10


def network(rng: np.random.Generator, *first: layers.Layer) -> layers.Sequential:
    """13-32-16-1 with swish, its weights Glorot uniform, its biases 0."""
    model = layers.Sequential(
        *first,
        layers.Linear(13, 32, rng=rng),
        layers.SiLU(),
        layers.Linear(32, 16, rng=rng),
        layers.SiLU(),
        layers.Linear(16, 1, rng=rng),
    )
    init.apply(model, init.constant, parameters="*.bias", value=0.0)
    return init.apply(model, init.glorot_uniform, rng=rng)


def run(example: Example) -> None:
    """Train on standardised columns, raw ones, and raw ones through a batch norm."""
    data = datasets.boston_housing(example.data)
    # 303 and 101 rows, split as scikit-learn's train_test_split splits with this random_state.
    split = np.random.RandomState(example.seed)
    x, x_held, y, y_held = datasets.holdout(
        data.x_train.astype(np.float32),
        data.y_train[:, None].astype(np.float32),
        fraction=0.25,
        rng=split,
    )
    scaled, scaled_held, scaled_test = datasets.standardise(
        x, x_held, data.x_test.astype(np.float32)
    )
    y_test = data.y_test[:, None].astype(np.float32)
    epochs = 60 if example.quick else 300

    def train(
        title: str, x: Array, x_held: Array, start: int, *first: layers.Layer
    ) -> tuple[Trainer, EarlyStopping, History]:
        model = network(example.rng(0, start), *first)
        trainer = Trainer(
            model,
            layers.MSELoss(),
            optim.SGD(model, 1e-3, momentum=0.9, nesterov=True),
            metrics=[metrics.mae],
            rng=example.rng(1, start),
        )
        stopping = EarlyStopping("val_mae", patience=PATIENCE)
        history = trainer.fit(
            (x, y),
            (x_held, y_held),
            epochs=epochs,
            callbacks=[StopOnNaN(), stopping],
            progress=False,
        )
        best = 1 + (stopping.best_epoch or 0)
        example.say(
            f"{title}: best of {history.epoch} epochs is {best}, "
            f"validation MAE {history['val_mae'][best - 1]:.4g}; {history.stopped or 'the last'}"
        )
        example.weights(model)
        return trainer, stopping, history

    starts = range(4 if example.quick else STARTS)
    runs = [
        train(f"standardised, start {start}", scaled, scaled_held, start)
        for start in example.progress(starts, "starts")
    ]
    errors = [min(history["val_mae"]) for _, _, history in runs]
    trainer, stopping, history = runs[int(np.argmin(errors))]
    held = trainer.evaluate((scaled_held, y_held))
    test = trainer.evaluate((scaled_test, y_test))
    best = 1 + (stopping.best_epoch or 0)
    goals = (2.4, 12.0) if example.quick else (2.2, 10.0)
    example.figure("rows, rows held out", f"{len(x)}, {len(x_held)}", report="303, 101")
    example.figure("best epoch, of", f"{best}, {history.epoch}", report="12, 42")
    example.figure(f"validation MAE, best of {len(errors)} starts", held["mae"], report=2.199,
                   at_most=goals[0])  # fmt: skip
    example.figure("validation MSE of that start", held["loss"], report=9.16, at_most=goals[1])
    spread = f"{min(errors):.3f}, {np.median(errors):.3f}, {max(errors):.3f}"
    example.figure("validation MAE: least, median, most", spread)
    example.figure("test MAE, MSE of that start", f"{test['mae']:.3f}, {test['loss']:.2f}")
    always = float(np.mean(np.abs(np.median(y) - y_held)))
    example.figure("validation MAE of always the median", always)

    histories = {"standardised": history}
    norm = layers.BatchNorm1d(13)
    for title, first in (("raw", []), ("batch norm", [norm])):
        other, _, histories[title] = train(title, x, x_held, 0, *first)
        example.figure(f"validation MAE, {title}", min(histories[title]["val_mae"], default=np.nan))
    _draw(example, history, best, histories, always)
    example.check(trainer.model, layers.MSELoss(), scaled[:32], y[:32])
    example.check(other.model, layers.MSELoss(), x[:32], y[:32])


def _draw(
    example: Example, history: History, best: int, histories: dict[str, History], always: float
) -> None:
    """The curves of both figures, and the validation errors of the three ways."""
    shown = {name: history[name] for name in ("loss", "val_loss", "mae", "val_mae")}
    labels = {"loss": "mean squared error", "mae": "mean absolute error, $1,000"}
    drawn = plot.learning_curves(shown, labels=labels, best=best, log=("loss", "mae"))
    example.picture(drawn, "curves")
    errors = {name: found["val_mae"] for name, found in histories.items() if found.epoch}
    drawn, axes = plot.figure(ncols=2)
    for axis, title in zip(axes, ("All three", "Those that learn"), strict=True):
        plot.compare(errors, ylabel="validation MAE, $1,000", log=True, title=title, ax=axis)
        axis.axhline(always, color=plot.GREY, linestyle=":", label="always the median")
        axis.legend(frameon=False)
    axes[1].set(ylim=(1.8, 12), yscale="linear")
    example.picture(drawn, "inputs")


if __name__ == "__main__":
    sys.exit(main(run))
