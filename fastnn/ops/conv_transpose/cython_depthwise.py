"""Transposed convolution of one channel per filter, compiled."""

from __future__ import annotations

from fastnn.ops.conv import cython_depthwise as conv
from fastnn.ops.conv.steps import transposed
from fastnn.ops.conv_transpose.spec import ConvTransposeCall

conv_transpose1d_forward, conv_transpose1d_backward = transposed(conv.STEPS)
conv_transpose2d_forward, conv_transpose2d_backward = transposed(conv.STEPS)


def supports(call: ConvTransposeCall) -> str | None:
    return conv.supports(call.conv)


def rank(call: ConvTransposeCall) -> float:
    return conv.rank(call.conv)
