"""Direct convolution, jitted: each tap adds a shifted row of x to a row of y.

No column buffer; wins over im2col only where there is no compiler. Inner loops run along output
columns without border tests, so that they become vector code.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.conv.spec import Array, ConvCall
from fastnn.ops.conv.steps import Steps, convolution


@_jit.helper
def inside(size, steps, stride, shift):  # type: ignore[no-untyped-def]
    """Output positions [first, last) of `steps` whose tap, `shift` cells on, is inside `size`."""
    first = 0 if shift >= 0 else min((-shift + stride - 1) // stride, steps)
    last = 0 if size <= shift else min((size - shift + stride - 1) // stride, steps)
    return first, max(first, last)


@_jit.kernel
def forward_kernel(x, w, b, y, stride, start, dilation):  # type: ignore[no-untyped-def]
    """y = conv(x, w) + b for N C H W and K C/groups R S; `start` is minus the leading padding."""
    n_, _, h_, w_ = x.shape
    k_, c_, r_, s_ = w.shape
    p_, q_ = y.shape[2:]
    per_group = k_ // (x.shape[1] // c_)
    for plane in prange(n_ * k_):
        n, k = plane // k_, plane % k_
        out = y[n, k]
        out[:] = b[k]
        for c in range(c_):
            image = x[n, k // per_group * c_ + c]
            for r in range(r_):
                dh = start[0] + r * dilation[0]
                p0, p1 = inside(h_, p_, stride[0], dh)
                for s in range(s_):
                    dw = start[1] + s * dilation[1]
                    q0, q1 = inside(w_, q_, stride[1], dw)
                    tap = w[k, c, r, s]
                    for p in range(p0, p1):
                        row = image[p * stride[0] + dh]
                        if stride[1] == 1:
                            for q in range(q0, q1):
                                out[p, q] += tap * row[q + dw]
                        else:
                            for q in range(q0, q1):
                                out[p, q] += tap * row[q * stride[1] + dw]


@_jit.kernel
def backward_data_kernel(w, dy, b, dx, stride, start, dilation):  # type: ignore[no-untyped-def]
    """dx from w and dy, plus b per channel; a task is one channel of one image."""
    n_, c_all, h_, w_ = dx.shape
    k_, c_, r_, s_ = w.shape
    p_, q_ = dy.shape[2:]
    per_group = k_ // (c_all // c_)
    for plane in prange(n_ * c_all):
        n, channel = plane // c_all, plane % c_all
        group, c = channel // c_, channel % c_
        image = dx[n, channel]
        image[:] = b[channel]
        for k in range(group * per_group, (group + 1) * per_group):
            for r in range(r_):
                dh = start[0] + r * dilation[0]
                p0, p1 = inside(h_, p_, stride[0], dh)
                for s in range(s_):
                    dw = start[1] + s * dilation[1]
                    q0, q1 = inside(w_, q_, stride[1], dw)
                    tap = w[k, c, r, s]
                    for p in range(p0, p1):
                        row, out = dy[n, k, p], image[p * stride[0] + dh]
                        if stride[1] == 1:
                            for q in range(q0, q1):
                                out[q + dw] += tap * row[q]
                        else:
                            for q in range(q0, q1):
                                out[q * stride[1] + dw] += tap * row[q]


@_jit.kernel
def backward_filter_kernel(x, dy, dw, stride, start, dilation):  # type: ignore[no-untyped-def]
    """dw from x and dy; a task is one filter's weights for one channel."""
    n_, _, h_, w_ = x.shape
    k_, c_, r_, s_ = dw.shape
    p_, q_ = dy.shape[2:]
    per_group = k_ // (x.shape[1] // c_)
    for pair in prange(k_ * c_):
        k, c = pair // c_, pair % c_
        channel = k // per_group * c_ + c
        sums = np.empty(q_, dw.dtype)  # one chain per column: the loop over q has no reduction
        for r in range(r_):
            dh = start[0] + r * dilation[0]
            p0, p1 = inside(h_, p_, stride[0], dh)
            for s in range(s_):
                shift = start[1] + s * dilation[1]
                q0, q1 = inside(w_, q_, stride[1], shift)
                total = 0.0
                for n in range(n_):
                    sums[:] = 0
                    for p in range(p0, p1):
                        row, image = dy[n, k, p], x[n, channel, p * stride[0] + dh]
                        if stride[1] == 1:
                            for q in range(q0, q1):
                                sums[q] += row[q] * image[q + shift]
                        else:
                            for q in range(q0, q1):
                                sums[q] += row[q] * image[q * stride[1] + shift]
                    for q in range(q0, q1):
                        total += sums[q]
                dw[k, c, r, s] = total


@_jit.kernel
def backward_bias_kernel(dy, db):  # type: ignore[no-untyped-def]
    """db = dy summed over all but filters, in float64."""
    for k in prange(dy.shape[1]):
        total = 0.0
        for n in range(dy.shape[0]):
            for p in range(dy.shape[2]):
                for q in range(dy.shape[3]):
                    total += dy[n, k, p, q]
        db[k] = total


def _image(a: Array) -> Array:
    """N C L as N C 1 L: the kernels know images only."""
    return a if a.ndim == 4 else a.reshape(*a.shape[:2], 1, a.shape[2])


def geometry(call: ConvCall) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Strides, minus leading padding and dilations as the kernels take them."""
    start = tuple(-before for before, _ in call.padding)
    return (1, *call.stride)[-2:], (0, *start)[-2:], (1, *call.dilation)[-2:]


def _or_zeros(b: Array | None, like: Array, channels: int) -> Array:
    return np.zeros(channels, like.dtype) if b is None else b


def _forward(call: ConvCall, x: Array, w: Array, b: Array | None, y: Array) -> None:
    bias = _or_zeros(b, y, y.shape[1])
    _jit.launch(forward_kernel, _image(x), _image(w), bias, _image(y), *geometry(call))


def _image_gradient(call: ConvCall, w: Array, dy: Array, b: Array | None, dx: Array) -> None:
    bias = _or_zeros(b, dx, dx.shape[1])
    _jit.launch(backward_data_kernel, _image(w), _image(dy), bias, _image(dx), *geometry(call))


def _filters(call: ConvCall, x: Array, dy: Array, dw: Array) -> None:
    _jit.launch(backward_filter_kernel, _image(x), _image(dy), _image(dw), *geometry(call))


def _bias(dy: Array, db: Array) -> None:
    _jit.launch(backward_bias_kernel, _image(dy), db)


STEPS = Steps(_forward, _image_gradient, _filters, _bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)
