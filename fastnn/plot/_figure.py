"""Figures without pyplot, in one style, and writing them to files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from fastnn._extras import need
from fastnn._files import replacing
from fastnn.errors import OptionError

BLUE, ORANGE, GREY = "#2166ac", "#d9731a", "#8a8a8a"
"""Training, validation, and what is said beside them."""

COLOURS = (
    BLUE, ORANGE, "#3a9a5b", "#b2386b", "#7a5fb0", "#8c6d31", "#3fb0c6", "#e0a800", "#5c5c5c",
    "#9ccc65",
)  # fmt: skip

STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.titlesize": 13,
    "font.size": 10,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}


def figure(
    nrows: int = 1, ncols: int = 1, *, figsize: tuple[float, float] | None = None, **options: Any
) -> tuple[Any, Any]:
    """Make a figure and its axes, as ``matplotlib.pyplot.subplots`` does, but known to nobody else.

    Parameters
    ----------
    nrows, ncols
        Axes below and beside each other.
    figsize
        Width and height in inches; 4.8 by 3.6 for each of the axes if not given.
    **options
        What ``Figure.subplots`` takes, such as ``sharey`` and ``squeeze``.

    Returns
    -------
    tuple
        The Figure, with an Agg canvas, and its Axes or an array of them.

    Raises
    ------
    OptionError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastnn
    >>> drawn, (left, right) = fastnn.plot.figure(ncols=2)
    >>> line = left.plot([1, 2, 3])
    """
    figures = need("plot", "matplotlib.figure", "matplotlib", "plot")
    agg = need("plot", "matplotlib.backends.backend_agg", "matplotlib", "plot")
    with styled():
        made = figures.Figure(figsize or (4.8 * ncols, 3.6 * nrows), layout="constrained")
        agg.FigureCanvasAgg(made)
        return made, made.subplots(nrows, ncols, **options)


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's settings as in `STYLE`, and as they were afterwards."""
    matplotlib = need("plot", "matplotlib", "matplotlib", "plot")
    with matplotlib.rc_context(STYLE):
        yield


def axes_or_new(ax: Any, figsize: tuple[float, float] = (4.8, 3.6)) -> Any:
    """The axes given, or those of a new figure."""
    return figure(figsize=figsize)[1] if ax is None else ax


def save(drawn: Any, path: str | os.PathLike[str], *, dpi: float = 150) -> None:
    """Write a picture to a file, whole or not at all.

    Parameters
    ----------
    drawn
        A Figure, or Axes, an array or a list of them, whose figure is written.
    path
        Where to; its end tells the format: ``.png``, ``.svg``, ``.pdf``. A file that is there is
        replaced.
    dpi
        Pixels per inch, for PNG.

    Raises
    ------
    OptionError
        If there is no such format.
    FileError
        If `path` is there and is not a file.
    OSError
        If the system refuses: no such folder, not permitted, disk full.

    Examples
    --------
    >>> import os, tempfile, fastnn
    >>> axes = fastnn.plot.compare({"SGD": [3, 2, 1]}, ylabel="loss")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastnn.plot.save(axes, os.path.join(folder, "loss.png"))
    ...     os.listdir(folder)
    ['loss.png']
    """
    while not hasattr(drawn, "savefig"):
        found = getattr(drawn, "figure", None)
        drawn = found if found is not None else next(iter(getattr(drawn, "flat", drawn)))
    suffix = os.path.splitext(os.fspath(path))[1]
    if suffix[1:].lower() not in drawn.canvas.get_supported_filetypes():
        raise OptionError(
            f"save: {os.fspath(path)} ends in {suffix!r}; it must be .png, .svg or .pdf"
        )
    with replacing("save", path, suffix) as temporary, styled():
        drawn.savefig(temporary, dpi=dpi, bbox_inches="tight", pad_inches=0.12)
