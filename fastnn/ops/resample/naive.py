"""Resampling and padding as their formulas say, one output at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.resample.spec import Array, PadCall, ResampleCall, sources


def _corners(call: ResampleCall, pq: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], float]]:
    """The pixels of x that a position of y is made of, with their weights."""
    found: Any = sources(call)[-len(pq) :]
    pixel = tuple(int(cells[i]) for (cells, _), i in zip(found, pq, strict=True))
    if call.mode == "nearest":
        yield pixel, 1.0
        return
    (h, w), (a, b) = pixel, (weights[i] for (_, weights), i in zip(found, pq, strict=True))
    below, right = min(h + 1, call.x[2] - 1), min(w + 1, call.x[3] - 1)
    yield (h, w), (1 - a) * (1 - b)
    yield (h, right), (1 - a) * b
    yield (below, w), a * (1 - b)
    yield (below, right), a * b


def interpolate_forward(
    call: ResampleCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    x64 = wide(x)
    for n, c, *pq in np.ndindex(*call.out):
        corners = _corners(call, tuple(pq))
        y[n, c, *pq] = sum(weight * x64[n, c, *pixel] for pixel, weight in corners)
    return y, None


def interpolate_backward(
    call: ResampleCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.zeros(call.x, np.float64)
    for n, c, *pq in np.ndindex(*call.out):
        for pixel, weight in _corners(call, tuple(pq)):
            dx[n, c, *pixel] += weight * dy[n, c, *pq]
    return (dx.astype(call.dtype),)


def _pairs(call: PadCall) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Indices of y that come from x, each with its index of x."""
    for o in np.ndindex(*call.out):
        i = [call.source(axis, at) for axis, at in enumerate(o)]
        if None not in i:
            yield o, tuple(at for at in i if at is not None)


def pad_forward(call: PadCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    with np.errstate(over="ignore"):
        y[...] = call.value
    for o, i in _pairs(call):
        y[o] = x[i]
    return y, None


def pad_backward(
    call: PadCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.zeros(call.x, np.float64)
    for o, i in _pairs(call):
        dx[i] += dy[o]
    return (dx.astype(call.dtype),)
