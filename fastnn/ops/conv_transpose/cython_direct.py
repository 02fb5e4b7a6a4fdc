"""Transposed convolution as the image gradient of the direct one, compiled."""

from __future__ import annotations

from fastnn.ops.conv import cython_direct as conv
from fastnn.ops.conv.steps import transposed

conv_transpose1d_forward, conv_transpose1d_backward = transposed(conv.STEPS)
conv_transpose2d_forward, conv_transpose2d_backward = transposed(conv.STEPS)
