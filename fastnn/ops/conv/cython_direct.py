"""Our matrix product fed with pixels straight from the image, compiled; no columns in memory."""

from __future__ import annotations

import math

from fastnn._ext import _conv
from fastnn.ops.conv.spec import ConvCall
from fastnn.ops.conv.steps import Steps, convolution

STEPS = Steps(_conv.direct_forward, _conv.direct_image, _conv.direct_filters, _conv.bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)


_MOST_CELL = 64  # see conv_window_filter.c


def rank(call: ConvCall) -> float:
    """Time relative to a plain sum at full speed, for y, dx and dw; im2col's is the same.

    Filters are a row of y's tile and the vector of dw: few leave them empty. With a stride of one
    dw's vector may be of all their taps.
    """
    lanes, filters = 64 // (4 if call.dtype == "float32" else 8), call.w[0] // call.groups
    vector = filters
    if math.prod(call.stride + call.dilation) == 1 and filters * call.w[2] <= _MOST_CELL:
        taps = filters * math.prod(call.w[2:])
        vector = min(filters, taps, key=lambda n: _rounded(n, lanes))
    return (max(2, filters) / filters + 1 + _rounded(vector, lanes)) / 3


def _rounded(count: int, lanes: int) -> float:
    """Whole vectors of `count` numbers, relative to it."""
    return math.ceil(count / lanes) * lanes / count
