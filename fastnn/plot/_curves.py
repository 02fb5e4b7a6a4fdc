"""Lines over epochs, and functions fitted to points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.errors import OptionError, ShapeError
from fastnn.plot._figure import BLUE, COLOURS, GREY, ORANGE, axes_or_new, figure

_VALIDATION = "val_"


def learning_curves(
    history: Mapping[str, Sequence[float]],
    *,
    labels: Mapping[str, str] | None = None,
    best: int | None = None,
    log: Sequence[str] = (),
    title: str | None = None,
) -> Any:
    """Draw a panel for each figure of a history, training and validation together.

    Parameters
    ----------
    history
        A value per epoch, by name; ``"val_loss"`` is drawn with ``"loss"``. Names with other
        numbers of values than most, and those of no numbers, are left out.
    labels
        What to write at the vertical axis, such as ``{"loss": "cross-entropy (nats)"}``; the name
        if not given.
    best
        The epoch, from 1, to mark, such as that whose weights were kept.
    log
        Names to draw on a logarithmic scale.
    title
        Above all panels.

    Returns
    -------
    Figure
        With a panel for each name.

    Raises
    ------
    OptionError
        If nothing can be drawn, `log` names something that is not there, or matplotlib is not
        installed.

    Examples
    --------
    >>> import fastnn
    >>> drawn = fastnn.plot.learning_curves({"loss": [2.0, 1.0], "val_loss": [2.1, 1.5]})
    >>> [axes.get_title() for axes in drawn.axes]
    ['loss']
    """
    names, epochs = _panels(history)
    unknown = [name for name in log if name not in names]
    if unknown or not names:
        raise OptionError(
            f"learning_curves: history has {', '.join(history) or 'nothing'}; there must be "
            f"{', '.join(unknown) or 'numbers by epoch'}"
        )
    drawn, axes = figure(ncols=len(names), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=True):
        axis.set(title=name.replace("_", " "), xlabel="epoch")
        axis.set_ylabel((labels or {}).get(name, name.replace("_", " ")))
        for key, colour, text in (
            (name, BLUE, "training"), (_VALIDATION + name, ORANGE, "validation"),
        ):  # fmt: skip
            if len(history.get(key, ())) == epochs:
                _line(axis, history[key], colour, text)
        if best is not None:
            axis.axvline(best, color=GREY, linestyle=":", linewidth=1.2, label=f"epoch {best}")
        if name in log:
            axis.set_yscale("log")
        whole_numbers(axis)
        if len(axis.get_lines()) > 1:
            axis.legend(frameon=False)
    if title:
        drawn.suptitle(title)
    return drawn


def _panels(history: Mapping[str, Sequence[float]]) -> tuple[list[str], int]:
    """The names to draw, validation's without their beginning, and the number of epochs."""
    lengths = {
        name: len(values)
        for name, values in history.items()
        if np.ndim(values) == 1 and np.asarray(values).dtype.kind in "fiub" and name != "epoch"
    }
    counts = list(lengths.values())
    epochs = max(counts, key=counts.count, default=0)
    shown = [name for name, length in lengths.items() if length == epochs > 0]
    return list(dict.fromkeys(name.removeprefix(_VALIDATION) for name in shown)), epochs


def _line(axis: Any, values: Sequence[float], colour: str, label: str, **options: Any) -> None:
    epochs = np.arange(1, len(values) + 1)
    mark = "o" if len(values) == 1 else ""
    axis.plot(epochs, values, color=colour, marker=mark, label=label, **options)


def whole_numbers(axis: Any) -> None:
    """Ticks at whole epochs only."""
    axis.xaxis.get_major_locator().set_params(integer=True)


def compare(
    curves: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    xlabel: str = "epoch",
    log: bool = False,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw one figure of several runs, such as the losses of four optimisers.

    Parameters
    ----------
    curves
        Values from epoch 1 on, by the run's name; they may have different lengths.
    ylabel, xlabel
        What is written at the axes.
    log
        Whether the vertical scale is logarithmic.
    title
        Above the picture.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        What was drawn on.

    Raises
    ------
    OptionError
        If there are no curves, or matplotlib is not installed.

    Examples
    --------
    >>> import fastnn
    >>> axes = fastnn.plot.compare({"SGD": [3, 2, 1], "Adam": [2, 1]}, ylabel="loss")
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['SGD', 'Adam']
    """
    if not curves:
        raise OptionError("compare: curves is empty; there must be one")
    axis = axes_or_new(ax, (5.6, 3.8))
    for number, (name, values) in enumerate(curves.items()):
        style = ("-", "--", ":")[number // len(COLOURS) % 3]
        _line(axis, values, COLOURS[number % len(COLOURS)], name, linestyle=style)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title or "")
    if log:
        axis.set_yscale("log")
    whole_numbers(axis)
    if len(curves) > 5:  # more names than the lines leave room for
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        axis.legend(frameon=False)
    return axis


def fits(
    x: Any,
    y: Any,
    curves: Mapping[str, Any],
    *,
    xlabel: str = "x",
    ylabel: str = "y",
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw points and the functions fitted to them.

    Parameters
    ----------
    x, y
        The points, (n,) each.
    curves
        A function's values at `x`, (n,), by its name.
    xlabel, ylabel
        What is written at the axes.
    title
        Above the picture.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        What was drawn on.

    Raises
    ------
    ShapeError
        If there are not equally many values.
    OptionError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.linspace(-1, 1, 5)
    >>> axes = fastnn.plot.fits(x, abs(x), {"constant": np.full(5, 0.6)})
    """
    points, values = np.ravel(x), np.ravel(y)
    lines = {name: np.ravel(line) for name, line in curves.items()}
    for name, line in {"y": values, **lines}.items():
        if line.shape != points.shape:
            raise ShapeError(
                f"fits: {name} has {line.size} values but x has {points.size}; they must be as many"
            )
    axis = axes_or_new(ax)
    order = np.argsort(points, kind="stable")
    axis.plot(points, values, ".", color=GREY, markersize=3, alpha=0.6, label="data", zorder=1)
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(points[order], line[order], color=colour, linewidth=2, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title or "")
    axis.legend(frameon=False)
    return axis
