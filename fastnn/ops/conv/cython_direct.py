"""Our matrix product fed with pixels straight from the image, compiled; no columns in memory."""

from __future__ import annotations

import math

from fastnn._ext import _conv
from fastnn.ops.conv.spec import ConvCall
from fastnn.ops.conv.steps import Steps, convolution

STEPS = Steps(_conv.direct_forward, _conv.direct_image, _conv.direct_filters, _conv.bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)


def rank(call: ConvCall) -> float:
    """Time relative to a plain sum at full speed, for y, dx and dw; im2col's is the same.

    Filters are the vector of dw, and a row of y's tile: few leave them empty.
    """
    lanes, filters = 64 // (4 if call.dtype == "float32" else 8), call.w[0] // call.groups
    return (max(2, filters) / filters + 1 + math.ceil(filters / lanes) * lanes / filters) / 3
