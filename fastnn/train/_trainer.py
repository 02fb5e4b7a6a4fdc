"""The training loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fastnn import _check, optim
from fastnn.dispatch import Op
from fastnn.errors import OptionError, ShapeError, StateError
from fastnn.layers import Layer
from fastnn.layers.base import Array, RandomSource, generator
from fastnn.train import _data
from fastnn.train._callbacks import Callback
from fastnn.train._data import Data
from fastnn.train._history import History
from fastnn.train._interrupt import interruptible
from fastnn.train._modes import evaluation
from fastnn.train._objective import LossLike, Objective
from fastnn.train._penalties import Penalty
from fastnn.train._progress import Progress
from fastnn.train._run import Run, mean

Metric = Callable[[Array, Array], Any]
"""A function of (target, the model's result) that gives a number, as those of scikit-learn."""


class OptimizerLike(Protocol):
    """What an optimiser must have; every `fastnn.optim.Optimizer` does."""

    lr: float

    def step(self) -> None:
        """Update the parameters from their gradients."""

    def state_dict(self) -> dict[str, Array]:
        """What `load_state_dict` takes."""

    def load_state_dict(self, state: Mapping[str, Array], /) -> None:
        """Go on from there."""


class Trainer:
    """Train a model: batches, steps, figures, callbacks, and an end that can be asked for.

    A step is ``model.zero_grad``, ``model.forward``, ``loss.forward``, ``loss.backward``,
    ``model.backward`` without the gradient of x, the penalties' gradients, clipping and
    ``optimizer.step``. Layers inside the model that `eval` has frozen stay frozen.

    Parameters
    ----------
    model
        The layer to train.
    loss
        A `fastnn.layers.Loss`, or an operation such as `fastnn.mse_loss`, of (result, target); or
        an object with ``forward(x, target)``, ``backward(dy)`` and ``__call__(x, target)``.
    optimizer
        A `fastnn.optim.Optimizer` made for `model` or for some of its parameters.
    metrics
        Figures besides the loss, by name, or a list of functions that have one: each is called
        with (target, result), as in `fastnn.metrics` and scikit-learn.
    penalties
        `L1`, `L2`, `ActivityPenalty`, `KLSparsity`; they are part of the reported loss.
    clip_value
        Move every entry of the model's gradients into [-clip_value, clip_value], then
    clip_norm
        scale all gradients together so that their norm is at most this.
    rng
        What shuffles: a NumPy generator, a seed, or None.

    Raises
    ------
    DtypeError, OptionError
        If something is of the wrong kind or out of range.

    Notes
    -----
    The loss and the metrics of training are means over the epoch's batches, weighted by their
    sizes, each taken as the batch was met. So they are behind the weights by half an epoch, and
    dropout is on: compare them with the validation figures with that in mind.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Linear, MSELoss
    >>> from fastnn.optim import SGD
    >>> from fastnn.train import Trainer
    >>> x = np.random.default_rng(0).standard_normal((100, 2))
    >>> y = x @ [[1.0], [2.0]] + 3
    >>> model = Linear(2, 1, rng=0, dtype=np.float64)
    >>> trainer = Trainer(model, MSELoss(), SGD(model, lr=0.1), rng=0)
    >>> history = trainer.fit((x, y), epochs=20, batch_size=10)
    >>> history["loss"][-1] < 1e-6
    True
    >>> model.params["weight"].round(3), model.params["bias"].round(3)
    (array([[1., 2.]]), array([3.]))
    >>> trainer.predict(np.zeros((1, 2))).round(3)
    array([[3.]])
    """

    def __init__(
        self,
        model: Layer,
        loss: LossLike | Op[..., Any, Any],
        optimizer: OptimizerLike,
        *,
        metrics: Mapping[str, Metric] | Iterable[Metric] = (),
        penalties: Sequence[Penalty] = (),
        clip_value: float | None = None,
        clip_norm: float | None = None,
        rng: RandomSource = None,
    ) -> None:
        self._objective = Objective("Trainer", model, loss, penalties)
        self.model = model
        self.optimizer = optimizer
        self.metrics = _named(metrics)
        self.clip_value = _limit("clip_value", clip_value)
        self.clip_norm = _limit("clip_norm", clip_norm)
        self.rng = generator("Trainer", rng)
        # All of the model's: an optimiser may be for some of its parameters only.
        self._gradients = [dw for _, _, dw in model.parameters()]

    # -- steps -----------------------------------------------------------------------------------

    def step(self, x: Array, y: Array) -> float:
        """Take one step on one batch; return its loss, from before the step."""
        loss, _ = self._gradient(x, y)
        self._update()
        return loss

    def _gradient(self, x: Array, y: Array) -> tuple[float, Array]:
        for dw in self._gradients:
            dw.fill(0)
        loss, output = self._objective.gradient(x, y)
        return loss + self._objective.weight_gradient(), output

    def _update(self) -> None:
        if self.clip_value is not None:
            optim.clip_grad_value(self.model, self.clip_value)
        if self.clip_norm is not None:
            optim.clip_grad_norm(self.model, self.clip_norm)
        self.optimizer.step()

    # -- training --------------------------------------------------------------------------------

    def fit(
        self,
        train: Data,
        validation: Data | None = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        callbacks: Sequence[Callback] = (),
        progress: bool | None = None,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train for some epochs.

        Ctrl-C ends training after the running step, as a callback may: the history has the whole
        epochs so far, and `EarlyStopping` restores the best weights. A second Ctrl-C does not wait
        for the step. A KeyboardInterrupt that is raised anywhere inside does the same.

        Parameters
        ----------
        train
            Arrays (x, y) with the samples along their first axes; or anything that gives batches
            (x, y) each time that it is iterated, such as a list or a data loader.
        validation
            The same, for figures after every epoch, taken in evaluation mode.
        epochs
            How many; with `resume`, how many in all.
        batch_size
            Samples per step, of arrays; the last batch may be shorter.
        shuffle
            Whether arrays are put in a new random order for each epoch.
        callbacks
            Told what happens, in this order; `Checkpoint` comes last.
        progress
            Whether to draw a progress bar; if not given, if tqdm is installed and standard error is
            a terminal.
        resume
            A file of `Checkpoint` to go on from; if there is none yet, training starts anew. Model,
            optimiser, data and callbacks must be made as they were then.

        Returns
        -------
        History
            The figures; its ``stopped`` says why training ended early.

        Raises
        ------
        ShapeError, DtypeError, OptionError
            If an argument is not possible, or by the layers.
        StateError
            If `train` gives no batches when iterated again.
        FileError
            If `resume` is not such a file.
        """
        what = "Trainer.fit"
        _data.check(what, "train", train)
        if validation is not None:
            _data.check(what, "validation", validation)
        run = Run(self, _check.whole(what, "epochs", epochs, 0), callbacks)
        run.source = getattr(train, "rng", None)
        size = _check.whole(what, "batch_size", batch_size, 1)
        rng = self.rng if _check.flag(what, "shuffle", shuffle) else None
        if resume is not None and os.path.exists(resume):
            run.load(resume)
        steps = _data.count(train, size)
        bar = Progress(
            progress, None if steps is None else steps * epochs, (steps or 0) * run.history.epoch
        )
        if not self.model.training:
            self.model.train()
        try:
            with interruptible() as asked:
                run.train(
                    lambda: _data.batches(what, train, size, rng),
                    None
                    if validation is None
                    else lambda: self.evaluate(validation, max(size, 256)),
                    asked,
                    bar,
                )
        finally:
            bar.close()
            self.model.drop_context()
        return run.history

    # -- use -------------------------------------------------------------------------------------

    def evaluate(self, data: Data, batch_size: int = 256) -> dict[str, float]:
        """The loss and the metrics in evaluation mode; nothing is changed.

        Parameters
        ----------
        data
            Arrays (x, y), or batches of such.
        batch_size
            Samples that are computed at a time.

        Returns
        -------
        figures
            "loss", the mean over batches weighted by their sizes, with penalties, and each metric
            of all targets and results together.
        """
        what = "Trainer.evaluate"
        _data.check(what, "data", data)
        size = _check.whole(what, "batch_size", batch_size, 1)
        total, samples = 0.0, 0
        kept: list[tuple[Array, Array]] = []
        with evaluation(self.model):
            for x, y in _data.batches(what, data, size):
                loss, output = self._objective.value(x, y)
                total += loss * len(y)
                samples += len(y)
                if self.metrics:
                    kept.append((np.array(y), np.array(output)))  # a loader may reuse its arrays
        figures = {"loss": mean(total, samples) + self._objective.weight_value()}
        if self.metrics:
            target, result = (np.concatenate(parts) for parts in zip(*kept, strict=True))
            figures |= {name: float(f(target, result)) for name, f in self.metrics.items()}
        return figures

    def predict(self, x: Array | Iterable[Array], batch_size: int = 256) -> Array:
        """The model's results in evaluation mode.

        Parameters
        ----------
        x
            An array with the samples along its first axis, or batches of such.
        batch_size
            Samples of an array that are computed at a time.
        """
        size = _check.whole("Trainer.predict", "batch_size", batch_size, 1)
        parts: Iterable[Array] = x
        if isinstance(x, np.ndarray):
            if not x.ndim:
                raise ShapeError("Trainer.predict: x has no axis; its first must be the samples")
            # An empty array is one batch, so that the result has the right shape.
            parts = (x[i : i + size] for i in range(0, max(len(x), 1), size))
        with evaluation(self.model):
            results = [np.array(self.model.forward(part, save=False)) for part in parts]
        if not results:
            raise StateError("Trainer.predict: x gave no batch; it must give at least one")
        return results[0] if len(results) == 1 else np.concatenate(results)


def _named(metrics: Mapping[str, Metric] | Iterable[Metric]) -> dict[str, Metric]:
    if isinstance(metrics, Mapping):
        found = dict(metrics)
    else:
        found = {getattr(metric, "__name__", repr(metric)): metric for metric in metrics}
    for name, metric in found.items():
        if not callable(metric) or name == "loss":
            raise OptionError(
                f"Trainer: metrics has {name!r}: {type(metric).__name__}; it must be a function "
                "and not be called 'loss'"
            )
    return found


def _limit(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    limit = _check.real("Trainer", name, value)
    if not limit > 0:
        raise OptionError(f"Trainer: {name}={value}; it must be above 0")
    return limit
