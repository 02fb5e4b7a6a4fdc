"""What may happen between the steps and epochs of a training run."""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _check, io
from fastnn.errors import OptionError, StateError
from fastnn.layers.base import Array
from fastnn.train._history import mode_of

if TYPE_CHECKING:
    from fastnn.train._run import Run


class Callback:
    """Something that is told what happens in a training run, and may end it by ``run.stop``.

    Define some of the methods. What must survive an interruption belongs in `state_dict`: a
    checkpoint saves it, and a run that is resumed gives it to `load_state_dict`.

    Examples
    --------
    >>> from fastnn.train import Callback
    >>> class GoodEnough(Callback):
    ...     def on_epoch_end(self, run):
    ...         if run.figures["loss"] < 0.1:
    ...             run.stop("the loss is below 0.1")
    """

    last: ClassVar[bool] = False
    """Whether it is called after all others, as what saves their state must be."""

    def on_begin(self, run: Run) -> None:
        """Before the first epoch, and after a checkpoint was loaded."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before each epoch, the number ``run.epoch``, from 0."""

    def on_gradient(self, run: Run, loss: float) -> None:
        """After each batch's backward pass; after ``run.stop`` its step is not taken."""

    def on_step(self, run: Run, loss: float) -> None:
        """After each step of the optimiser."""

    def on_epoch_end(self, run: Run) -> None:
        """After each whole epoch and its validation; its figures are in ``run.figures``."""

    def on_end(self, run: Run) -> None:
        """After the last epoch, however training ended, except by an exception."""

    def state_dict(self) -> dict[str, Array]:
        """Arrays that a resumed run needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` gave."""


class _Monitor:
    """The best figure so far."""

    def __init__(self, what: str, monitor: str, mode: str | None, min_delta: float = 0.0) -> None:
        self.what, self.name = what, monitor
        self.sign = 1 if mode_of(what, monitor, mode) == "min" else -1
        self.min_delta = min_delta
        self.best = math.inf

    def improves(self, run: Run) -> bool:
        """Whether the epoch's figure is the best, by more than `min_delta`; NaN never is."""
        if self.name not in run.figures:
            hint = "; give fit a validation set" if self.name.startswith("val_") else ""
            raise OptionError(
                f"{self.what}: there is no figure {self.name!r}; it must be one of "
                f"{', '.join(run.figures)}{hint}"
            )
        value = self.sign * run.figures[self.name]
        if not value < self.best - self.min_delta:
            return False
        self.best = value
        return True


class EarlyStopping(Callback):
    """End training when a figure has not improved for `patience` epochs.

    Parameters
    ----------
    monitor
        The figure, as in the history.
    patience
        How many epochs in a row may pass without a new best, at least 1.
    min_delta
        A new best must be better by more than this, at least 0.
    mode
        "min" or "max"; if not given, "max" for names that end in accuracy, precision, recall, f1
        or r2.
    restore_best
        Whether the model has the weights of its best epoch afterwards, however training ended.

    Attributes
    ----------
    best_epoch
        The epoch of the best figure, from 0; None at first.

    Raises
    ------
    ShapeError, OptionError, DtypeError
        If an option is out of range; in training, OptionError if there is no such figure.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        what = "EarlyStopping"
        self.patience = _check.whole(what, "patience", patience, 1)
        delta = _check.real(what, "min_delta", min_delta)
        if not 0 <= delta < math.inf:
            raise OptionError(f"{what}: min_delta={min_delta}; it must be at least 0 and finite")
        self._monitor = _Monitor(what, monitor, mode, delta)
        self.restore_best = _check.flag(what, "restore_best", restore_best)
        self.best_epoch: int | None = None
        self._best: dict[str, Array] = {}

    def on_begin(self, run: Run) -> None:
        """Forget an earlier run, unless this one goes on from it."""
        if not run.resumed:
            self.best_epoch, self._best, self._monitor.best = None, {}, math.inf

    def on_epoch_end(self, run: Run) -> None:
        """Compare, keep the weights if they are the best, and end training if it is time."""
        if self._monitor.improves(run):
            self.best_epoch = run.epoch
            if self.restore_best:
                self._best = run.model.state_dict()
        waited = run.epoch - (-1 if self.best_epoch is None else self.best_epoch)
        if waited >= self.patience:
            run.stop(f"{self._monitor.name} has not improved for {waited} epochs")

    def on_end(self, run: Run) -> None:
        """Put the best weights back."""
        if self._best:
            run.model.load_state_dict(self._best)

    def state_dict(self) -> dict[str, Array]:
        """The best figure, its epoch and its weights."""
        epoch = -1 if self.best_epoch is None else self.best_epoch
        numbers = {"best": np.array(self._monitor.best), "best_epoch": np.array(epoch)}
        return numbers | {f"model.{name}": array for name, array in self._best.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` gave."""
        epoch = int(state["best_epoch"])
        self.best_epoch = None if epoch < 0 else epoch
        self._monitor.best = float(state["best"])
        self._best = {
            name.removeprefix("model."): array.copy()
            for name, array in state.items()
            if name.startswith("model.")
        }


class Checkpoint(Callback):
    """Save the run, so that ``fit(..., resume=path)`` goes on as if it never ended, bitwise.

    The file has the model, the optimiser, the states of the random generators of the trainer, the
    layers and the data's ``rng``, the history and the states of the other callbacks. It is written
    under a temporary name and renamed: a file that was there stays whole until the new one is.

    Parameters
    ----------
    path
        Where to; one file, replaced each time.
    every
        Save after every so many epochs.
    monitor
        If given, save only when this figure is the best of those epochs so far.
    mode
        "min" or "max", see `EarlyStopping`.
    weights_only
        Save only the model, for ``model.load(path)``.
    """

    last = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: int = 1,
        monitor: str | None = None,
        mode: str | None = None,
        weights_only: bool = False,
    ) -> None:
        self.path = path
        self.every = _check.whole("Checkpoint", "every", every, 1)
        self.weights_only = _check.flag("Checkpoint", "weights_only", weights_only)
        self._monitor = None if monitor is None else _Monitor("Checkpoint", monitor, mode)

    def on_begin(self, run: Run) -> None:
        """Forget an earlier run, unless this one goes on from it."""
        if self._monitor is not None and not run.resumed:
            self._monitor.best = math.inf

    def on_epoch_end(self, run: Run) -> None:
        """Save if it is time."""
        if (run.epoch + 1) % self.every:
            return
        if self._monitor is None or self._monitor.improves(run):
            io.save(self.path, run.model.state_dict() if self.weights_only else run.state_dict())

    def state_dict(self) -> dict[str, Array]:
        """The best figure."""
        return {} if self._monitor is None else {"best": np.array(self._monitor.best)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` gave."""
        if self._monitor is not None:
            self._monitor.best = float(state["best"])


class StopOnNaN(Callback):
    """End training when the loss of a batch is NaN or infinite, before its step is taken.

    So the weights are still those of the step before.
    """

    def on_gradient(self, run: Run, loss: float) -> None:
        """Look at the loss."""
        if not math.isfinite(loss):
            run.stop(f"the loss is {loss} in epoch {run.epoch}, batch {run.batch}")


class LearningRate(Callback):
    """Set the optimiser's learning rate before each epoch, or each step.

    Parameters
    ----------
    schedule
        A function of the epoch, from 0, that gives the rate; or a schedule of `fastnn.optim`, whose
        ``step`` is called after each epoch.
    monitor
        A figure to give to ``step``, for a schedule that looks at one.
    each_step
        Count steps in place of epochs, as for a warm-up.

    Examples
    --------
    >>> from fastnn.train import LearningRate
    >>> halved = LearningRate(lambda epoch: 0.1 * 0.5**epoch)
    """

    def __init__(
        self, schedule: Any, *, monitor: str | None = None, each_step: bool = False
    ) -> None:
        self._steps = hasattr(schedule, "step")
        if not self._steps and not callable(schedule):
            raise OptionError(
                f"LearningRate: schedule is {type(schedule).__name__}; it must be a function of "
                "the epoch or have a method step"
            )
        self.schedule: Any = schedule
        self.monitor = monitor
        self.each_step = _check.flag("LearningRate", "each_step", each_step)
        if self.each_step and monitor is not None:
            raise OptionError(
                f"LearningRate: monitor={monitor!r} with each_step=True; a figure is there only "
                "after an epoch"
            )
        self._taken = 0

    def on_begin(self, run: Run) -> None:
        """Begin to count anew, unless this run goes on from another."""
        if not run.resumed:
            self._taken = 0

    def on_epoch_begin(self, run: Run) -> None:
        """Set what the function gives for the epoch, or at first for the step."""
        if not self.each_step or self._taken == 0:
            self._set(run, run.epoch)

    def on_step(self, run: Run, loss: float) -> None:
        """Go on, if steps are counted."""
        self._taken += 1
        if self.each_step and self._steps:
            self.schedule.step()
        elif self.each_step:
            self._set(run, self._taken)

    def _set(self, run: Run, place: int) -> None:
        if not self._steps:
            schedule: Callable[[int], float] = self.schedule
            run.trainer.optimizer.lr = float(schedule(place))

    def on_epoch_end(self, run: Run) -> None:
        """Let the schedule take its step."""
        if self._steps and not self.each_step:
            figures = () if self.monitor is None else (run.figures[self.monitor],)
            self.schedule.step(*figures)

    def state_dict(self) -> dict[str, Array]:
        """The schedule's, and how many steps were taken."""
        taken = {"taken": np.array(self._taken)}
        if not hasattr(self.schedule, "state_dict"):
            return taken
        state = self.schedule.state_dict()
        return taken | {f"schedule.{name}": np.asarray(value) for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` gave."""
        self._taken = int(state["taken"])
        if hasattr(self.schedule, "load_state_dict"):
            part = {k.removeprefix("schedule."): v for k, v in state.items() if k != "taken"}
            self.schedule.load_state_dict(part)


class _Log(Callback, ABC):
    """Write a line per epoch, at once, so that a run can be watched and a crash loses nothing."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def on_begin(self, run: Run) -> None:
        """Begin the file anew, with the epochs that a resumed run has already."""
        self._file = open(self.path, "w", encoding="utf-8", newline="\n")
        history = run.history
        for epoch in range(history.epoch):
            self._write(epoch, {name: column[epoch] for name, column in history.items()})

    def on_epoch_end(self, run: Run) -> None:
        """Write the epoch's figures."""
        self._write(run.epoch, run.figures)

    def on_end(self, run: Run) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, epoch: int, figures: Mapping[str, float]) -> None:
        if self._file is None:
            raise StateError(f"{type(self).__name__}: {self.path} is closed; it must be in a run")
        self._file.write(self._line(epoch, figures) + "\n")
        self._file.flush()

    @abstractmethod
    def _line(self, epoch: int, figures: Mapping[str, float]) -> str:
        """One epoch as text."""


class CSVLog(_Log):
    """Write the figures of each epoch as a line of a table, its first line their names.

    Parameters
    ----------
    path
        The file; it is written anew. A figure that the first epoch lacks has no column.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._names: list[str] = []

    def on_begin(self, run: Run) -> None:
        """Begin the file anew, with the epochs that a resumed run has already."""
        self._names = []
        super().on_begin(run)

    def _line(self, epoch: int, figures: Mapping[str, float]) -> str:
        start = ""
        if not self._names:
            self._names = list(figures)
            start = ",".join(["epoch", *self._names]) + "\n"
        values = [repr(float(figures.get(name, math.nan))) for name in self._names]
        return start + ",".join([str(epoch + 1), *values])


class JSONLog(_Log):
    """Write the figures of each epoch as a line that is a JSON object; NaN is null.

    Parameters
    ----------
    path
        The file; it is written anew.
    """

    def _line(self, epoch: int, figures: Mapping[str, float]) -> str:
        plain = {k: float(v) if math.isfinite(v) else None for k, v in figures.items()}
        return json.dumps({"epoch": epoch + 1, **plain})
