"""Arrays as images: weights, pictures beside each other, counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.errors import ShapeError
from fastnn.plot._figure import ORANGE, axes_or_new

Array = np.ndarray[Any, Any]


def tiles(
    images: Array,
    *,
    shape: tuple[int, int] | None = None,
    columns: int | None = None,
    captions: Sequence[str] = (),
    each: bool = False,
    signed: bool = False,
    label: str | None = None,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw images in a grid on one of the axes.

    Parameters
    ----------
    images
        n H W or n 1 H W for one scale of grey, n 3 H W for RGB, or n D with `shape`.
    shape
        H and W of rows that are images.
    columns
        Images in a row; as many as make the grid about twice as wide as high if not given.
    captions
        What is written below each image.
    each
        Whether every image has a scale of its own, from its least to its largest number; without
        it all share one. RGB is shown as it is where it is bytes or from 0 to 1.
    signed
        Whether 0 is white, positive numbers red and negative ones blue; for weights.
    label
        What a bar beside the images says of their numbers; no bar if not given.
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
        If `images` has another shape, or is empty.
    OptionError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> axes = fastnn.plot.tiles(np.zeros((6, 8, 8)), columns=3, title="six images")
    """
    stack = _stacked(images, shape)
    n, high, wide = stack.shape[:3]
    if columns is None:
        most = min(n, max(1, math.ceil(math.sqrt(2 * n * high / wide))))
        full = [c for c in range(most, most // 2, -1) if n % c == 0]
        columns = full[0] if full else most
    columns = _check.whole("tiles", "columns", columns, 1)
    rows = -(-n // columns)
    low, top = _range(stack, signed)
    if each:
        stack, low, top = _each(stack, signed), -1.0 if signed else 0.0, 1.0
    elif stack.ndim == 4 and (low < 0 or top > 1):
        stack = (stack - low) / max(top - low, 1e-300)
    gap = max(1, round(0.06 * max(high, wide)))
    below = round(0.28 * high) if captions else 0
    step_y, step_x = high + gap + below, wide + gap
    canvas = np.full((rows * step_y - gap, columns * step_x - gap, *stack.shape[3:]), np.nan)
    for index, image in enumerate(stack):
        y, x = index // columns * step_y, index % columns * step_x
        canvas[y : y + high, x : x + wide] = image
    axis = axes_or_new(ax, _size(canvas.shape[0], canvas.shape[1], label))
    colours = "RdBu_r" if signed else "gray"
    if stack.ndim == 4:
        alpha = ~np.isnan(canvas).any(axis=2)
        canvas = np.dstack([np.nan_to_num(canvas), alpha])
    drawn = axis.imshow(canvas, cmap=colours, vmin=low, vmax=top, interpolation="nearest")
    axis.axis("off")
    for index, text in enumerate(captions[:n]):
        y, x = index // columns * step_y, index % columns * step_x
        axis.text(x + wide / 2, y + high + 0.5 * below, text, ha="center", va="center", fontsize=8)
    axis.set_title(title or "")
    if label is not None:
        axis.figure.colorbar(drawn, ax=axis, label=label, shrink=0.9, aspect=24, pad=0.02)
    return axis


def _stacked(images: Array, shape: tuple[int, int] | None) -> Array:
    """Images as n H W, or as n H W 3 from 0 to 1 where bytes or n 3 H W are given."""
    stack = np.asarray(images)
    if shape is not None and stack.ndim == 2 and stack.shape[1] == math.prod(shape):
        stack = stack.reshape(-1, *shape)
    if stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]
    if stack.ndim not in (3, 4) or (stack.ndim == 4 and stack.shape[1] != 3) or not stack.size:
        raise ShapeError(
            f"tiles: images has shape {np.shape(images)}, shape={shape}; it must be n H W, "
            "n 1 H W, n 3 H W, or n H*W with shape=(H, W), and not empty"
        )
    coloured = stack.ndim == 4
    scaled = stack / 255 if coloured and stack.dtype == np.uint8 else stack.astype(np.float64)
    return scaled.transpose(0, 2, 3, 1) if coloured else scaled


def _range(stack: Array, signed: bool) -> tuple[float, float]:
    finite = stack[np.isfinite(stack)]
    low, top = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if signed:
        top = max(abs(low), abs(top))
        low = -top
    return (low, top) if low < top else (low - 0.5, top + 0.5)


def _each(stack: Array, signed: bool) -> Array:
    """Every image on a scale of its own: 0 to 1, or -1 to 1 with 0 kept."""
    axes = tuple(range(1, stack.ndim))
    low, top = stack.min(axis=axes, keepdims=True), stack.max(axis=axes, keepdims=True)
    if signed:
        limit = np.maximum(abs(low), abs(top))
        return np.asarray(stack / np.where(limit > 0, limit, 1))
    return np.asarray((stack - low) / np.where(top > low, top - low, 1))


def _size(high: int, wide: int, label: str | None) -> tuple[float, float]:
    """Inches for a canvas: 8 wide at most, its own proportions, room for title and bar.

    A narrower picture has no room for its title beside the bar.
    """
    width = min(8.0, max(5.4, wide / 24))
    height = min(10.0, max(1.0, width * high / wide)) + 0.45
    return width + (0.9 if label is not None else 0.0), height


def filters(
    weights: Array,
    *,
    shape: tuple[int, int] | None = None,
    columns: int | None = None,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the filters of a first layer, or the weights of hidden units, as tiles.

    Parameters
    ----------
    weights
        K 3 R S, each filter as RGB on a scale of its own; K 1 R S or, with `shape`, units D on one
        scale around 0; K C R S of other C as C tiles for each filter, one filter a row.
    shape
        H and W of the rows of a matrix of weights.
    columns
        Tiles in a row.
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
        If `weights` has another shape, or is empty.
    OptionError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> axes = fastnn.plot.filters(np.random.default_rng(0).normal(size=(8, 3, 5, 5)))
    """
    w = np.asarray(weights)
    if w.ndim == 4 and w.shape[1] == 3:
        return tiles(w, columns=columns, each=True, title=title, ax=ax)
    if w.ndim == 4 and w.shape[1] > 1:
        columns = w.shape[1] if columns is None else columns
        w = w.reshape(-1, *w.shape[2:])
    return tiles(w, shape=shape, columns=columns, signed=True, label="weight", title=title, ax=ax)


def reconstructions(
    originals: Array,
    outputs: Array | Mapping[str, Array],
    *,
    shape: tuple[int, int] | None = None,
    count: int = 10,
    names: tuple[str, str] = ("original", "output"),
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw images, and below each what came out of an autoencoder, on one scale.

    Parameters
    ----------
    originals, outputs
        Images as `tiles` takes them, equally many; for several autoencoders, the outputs of each by
        its name.
    shape
        H and W of rows that are images.
    count
        Pairs to draw, the first ones.
    names
        What is written beside the two rows; the second where the outputs have no names.
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
        If the shapes differ or are none that `tiles` takes.
    OptionError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.random.default_rng(0).uniform(size=(4, 64))
    >>> axes = fastnn.plot.reconstructions(x, x * 0.9, shape=(8, 8))
    """
    named = outputs if isinstance(outputs, Mapping) else {names[1]: outputs}
    first, *others = (np.asarray(images) for images in (originals, *named.values()))
    for name, second in zip(named, others, strict=True):
        if first.shape != second.shape:
            which = f"outputs of {name}" if named is outputs else "outputs"
            raise ShapeError(
                f"reconstructions: originals has shape {first.shape} but {which} {second.shape}; "
                "they must be the same"
            )
    n = min(_check.whole("reconstructions", "count", count, 1), len(first))
    rows = np.concatenate([images[:n] for images in (first, *others)])
    axis = tiles(rows, shape=shape, columns=n, title=title, ax=ax)
    low, high = axis.get_ylim()
    for row, name in enumerate((names[0], *named)):
        y = high + (low - high) * (row + 0.5) / (len(named) + 1)
        axis.text(-0.01, y, name, transform=axis.get_yaxis_transform(), ha="right", va="center")
    return axis


def confusion_matrix(
    counts: Array,
    *,
    names: Sequence[str] = (),
    normalise: bool = False,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw how often which class was taken for which.

    Parameters
    ----------
    counts
        K K whole numbers: the row is the true class, the column the predicted one.
    names
        Of the classes; their numbers if not given.
    normalise
        Whether to write parts of a row in percent in place of counts.
    title
        Above the picture; the accuracy if not given.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        What was drawn on.

    Raises
    ------
    ShapeError
        If `counts` is not square, or there are not as many names.
    OptionError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> axes = fastnn.plot.confusion_matrix(np.array([[8, 2], [1, 9]]), names=("cat", "dog"))
    >>> axes.get_title()
    '85.0% of 20 right'
    """
    table = np.asarray(counts)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise ShapeError(f"confusion_matrix: counts has shape {table.shape}; it must be K K")
    k = len(table)
    texts = [str(name) for name in names] or [str(i) for i in range(k)]
    if len(texts) != k:
        raise ShapeError(f"confusion_matrix: {len(texts)} names for {k} classes; there must be {k}")
    rows = np.maximum(table.sum(axis=1, keepdims=True), 1)
    part = table / rows
    side = 2.6 + 0.42 * k
    axis = axes_or_new(ax, (side + 0.4, side))
    axis.imshow(np.where(table > 0, part, np.nan), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        if count:
            percent = 100 * part[row, column]
            shown = f"{percent:.0f}" if percent >= 0.5 else "<1"
            text = shown if normalise else f"{count:,}"
            dark = part[row, column] > 0.5
            wrong = ORANGE if row != column else "black"
            axis.text(column, row, text, ha="center", va="center", fontsize=8 if k > 6 else 9,
                      color="white" if dark else wrong)  # fmt: skip
    axis.set_xticks(range(k), texts)
    axis.set_yticks(range(k), texts)
    if max(map(len, texts)) > 3:
        axis.tick_params(axis="x", rotation=45)
        for tick in axis.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
    axis.set(xlabel="predicted", ylabel="true" + (" (% of the row)" if normalise else ""))
    axis.grid(visible=False)
    right, total = int(np.trace(table)), int(table.sum())
    if title is None:
        title = f"{100 * right / max(total, 1):.1f}% of {total:,} right"
    axis.set_title(title)
    return axis
