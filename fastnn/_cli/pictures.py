"""The demo's pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import plot
from fastnn._cli import table
from fastnn._cli.measure import Row
from fastnn._cli.training import Epoch
from fastnn._cli.workload import DIRECTIONS
from fastnn.errors import OptionError
from fastnn.plot import BLUE, GREY, ORANGE

Array = np.ndarray[Any, Any]


@contextmanager
def figure(target: Path, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Figure and axes of `plot.figure`, written to `target` at the end."""
    with plot.styled():
        drawn, axes = plot.figure(**options)
        yield drawn, axes
        try:
            plot.save(drawn, target)
        except OSError as error:
            raise OptionError(f"{target} cannot be written: {error.strerror or error}") from error


def learning_curves(history: Sequence[Epoch], goal: float, target: Path) -> None:
    """Loss and accuracy by epoch."""
    epochs = np.arange(1, len(history) + 1)
    lines = [np.array(values) for values in zip(*history, strict=True)]
    loss, loss_held, accuracy, accuracy_held = lines
    mark = "o" if len(history) == 1 else ""
    with figure(target, ncols=2, figsize=(9.5, 3.8)) as (drawn, (left, right)):
        drawn.suptitle("Three-layer ConvNet on 1,797 handwritten digits (8x8)")
        left.semilogy(epochs, loss, BLUE, marker=mark, label="training (1,437)")
        left.semilogy(epochs, loss_held, ORANGE, marker=mark, label="held out (360)")
        left.set(title="Loss", xlabel="epoch", ylabel="cross-entropy per image (nats)")
        left.legend()
        right.plot(epochs, 100 * accuracy, BLUE, marker=mark)
        right.plot(epochs, 100 * accuracy_held, ORANGE, marker=mark)
        right.axhline(100 * goal, color=GREY, linestyle=":", linewidth=1)
        right.annotate(
            f"goal {goal:.0%}", (epochs[-1], 100 * goal), (0, -4), textcoords="offset points",
            ha="right", va="top", color=GREY,
        )  # fmt: skip
        right.set(
            title=f"Accuracy: {accuracy_held[-1]:.1%} of the held-out digits at the end",
            xlabel="epoch", ylabel="digits read rightly (%)",
        )  # fmt: skip
        lowest = 100 * min(goal, float(np.median(np.minimum(accuracy, accuracy_held))))
        right.set_ylim(np.floor(lowest - 4), 100.4)


def filters(weights: Array, target: Path) -> None:
    """The 3x3 filters of the first layer, on one scale of colours."""
    title = f"The {len(weights)} filters of the first layer after training"
    plot.save(plot.filters(weights, columns=8, title=title), target)


def confusion(scores: Array, labels: Array, x: Array, target: Path) -> None:
    """What was read for which digit, and the images that were misread."""
    read = scores.argmax(axis=1)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, read), 1)
    wrong = np.flatnonzero(read != labels)
    with figure(target, ncols=2, figsize=(9.5, 4.6)) as (drawn, (left, right)):
        drawn.suptitle(f"{len(labels)} held-out digits, {len(wrong)} misread")
        title = "How often which digit was read as which"
        plot.confusion_matrix(counts, title=title, ax=left)
        left.set(xlabel="read as", ylabel="digit")
        if not len(wrong):
            right.set_title("None is misread")
            right.axis("off")
            return
        shown = wrong[:9]
        captions = [f"{labels[i]} as {read[i]}" for i in shown]
        first = "The" if len(wrong) <= 9 else "Nine of the"
        plot.tiles(-x[shown], columns=3, captions=captions, title=f"{first} misread ones", ax=right)


def speedups(rows: Sequence[Row], note: str, target: Path) -> None:
    """How many times faster than naive, on a logarithmic scale, a panel for each direction."""
    rows = [row for row in rows if row.speedup is not None]
    names = list(dict.fromkeys(f"{row.op}\n{row.case}" for row in rows))
    with figure(
        target, ncols=2, sharex=True, sharey=True, figsize=(9.5, 1.9 + 0.55 * len(names))
    ) as (drawn, axes):
        drawn.suptitle("How many times faster than the naive reference")
        for axis, direction in zip(axes, DIRECTIONS, strict=True):
            _bars(axis, [row for row in rows if row.direction == direction])
            axis.set(title=direction, xscale="log")
            axis.grid(visible=False, axis="y")
            axis.tick_params(axis="y", length=0)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].invert_yaxis()
        low, high = axes[0].get_xlim()
        axes[0].set_xlim(min(1.0, low), 5 * high)  # room for the figures beside the bars
        axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:,g}x")
        drawn.supxlabel(f"naive time / time, log scale. {note}", fontsize=9)
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)


def _bars(axis: Any, rows: Sequence[Row]) -> None:
    """One bar per backend at each row's place."""
    backends = [b for b in ("numba", "cython") if any(b in row.seconds for row in rows)]
    height = 0.8 / max(1, len(backends))
    for number, backend in enumerate(backends):
        shown = [(place, row) for place, row in enumerate(rows) if backend in row.seconds]
        values = [row.seconds["naive"] / row.seconds[backend] for _, row in shown]
        places = [place + (number - (len(backends) - 1) / 2) * height for place, _ in shown]
        colour = BLUE if backend == "cython" else ORANGE
        bars = axis.barh(places, values, 0.9 * height, color=colour, label=backend)
        axis.bar_label(bars, [table.factor(v) for v in values], padding=3, fontsize=9)
