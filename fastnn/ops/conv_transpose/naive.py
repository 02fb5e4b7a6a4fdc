"""Transposed convolution as the formula of a convolution read backwards, sums in float64."""

from __future__ import annotations

from fastnn.ops.conv import naive as conv
from fastnn.ops.conv.steps import transposed

conv_transpose1d_forward, conv_transpose1d_backward = transposed(conv.STEPS)
conv_transpose2d_forward, conv_transpose2d_backward = transposed(conv.STEPS)
