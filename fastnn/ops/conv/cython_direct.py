"""Gradient of the filters without columns; the other steps are those of im2col."""

from __future__ import annotations

from fastnn._ext import _conv
from fastnn.ops.conv.steps import Steps, convolution

STEPS = Steps(_conv.im2col_forward, _conv.im2col_image, _conv.direct_filters, _conv.bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)
