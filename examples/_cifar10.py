"""CIFAR-10 as CS231n uses it: the last 1,000 training images are for validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from _example import Example

from fastnn import datasets
from fastnn.errors import FileError

Array = np.ndarray[Any, Any]

HELD = 1000


class Images(NamedTuple):
    """Bytes N 3 32 32 and labels; floats are made batch by batch, a quarter of the memory."""

    x: Array
    y: Array
    x_held: Array
    y_held: Array
    x_test: Array
    y_test: Array
    names: tuple[str, ...]


def load(example: Example, most: int | None = None) -> Images:
    """All images, decoded in some seconds if they are JPEG; for a quick run a subset of `most`."""
    try:
        split = datasets.cifar10(example.data, form="subset" if example.quick else None)
    except FileError:
        if not example.quick:
            raise
        split = datasets.cifar10(example.data)
    x, y = split.x_train, split.y_train
    end = len(x) - HELD
    start = 0 if most is None else max(0, end - most)
    return Images(
        x[start:end], y[start:end], x[end:], y[end:], split.x_test, split.y_test, split.names
    )


class Shifted:
    """Bytes to float32 numbers, ``(x - shift) * scale``; a transform of batches."""

    def __init__(self, shift: Array, scale: Array) -> None:
        self.shift, self.scale = shift.astype(np.float32), scale.astype(np.float32)

    def __call__(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The batch for the model."""
        floats = np.subtract(x, self.shift, dtype=np.float32)
        floats *= self.scale
        return floats, y


def minus_mean_image(images: Images) -> Shifted:
    """Grey levels less the mean image, as in CS231n's second assignment."""
    return Shifted(images.x.mean(axis=0), np.ones(1))


def by_channel(images: Images) -> Shifted:
    """Colours with mean 0 and standard deviation 1."""
    some = images.x[:: max(1, len(images.x) // 5000)].astype(np.float64)
    axes = (0, 2, 3)
    return Shifted(some.mean(axis=axes)[:, None, None], 1 / some.std(axis=axes)[:, None, None])


def batches(
    images: Images,
    size: int,
    prepare: Callable[..., Any],
    rng: np.random.Generator,
) -> datasets.Batches:
    """Training batches, in a new order each epoch."""
    return datasets.Batches((images.x, images.y), size, shuffle=True, rng=rng, transform=prepare)
