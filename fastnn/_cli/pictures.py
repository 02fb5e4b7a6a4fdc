"""The demo's pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastnn._cli import table
from fastnn._cli.extras import need
from fastnn._cli.files import replacing
from fastnn._cli.measure import Row
from fastnn._cli.training import Epoch
from fastnn._cli.workload import DIRECTIONS

Array = np.ndarray[Any, Any]

BLUE, ORANGE, GREY = "#2166ac", "#d9731a", "#8a8a8a"
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.titlesize": 13,
    "font.size": 10,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "savefig.dpi": 150,
}


@contextmanager
def figure(target: Path, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Figure and axes as from `matplotlib.pyplot.subplots`, written to `target` at the end.

    Drawn by Agg without pyplot's state, so that neither a display nor a user's figures matter.
    """
    matplotlib = need("matplotlib", "matplotlib", "demo")
    figures = need("matplotlib.figure", "matplotlib", "demo")
    agg = need("matplotlib.backends.backend_agg", "matplotlib", "demo")
    size = options.pop("figsize")
    with matplotlib.rc_context(STYLE):
        drawn = figures.Figure(figsize=size)
        agg.FigureCanvasAgg(drawn)
        yield drawn, drawn.subplots(**options)
        with replacing(target) as temporary:
            drawn.savefig(temporary)


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
    columns = 8
    rows = -(-len(weights) // columns)
    limit = float(np.abs(weights).max())
    with figure(target, nrows=rows, ncols=columns, figsize=(8.4, 0.6 + 0.95 * rows)) as (
        drawn,
        axes,
    ):
        drawn.suptitle(f"The {len(weights)} filters of the first layer after training")
        for axis in axes.flat:
            axis.axis("off")
        for axis, weight in zip(axes.flat, weights, strict=False):
            image = axis.imshow(weight[0], cmap="RdBu_r", vmin=-limit, vmax=limit)
        drawn.colorbar(image, ax=axes, label="weight", shrink=0.9, aspect=14)


def confusion(scores: Array, labels: Array, x: Array, target: Path) -> None:
    """What was read for which digit, and the images that were misread."""
    read = scores.argmax(axis=1)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, read), 1)
    with figure(target, ncols=2, figsize=(9.5, 4.6)) as (drawn, (left, right)):
        wrong = np.flatnonzero(read != labels)
        drawn.suptitle(f"{len(labels)} held-out digits, {len(wrong)} misread")
        left.imshow(np.where(counts > 0, counts, np.nan), cmap="Blues", vmin=0, vmax=counts.max())
        for (row, column), count in np.ndenumerate(counts):
            if count:
                left.text(column, row, count, ha="center", va="center", fontsize=9,
                          color="white" if row == column else ORANGE)  # fmt: skip
        left.set(xlabel="read as", ylabel="digit", xticks=range(10), yticks=range(10))
        left.set_title("How often which digit was read as which")
        left.grid(visible=False)
        _mosaic(right, [(x[i, 0], f"{labels[i]} as {read[i]}") for i in wrong[:9]])
        first = "The" if len(wrong) <= 9 else "Nine of the"
        right.set_title(f"{first} misread ones" if len(wrong) else "None is misread")


def _mosaic(axis: Any, tiles: Sequence[tuple[Array, str]]) -> None:
    """Images with captions below them, in a square grid on one axis."""
    axis.axis("off")
    side = max(2, int(np.ceil(np.sqrt(len(tiles)))))
    for number, (image, text) in enumerate(tiles):
        row, column = divmod(number, side)
        axis.imshow(
            image, cmap="gray_r", extent=(column + 0.12, column + 0.88, row + 0.80, row + 0.04)
        )
        axis.text(column + 0.5, row + 0.90, text, ha="center", va="center", fontsize=9)
    axis.set(xlim=(0, side), ylim=(side, 0), aspect="equal")


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
