"""Our matrix product fed with pixels straight from the image, compiled; no columns in memory."""

from __future__ import annotations

from fastnn._ext import _conv
from fastnn.ops.conv.steps import Steps, convolution

STEPS = Steps(_conv.direct_forward, _conv.direct_image, _conv.direct_filters, _conv.bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)
