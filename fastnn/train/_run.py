"""One training run: its epochs, its callbacks and its state."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import io
from fastnn.errors import DtypeError, FileError, StateError
from fastnn.layers._state import generators
from fastnn.layers.base import Array
from fastnn.train._callbacks import Callback
from fastnn.train._history import History
from fastnn.train._modes import reset_states
from fastnn.train._progress import Progress

if TYPE_CHECKING:
    from fastnn.train._trainer import Trainer


class Run:
    """One call of `Trainer.fit`, as callbacks see it.

    Attributes
    ----------
    trainer, model
        Who trains, and what.
    epoch, epochs
        The number of the epoch, from 0, and how many there are to be.
    batch
        The number of the batch in the epoch, from 0.
    figures
        The figures of the epoch, once it is over.
    history
        All figures so far; in `on_epoch_end` those of this epoch are among them.
    resumed
        Whether the run goes on from a checkpoint.
    """

    def __init__(self, trainer: Trainer, epochs: int, callbacks: Sequence[Callback]) -> None:
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise DtypeError(
                    f"Trainer.fit: a callback is {type(callback).__name__}; it must be a Callback"
                )
        self.trainer, self.model = trainer, trainer.model
        self.epochs, self.epoch, self.batch = epochs, 0, 0
        self.figures: dict[str, float] = {}
        self.history = History()
        self.resumed = False
        self.source: Any = None  # the random generator of a data loader, if it shows one
        self._callbacks = sorted(callbacks, key=lambda c: c.last)
        self._stop: str | None = None

    def stop(self, reason: str) -> None:
        """End training; `reason` will be the history's ``stopped``."""
        self._stop = reason

    # -- the loop --------------------------------------------------------------------------------

    def train(
        self,
        batches: Callable[[], Iterator[tuple[Array, Array]]],
        validate: Callable[[], dict[str, float]] | None,
        asked: list[bool],
        bar: Progress,
    ) -> None:
        """Train to the end; `asked` has an entry once Ctrl-C was pressed."""
        try:
            self._tell("on_begin")
            while self.history.epoch < self.epochs and self._stop is None:
                self.epoch = self.history.epoch
                self._one_epoch(batches, validate, asked, bar)
        except KeyboardInterrupt:
            self._stop = "interrupted"
        finally:
            self.history.stopped = self._stop
            self._tell("on_end")

    def _one_epoch(
        self,
        batches: Callable[[], Iterator[tuple[Array, Array]]],
        validate: Callable[[], dict[str, float]] | None,
        asked: list[bool],
        bar: Progress,
    ) -> None:
        started = time.perf_counter()
        reset_states(self.model)
        self._tell("on_epoch_begin")
        figures = self._steps(batches(), asked, bar)
        if self._stop is not None:
            return
        if validate is not None:
            figures |= {f"val_{name}": value for name, value in validate().items()}
        figures["lr"] = float(self.trainer.optimizer.lr)
        figures["seconds"] = time.perf_counter() - started
        self.figures = figures
        self.history.append(figures)
        bar.figures(self.epoch, figures)
        self._tell("on_epoch_end")
        if asked:
            self.stop("interrupted")

    def _steps(
        self, batches: Iterator[tuple[Array, Array]], asked: list[bool], bar: Progress
    ) -> dict[str, float]:
        """Go through one epoch; the means of the loss and the metrics, weighted by size."""
        trainer = self.trainer
        before, after = self._hooks("on_gradient"), self._hooks("on_step")
        metrics = list(trainer.metrics.values())
        total, samples, sums = 0.0, 0, [0.0] * len(metrics)
        for self.batch, (x, y) in enumerate(batches):
            loss, output = trainer._gradient(x, y)
            for hook in before:
                hook(self, loss)
            if self._stop is None:
                trainer._update()
                for hook in after:
                    hook(self, loss)
            if asked:
                self.stop("interrupted")
            if self._stop is not None:
                break
            n = len(y)
            total += loss * n
            samples += n
            for i, metric in enumerate(metrics):
                sums[i] += float(metric(y, output)) * n
            bar.step()
        means = {"loss": mean(total, samples)}
        names = zip(trainer.metrics, sums, strict=True)
        return means | {name: mean(value, samples) for name, value in names}

    def _hooks(self, name: str) -> list[Callable[[Run, float], None]]:
        """The callbacks' methods that do something."""
        return [
            getattr(callback, name)
            for callback in self._callbacks
            if getattr(type(callback), name) is not getattr(Callback, name)
        ]

    def _tell(self, name: str) -> None:
        for callback in self._callbacks:
            getattr(callback, name)(self)

    # -- state -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """All that `load` needs, as arrays by name."""
        states = [g.bit_generator.state for g in self._generators()]
        parts: dict[str, Mapping[str, Array]] = {
            "model": self.model.state_dict(),
            "optimizer": self.trainer.optimizer.state_dict(),
        }
        for i, callback in enumerate(self._callbacks):
            parts[f"callback{i}-{type(callback).__name__}"] = callback.state_dict()
        arrays = {
            f"{part}.{name}": array
            for part, state in parts.items()
            for name, array in state.items()
        }
        self.history.stopped = self._stop  # a run that is over is not to go on when it is resumed
        return {
            "history": _packed(json.loads(self.history.to_json())),
            "rng": _packed(states),
            **arrays,
        }

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from a file of `Checkpoint`."""
        state = io.load(path)
        if "history" not in state or "rng" not in state:
            raise FileError(
                f"Trainer.fit: {os.fspath(path)} has no history and rng; it must be a checkpoint "
                "of a whole run"
            )
        parts: dict[str, dict[str, Array]] = {}
        for name, array in state.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = array
        sources, states = self._generators(), json.loads(state["rng"].tobytes())
        if len(sources) != len(states):
            raise StateError(
                f"Trainer.fit: {os.fspath(path)} has {len(states)} random generators but trainer "
                f"and model have {len(sources)}; they must share them as they did"
            )
        self.model.load_state_dict(parts.get("model", {}))
        self.trainer.optimizer.load_state_dict(parts.get("optimizer", {}))
        for source, found in zip(sources, states, strict=True):
            source.bit_generator.state = found
        self.history = History.from_json(state["history"].tobytes().decode())
        self._stop = self.history.stopped
        self.resumed = True
        for i, callback in enumerate(self._callbacks):
            found = parts.get(f"callback{i}-{type(callback).__name__}")
            if found is not None:
                callback.load_state_dict(found)

    def _generators(self) -> list[np.random.Generator]:
        """The random generators of the trainer, the data and the layers, each once."""
        own = self.trainer.rng
        others = [self.source, *generators(self.model)]
        found = {id(g): g for g in (own, *others) if isinstance(g, np.random.Generator)}
        return list(found.values())


def mean(total: float, samples: int) -> float:
    """The mean of a sum; NaN of nothing."""
    return total / samples if samples else math.nan


def _packed(value: Any) -> Array:
    """JSON as an array of bytes; arrays, as some generators have in their states, as lists."""
    text = json.dumps(value, default=lambda a: a.tolist())
    return np.frombuffer(text.encode(), np.uint8)
