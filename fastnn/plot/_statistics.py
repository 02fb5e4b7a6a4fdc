"""Distributions of activations, gradients or weights, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.errors import OptionError
from fastnn.plot._figure import BLUE, ORANGE, axes_or_new, figure

Array = np.ndarray[Any, Any]


def _finite(what: str, samples: Mapping[str, Any], every: int) -> dict[str, Array]:
    """Every so-manieth finite number of each, flat."""
    step = _check.whole(what, "every", every, 1)
    flat = {name: np.ravel(values)[::step] for name, values in samples.items()}
    found = {name: a[np.isfinite(a)].astype(np.float64) for name, a in flat.items()}
    empty = [name for name, a in found.items() if not a.size]
    if empty or not found:
        raise OptionError(
            f"{what}: samples has no numbers for {', '.join(empty) or 'anything'}; each layer must "
            "have a finite one"
        )
    return found


def violins(
    samples: Mapping[str, Any],
    *,
    every: int = 1,
    ylabel: str = "value",
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the distribution of each layer's numbers as a violin, with quartiles and median.

    Parameters
    ----------
    samples
        Numbers of any shape, by the layer's name. Infinite and NaN ones are left out.
    every
        Take every so-manieth number; drawing 100,000 takes a second.
    ylabel
        What the numbers are.
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
        If a layer has no finite number, or matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> rng = np.random.default_rng(0)
    >>> axes = fastnn.plot.violins({"1": rng.normal(size=99), "2": rng.normal(size=99)})
    """
    found = _finite("violins", samples, every)
    axis = axes_or_new(ax, (1.6 + 0.9 * len(found), 3.6))
    places = np.arange(1, len(found) + 1)
    spread = [a if np.ptp(a) > 0 else a[:1].repeat(2) for a in found.values()]
    varied = [i for i, a in enumerate(spread) if np.ptp(a) > 0]
    if varied:  # a density of equal numbers is not defined: they are drawn as a line
        bodies = axis.violinplot(
            [spread[i] for i in varied], [places[i] for i in varied], widths=0.85,
            showextrema=False,
        )["bodies"]  # fmt: skip
        for body in bodies:
            body.set(facecolor=BLUE, edgecolor=BLUE, alpha=0.45)
    quartiles = np.array([np.percentile(a, (25, 50, 75)) for a in spread])
    axis.vlines(places, quartiles[:, 0], quartiles[:, 2], color=BLUE, linewidth=4)
    axis.plot(places, quartiles[:, 1], "o", color="white", markersize=3.5, markeredgecolor=BLUE)
    axis.hlines(
        [quartiles[i, 1] for i in range(len(spread)) if i not in varied],
        [places[i] - 0.35 for i in range(len(spread)) if i not in varied],
        [places[i] + 0.35 for i in range(len(spread)) if i not in varied],
        color=BLUE,
    )  # fmt: skip
    axis.set_xticks(places, list(found))
    axis.set(xlabel="layer", ylabel=ylabel, title=title or "")
    axis.grid(visible=False, axis="x")
    return axis


def histograms(
    samples: Mapping[str, Any],
    *,
    every: int = 1,
    bins: int = 60,
    limits: tuple[float, float] | None = None,
    xlabel: str = "value",
    title: str | None = None,
) -> Any:
    """Draw the density of each layer's numbers in a panel of its own, on one horizontal scale.

    Parameters
    ----------
    samples
        Numbers of any shape, by the layer's name. Infinite and NaN ones are left out.
    every
        Take every so-manieth number.
    bins
        Of each histogram.
    limits
        The horizontal scale; from the least to the largest number of all if not given. What lies
        outside is not drawn, and not counted in the density.
    xlabel
        What the numbers are.
    title
        Above all panels.

    Returns
    -------
    Figure
        With a panel for each layer, titled with its mean and standard deviation.

    Raises
    ------
    OptionError
        If a layer has no finite number, or matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> rng = np.random.default_rng(0)
    >>> drawn = fastnn.plot.histograms({"1": rng.normal(size=99), "2": rng.normal(size=99)})
    >>> len(drawn.axes)
    2
    """
    found = _finite("histograms", samples, every)
    _check.whole("histograms", "bins", bins, 1)
    low, high = limits or (
        min(a.min() for a in found.values()), max(a.max() for a in found.values()),
    )  # fmt: skip
    if not low < high:
        low, high = low - 0.5, high + 0.5
    columns = min(len(found), 5)
    rows = -(-len(found) // columns)
    size = (1.0 + 2.3 * columns, 0.9 + 2.1 * rows)
    drawn, axes = figure(rows, columns, figsize=size, sharex=True, squeeze=False)
    for axis, (name, values) in zip(axes.flat, found.items(), strict=False):
        inside = values[(values >= low) & (values <= high)]
        heights, edges = np.histogram(inside, bins, (low, high), density=bool(inside.size))
        axis.stairs(heights, edges, fill=True, color=BLUE, alpha=0.75)
        axis.set_ylim(bottom=0)
        axis.axvline(values.mean(), color=ORANGE, linewidth=1.2)
        axis.set_title(f"{name}\nmean {values.mean():.2g}, std {values.std():.2g}", fontsize=9)
        axis.set_xlim(low, high)
    for axis in axes.flat[len(found) :]:
        axis.remove()
    drawn.supxlabel(xlabel, fontsize=10)
    drawn.supylabel("density", fontsize=10)
    if title:
        drawn.suptitle(title)
    return drawn
