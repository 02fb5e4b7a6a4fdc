"""The figures of a training run, epoch by epoch."""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, Self

from fastnn._files import write_text
from fastnn.errors import OptionError

_HIGH = ("accuracy", "precision", "recall", "f1", "r2")


def mode_of(what: str, monitor: str, mode: str | None) -> str:
    """The direction of a figure: what was asked for, or what the name of the figure suggests."""
    if mode not in ("min", "max", None):
        raise OptionError(f"{what}: mode={mode!r}; it must be 'min', 'max' or None")
    return mode or ("max" if monitor.endswith(_HIGH) else "min")


class History(Mapping[str, list[float]]):
    """Figures by name, one number per epoch: ``history["val_loss"][-1]``.

    Names are "loss", those of the metrics, the same with "val_" before them if there was a
    validation set, "lr" and "seconds". Where an epoch lacks a figure there is NaN. It is plain
    data: ``dict(history)`` is a dict of lists.

    Attributes
    ----------
    data
        The dict of lists.
    epoch
        How many epochs there are.
    stopped
        Why training ended before its last epoch, None if it did not: a sentence of the callback
        that ended it, or "interrupted".

    Examples
    --------
    >>> from fastnn.train import History
    >>> history = History()
    >>> history.append({"loss": 2.0, "accuracy": 0.5})
    >>> history.append({"loss": 1.0, "accuracy": 0.75})
    >>> history["loss"], history.best("accuracy")
    ([2.0, 1.0], 1)
    >>> print(history)
    epoch     loss  accuracy
    -----  -------  --------
        1  2.00000   0.50000
        2  1.00000   0.75000
    """

    def __init__(self, data: Mapping[str, list[float]] | None = None) -> None:
        self.data: dict[str, list[float]] = {k: list(v) for k, v in (data or {}).items()}
        self.stopped: str | None = None

    @property
    def epoch(self) -> int:
        """How many epochs there are."""
        return max(map(len, self.data.values()), default=0)

    def append(self, figures: Mapping[str, float]) -> None:
        """Add the figures of one epoch."""
        before = self.epoch
        for name in {**self.data, **figures}:
            column = self.data.setdefault(name, [math.nan] * before)
            column.append(float(figures.get(name, math.nan)))

    def best(self, name: str, mode: str | None = None) -> int:
        """The epoch, from 0, with the best figure; the first of equal ones.

        Parameters
        ----------
        name
            The figure.
        mode
            "min" or "max"; if not given, "max" for names that end in accuracy, precision, recall,
            f1 or r2.
        """
        sign = 1 if mode_of("History.best", name, mode) == "min" else -1
        column = self._column("History.best", name)
        return min(
            range(len(column)),
            key=lambda i: math.inf if math.isnan(column[i]) else sign * column[i],
        )

    def _column(self, what: str, name: str) -> list[float]:
        if name not in self.data or not self.data[name]:
            raise OptionError(
                f"{what}: there is no figure {name!r}; it must be one of "
                f"{', '.join(self.data) or 'none, as there was no epoch'}"
            )
        return self.data[name]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the figures as a table if `path` ends in .csv, as an object if in .json.

        Raises
        ------
        OptionError
            If `path` has another ending.
        OSError
            If the system refuses; a file that was there is then as it was.
        """
        text = os.fspath(path)
        if text.endswith(".csv"):
            lines = [["epoch", *self.data], *([str(i + 1), *row] for i, row in self._rows(repr))]
            write_text("History.save", path, "".join(",".join(line) + "\n" for line in lines))
        elif text.endswith(".json"):
            write_text("History.save", path, self.to_json() + "\n")
        else:
            raise OptionError(f"History.save: {text}; it must end in .csv or .json")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if os.fspath(path).endswith(".json"):
            return cls.from_json(text)
        header, *rows = [line.split(",") for line in text.splitlines()]
        columns = zip(*rows, strict=True) if rows else ([] for _ in header)
        data = {name: [float(v) for v in c] for name, c in zip(header, columns, strict=True)}
        del data["epoch"]
        return cls(data)

    def to_json(self) -> str:
        """The data and `stopped` as JSON; NaN is null."""
        plain = {k: [None if math.isnan(v) else v for v in c] for k, c in self.data.items()}
        return json.dumps({"data": plain, "stopped": self.stopped})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave."""
        found = json.loads(text)
        data = {k: [math.nan if v is None else v for v in c] for k, c in found["data"].items()}
        history = cls(data)
        history.stopped = found["stopped"]
        return history

    def plot(self, **options: Any) -> Any:
        """Draw the curves with matplotlib, see `fastnn.plot.learning_curves`.

        The seconds are left out, and a learning rate that never changes.
        """
        plot: Any = importlib.import_module("fastnn.plot")
        shown = {k: v for k, v in self.items() if k != "seconds" and (k != "lr" or len({*v}) > 1)}
        return plot.learning_curves(shown, **options)

    def _rows(self, show: Any) -> Iterator[tuple[int, list[str]]]:
        for i in range(self.epoch):
            yield i, [show(column[i]) for column in self.data.values()]

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.data:
            raise KeyError(name)
        return self.data[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __str__(self) -> str:
        from fastnn import _table

        rows = [[str(i + 1), *row] for i, row in self._rows("{:.5f}".format)]
        return _table.render(["epoch", *self.data], rows, right="r" * (1 + len(self.data)))

    def __repr__(self) -> str:
        end = "" if self.stopped is None else f", {self.stopped}"
        return f"History({self.epoch} epochs: {', '.join(self.data)}{end})"
