"""Winograd's convolution of 3x3 filters, compiled: tiles of results from fewer products.

F(m x m, 3x3) computes m x m results from (m+2)^2 products per channel, in place of 9 m^2. m is 2
for y and dx and 4 for dw, where its sums over tiles are 16 times shorter than over pixels; with
precision "fast" it is 4 throughout.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import _config
from fastnn._ext import _conv
from fastnn.dispatch import Bound
from fastnn.ops.conv.spec import Array, ConvCall

GROWTH = {2: 64 / 9, 4: 97.36}
"""How much larger than a plain sum's the error of y and dx may be, at worst.

With matrices A, B, G of one axis (winograd.h), rounding a product of position i costs eps times
|A[i,o]| * sum|G[i]| * sum|B[i]| where all taps and all cells have magnitude 1, and the plain sum of
three costs eps times 3. Worst over the outputs o that is 8/3 for F(2) and 9.87 for F(4), and the
square in two dimensions. Typical errors are a tenth of it: rounding errors mostly cancel.
"""

GROWTH_DW = {2: 9.0, 4: 78.03}
"""The same of dw: the sum over i of |G[i,o]| * sum|A[i]| * sum|B[i]| over m, squared."""

# Times of the cost model for float32; only their ratio matters, and it is about the same on AVX2
# and AVX-512: multiply-adds of the product, and bytes that a transform reads or writes.
_FLOPS, _BYTES = 250e9, 60e9
_LANES = 64  # bytes of channels that a transform takes at a time


def _side(fast: bool, size: tuple[int, ...]) -> int:
    """m for results of P x Q: 4 where it is allowed and takes fewer products."""
    return min((4, 2) if fast else (2,), key=lambda m: _tiles(m, size) * (m + 2) ** 2)


def _tiles(m: int, size: tuple[int, ...]) -> int:
    return math.prod(-(-n // m) for n in size)


def conv2d_forward(
    call: ConvCall, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    fast = _config.get_precision() == "fast"
    y = np.empty(call.out, call.dtype) if out is None else out
    _conv.winograd_forward(call, _side(fast, call.out[2:]), x, w, b, y)
    return y, (x, w, fast)


def conv2d_backward(
    call: ConvCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w, fast = saved
    dx = dw = db = None
    if "x" in needs:
        dx = np.empty(call.x, call.dtype)
        _conv.winograd_image(call, _side(fast, call.x[2:]), w, dy, None, dx)
    if "w" in needs:
        dw = np.empty(call.w, call.dtype)
        _conv.winograd_filters(call, _side(True, call.out[2:]), x, dy, dw)
    if call.bias and "b" in needs:
        db = np.empty(call.w[0], call.dtype)
        _conv.bias(dy, db)
    return dx, dw, db


def supports(call: ConvCall) -> str | None:
    if call.w[2:] != (3, 3):
        return f"filters of {call.w[2]}x{call.w[3]}, only 3x3"
    if call.stride != (1, 1):
        return f"stride={call.stride}, only 1"
    if call.dilation != (1, 1):
        return f"dilation={call.dilation}, only 1"
    # Transforms of a vector of filters and, twice as long at most, of one tile, in halves.
    needed = 2 * 36 * max(call.x[1], call.w[0]) * 64
    if needed > _config.get_workspace():
        return f"{max(call.x[1], call.w[0])} channels need a workspace of {needed} bytes"
    if _config.get_precision() == "exact":
        return 'precision="exact" turns it off'
    return None


def bounds(call: ConvCall) -> dict[str, Bound]:
    fast = _config.get_precision() == "fast"
    sides = (
        ("y", _side(fast, call.out[2:]), GROWTH),
        ("x", _side(fast, call.x[2:]), GROWTH),
        ("w", _side(True, call.out[2:]), GROWTH_DW),
    )
    # Halves and quarters are exact, thirds and fifteenths, which F(4) has, are not.
    return {name: Bound(growth[m], integers=m == 2) for name, m, growth in sides}


def rank(call: ConvCall) -> float:
    """Time relative to a plain sum at full speed, for y, dx and dw of a single image.

    Neither the batch nor threads are looked at: the sums are added up in another order than the
    other implementations', and a sample must not depend on its batch.
    """
    fast = _config.get_precision() == "fast"
    sides = (
        (_side(fast, call.out[2:]), call.out[2:]),
        (_side(fast, call.x[2:]), call.x[2:]),
        (_side(True, call.out[2:]), call.out[2:]),
    )
    itemsize = np.dtype(call.dtype).itemsize
    lanes = _LANES // itemsize
    channels, filters = call.w[1], call.w[0] // call.groups
    seconds = 0.0
    for m, size in sides:
        products = _tiles(m, size) * (m + 2) ** 2
        padded = -(-channels // lanes) * lanes + -(-filters // lanes) * lanes
        moved = products * padded + (m + 2) ** 2 * channels * filters  # V, M and U
        seconds += products * channels * filters * 2 / _FLOPS + moved * 4 / _BYTES
    plain = 3 * call.flops / call.x[0] / call.groups / _FLOPS
    return seconds / plain
