"""What a classifier says of every point of a plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.errors import ShapeError
from fastnn.plot._figure import COLOURS, axes_or_new

Array = np.ndarray[Any, Any]


def decision_regions(
    predict: Callable[[Array], Array],
    x: Array,
    y: Array,
    *,
    names: Sequence[str] = (),
    resolution: int = 200,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the regions where a classifier says which class, with the data on it.

    Parameters
    ----------
    predict
        Takes points (m, 2) of the dtype of `x` and gives scores (m, K), of which the largest wins,
        or classes (m,). Where scores are probabilities, rows that add up to 1, the colour is the
        paler the less sure the classifier is.
    x, y
        Points (n, 2), and their classes (n,) as whole numbers from 0.
    names
        Of the classes; their numbers if not given.
    resolution
        Points along each axis at which `predict` is asked, all in one call.
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
    ShapeError, DtypeError
        If arrays have other shapes or dtypes.
    OptionError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x, y = fastnn.datasets.blobs(30, 2, rng=0)
    >>> axes = fastnn.plot.decision_regions(lambda p: (p[:, 1] < 0).astype(int), x, y)
    """
    points = np.asarray(x)
    labels = _check.labels("decision_regions", "y", y)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ShapeError(
            f"decision_regions: x has shape {points.shape} and y {labels.shape}; they must "
            "be n 2, n"
        )
    steps = _check.whole("decision_regions", "resolution", resolution, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-12)
    low, high = low - margin, high + margin
    across, up = (np.linspace(low[i], high[i], steps) for i in range(2))
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2).astype(points.dtype)
    scores = np.asarray(predict(grid))
    if scores.ndim not in (1, 2) or len(scores) != len(grid):
        raise ShapeError(
            f"decision_regions: predict gave shape {scores.shape} for {len(grid)} points; it must "
            "be m K or m"
        )
    axis = axes_or_new(ax, (4.8, 4.2))
    image = _colours(scores).reshape(steps, steps, 4)
    axis.imshow(
        image, origin="lower", extent=(low[0], high[0], low[1], high[1]), aspect="auto",
        interpolation="bilinear",
    )  # fmt: skip
    for label in np.unique(labels):
        name = names[label] if label < len(names) else f"class {label}"
        axis.plot(
            *points[labels == label].T, "o", color=COLOURS[label % len(COLOURS)], markersize=4,
            markeredgecolor="white", markeredgewidth=0.5, label=name,
        )  # fmt: skip
    axis.set(xlabel="$x_1$", ylabel="$x_2$", title=title or "")
    axis.grid(visible=False)
    axis.legend(frameon=True, framealpha=0.85, fontsize=8, handletextpad=0.2)
    return axis


def _colours(scores: Array) -> Array:
    """RGBA of every point: the winner's colour, as strong as its lead."""
    from matplotlib.colors import to_rgba  # there, for axes were made

    winner = scores if scores.ndim == 1 else scores.argmax(axis=1)
    palette = np.array([to_rgba(c) for c in COLOURS])
    image = palette[winner.astype(np.int64) % len(COLOURS)]
    strength = np.full(len(winner), 0.35)
    if scores.ndim == 2 and scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        first, second = np.sort(scores, axis=1)[:, -1], np.sort(scores, axis=1)[:, -2:].min(axis=1)
        strength = 0.05 + 0.45 * (first - second)
    image[:, 3] = strength
    return image
