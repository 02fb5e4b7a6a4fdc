"""Convolution as its formula says, one output pixel at a time, sums in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.conv.spec import Array, ConvCall
from fastnn.ops.conv.steps import Steps, convolution


def windows(call: ConvCall) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """Index of every output pixel (n, k, p, q) with the index of its window in the padded x."""
    c = call.w[1]
    per_group = call.w[0] // call.groups
    for out in np.ndindex(*call.out):
        n, k, *pq = out
        first = (k // per_group) * c
        window = tuple(
            slice(p * s, p * s + d * (r - 1) + 1, d)
            for p, s, d, r in zip(pq, call.stride, call.dilation, call.w[2:], strict=True)
        )
        yield out, (n, slice(first, first + c), *window)


def padded(call: ConvCall, x: Array) -> Array:
    """The image in float64 with its zeros around it."""
    return np.pad(wide(x), ((0, 0), (0, 0), *call.padding))


def inside(call: ConvCall, padded: Array) -> Array:
    """The image inside a padded one."""
    sides = zip(call.padding, call.x[2:], strict=True)
    return padded[:, :, *(slice(before, before + size) for (before, _), size in sides)]


def _forward(call: ConvCall, x: Array, w: Array, b: Array | None, y: Array) -> None:
    xp, w64 = padded(call, x), wide(w)
    for o, window in windows(call):
        y[o] = np.sum(xp[window] * w64[o[1]]) + (0.0 if b is None else b[o[1]])


def _image(call: ConvCall, w: Array, dy: Array, b: Array | None, dx: Array) -> None:
    w64 = wide(w)
    dxp = padded(call, np.zeros(call.x, w64.dtype))
    for c in range(0 if b is None else call.x[1]):
        dxp[:, c] = b[c]  # type: ignore[index]
    for o, window in windows(call):
        dxp[window] += dy[o] * w64[o[1]]
    dx[...] = inside(call, dxp)


def _filters(call: ConvCall, x: Array, dy: Array, dw: Array) -> None:
    xp = padded(call, x)
    total = np.zeros(call.w, xp.dtype)
    for o, window in windows(call):
        total[o[1]] += dy[o] * xp[window]
    dw[...] = total


def _bias(dy: Array, db: Array) -> None:
    db[...] = wide(dy).sum(axis=(0, *range(2, dy.ndim)))


STEPS = Steps(_forward, _image, _filters, _bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)
