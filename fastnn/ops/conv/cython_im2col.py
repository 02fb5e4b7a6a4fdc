"""im2col in bounded chunks and our matrix product, compiled; col2im in a fixed order."""

from __future__ import annotations

from fastnn._ext import _conv
from fastnn.ops.conv.cython_direct import rank as rank
from fastnn.ops.conv.steps import Steps, convolution

STEPS = Steps(_conv.im2col_forward, _conv.im2col_image, _conv.im2col_filters, _conv.bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)
