"""Filters of one channel each, compiled: no columns, no product; as fast as memory allows."""

from __future__ import annotations

import math

from fastnn._ext import _conv
from fastnn.ops.conv.spec import ConvCall
from fastnn.ops.conv.steps import Steps, convolution

STEPS = Steps(_conv.depthwise_forward, _conv.depthwise_image, _conv.depthwise_filters, _conv.bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)

MOST_TAPS, MOST_CELLS = 4096, 65536
"""Bounds on scratch memory: partial sums are kept per tap, and a tile is at least one row."""

_COLUMNS = 512  # of the narrowest tile, see conv_depthwise.c


def supports(call: ConvCall) -> str | None:
    if call.groups != call.x[1]:
        return f"groups={call.groups}, only C={call.x[1]}"
    taps = math.prod(call.w[2:])
    if taps > MOST_TAPS:
        return f"windows of {taps} taps, at most {MOST_TAPS}"
    cells, outputs = 1, [1] * (len(call.stride) - 1) + [_COLUMNS]
    for n, t, s, d in zip(outputs, call.w[2:], call.stride, call.dilation, strict=True):
        reach = d * (t - 1)
        cells *= min(s, reach + 1) * (n + reach // s)
    if cells > MOST_CELLS:
        return f"tiles of {cells} cells for this stride and dilation, at most {MOST_CELLS}"
    return None


def rank(call: ConvCall) -> float:
    # With eight filters per channel im2col's product runs as fast: a row of its tile is a filter.
    return 0.5 if call.w[0] < 8 * call.groups else 1.5
