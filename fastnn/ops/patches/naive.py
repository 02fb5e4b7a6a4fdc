"""Unfold and fold window by window, sums in float64."""

from __future__ import annotations

import numpy as np

from fastnn._check import Array, wide_dtype
from fastnn.ops.conv.naive import inside, padded, windows
from fastnn.ops.patches.spec import UnfoldCall
from fastnn.ops.patches.steps import moves


def _columns(call: UnfoldCall, image: Array, columns: Array) -> None:
    xp = padded(call.conv, image)
    for (n, _, p, q), window in windows(call.conv):
        columns[n, :, p * call.places[1] + q] = xp[window].ravel()


def _image(call: UnfoldCall, columns: Array, image: Array) -> None:
    total = padded(call.conv, np.zeros(call.image, wide_dtype(columns.dtype)))
    for (n, _, p, q), window in windows(call.conv):
        column = columns[n, :, p * call.places[1] + q]
        total[window] += column.reshape(call.image[1], *call.window)
    image[...] = inside(call.conv, total)


unfold_forward, unfold_backward = moves(_columns, _image)
fold_forward, fold_backward = moves(_image, _columns)
