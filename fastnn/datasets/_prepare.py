"""Small steps between a file's arrays and what is trained on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.errors import OptionError, ShapeError
from fastnn.layers.base import RandomSource, generator


def holdout(
    *arrays: Array, fraction: float = 0.25, rng: RandomSource | np.random.RandomState = None
) -> tuple[Array, ...]:
    """Split arrays at random, all in the same way: rows to train on, and a part held out.

    Parameters
    ----------
    *arrays
        Arrays with equally many rows.
    fraction
        The part held out, between 0 and 1; rounded up to whole rows.
    rng
        A NumPy generator, or a seed; fresh entropy if not given. With NumPy's old
        ``RandomState(seed)``, the split is that of scikit-learn's ``train_test_split``.

    Returns
    -------
    tuple
        For each array its rows to train on, then its rows held out.

    Raises
    ------
    OptionError, ShapeError, DtypeError
        If `fraction` is out of range, or the rows are not equally many.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x_train, x_held, y_train, y_held = fastnn.datasets.holdout(
    ...     np.eye(8), np.arange(8), fraction=0.25, rng=0
    ... )
    >>> x_train.shape, y_held.shape
    ((6, 8), (2,))
    """
    if not 0 < _check.real("holdout", "fraction", fraction) < 1:
        raise OptionError(f"holdout: fraction={fraction}; it must be between 0 and 1")
    rows = {len(a) for a in arrays}
    if len(rows) != 1:
        raise ShapeError(
            f"holdout: the arrays have {sorted(rows)} rows; they must have equally many"
        )
    legacy = isinstance(rng, np.random.RandomState)
    source: Any = rng if legacy else generator("holdout", rng)  # type: ignore[arg-type]
    n = rows.pop()
    order = source.permutation(n)
    held = math.ceil(fraction * n)
    parts = (order[held:], order[:held])
    return tuple(np.take(a, part, axis=0) for a in arrays for part in parts)


def standardise(train: Array, *others: Array) -> tuple[Array, ...]:
    """Shift and scale columns so that those of `train` have mean 0 and standard deviation 1.

    The statistics are those of `train` alone, for all arrays. A constant column is only shifted.

    Parameters
    ----------
    train
        (n, ...) float32 or float64.
    *others
        Arrays with the same columns.

    Returns
    -------
    tuple
        All arrays, changed; new ones.

    Raises
    ------
    ShapeError, DtypeError
        If columns differ, or an array is not of such a dtype.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> fastnn.datasets.standardise(np.array([[0.0], [2.0]]), np.array([[3.0]]))
    (array([[-1.],
           [ 1.]]), array([[2.]]))
    """
    arrays = [_check.array("standardise", "x", a) for a in (train, *others)]
    for a in arrays:
        if a.shape[1:] != arrays[0].shape[1:] or not a.ndim or not len(arrays[0]):
            raise ShapeError(
                f"standardise: an array has shape {a.shape} but train {arrays[0].shape}; they must "
                "have the same columns, and train a row"
            )
    mean = arrays[0].mean(axis=0, dtype=np.float64)
    std = arrays[0].std(axis=0, dtype=np.float64)
    std = np.where(std > 0, std, 1.0)
    return tuple(((a - mean) / std).astype(a.dtype) for a in arrays)


def one_hot(labels: Array, classes: int, *, dtype: Any = np.float32) -> Array:
    """A row for each label that is 1 in the label's column and 0 elsewhere.

    Parameters
    ----------
    labels
        (n,) whole numbers from 0 to classes-1.
    classes
        Columns.
    dtype
        Of the result.

    Returns
    -------
    array
        (n, classes).

    Raises
    ------
    ShapeError, DtypeError
        If a label is out of range or not a whole number.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.datasets.one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    classes = _check.whole("one_hot", "classes", classes, 1)
    y = _check.labels("one_hot", "labels", labels)
    _check.ndim("one_hot", "labels", y, "N")
    _check.below("one_hot", "labels", y, classes, "classes={}")
    result = np.zeros((len(y), classes), dtype)
    result[np.arange(len(y)), y] = 1
    return result


def grey_patches(patches: Array, *, low: float = 0.1, high: float = 0.9) -> Array:
    """Grey, centred and squashed patches, as autoencoders with sigmoid outputs take them.

    RGB becomes 0.2126 R + 0.7152 G + 0.0722 B (ITU-R BT.709), each patch loses its mean, values are
    clipped at three standard deviations of all the data, and what then is from -3 to 3 deviations
    is mapped to `low` to `high`.

    Parameters
    ----------
    patches
        (n, 3, H, W), any real dtype.
    low, high
        Where the clipped ends go.

    Returns
    -------
    array
        (n, H*W) float64.

    Raises
    ------
    ShapeError
        If `patches` has another shape.
    OptionError
        If `low` is not below `high`.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> flat = np.full((1, 3, 2, 2), 7)
    >>> fastnn.datasets.grey_patches(flat)
    array([[0.5, 0.5, 0.5, 0.5]])
    """
    x = np.asarray(patches)
    if x.ndim != 4 or x.shape[1] != 3:
        raise ShapeError(f"grey_patches: patches has shape {x.shape}; it must be n 3 H W")
    if not _check.real("grey_patches", "low", low) < _check.real("grey_patches", "high", high):
        raise OptionError(f"grey_patches: low={low}, high={high}; low must be below high")
    weights = np.array([0.2126, 0.7152, 0.0722])
    grey = np.tensordot(x.astype(np.float64), weights, ([1], [0])).reshape(len(x), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    # Rounding leaves 1e-14 in flat patches; it must not be blown up where all of them are flat.
    bound = 3 * grey.std() if grey.std() > 1e-9 else 1.0
    clipped: Array = np.clip(grey, -bound, bound)
    return (clipped + bound) * ((high - low) / (2 * bound)) + low
