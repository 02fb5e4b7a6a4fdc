"""Unfold and fold, jitted: a task is one channel of one image."""

from __future__ import annotations

from numba import prange

from fastnn import _jit
from fastnn._check import Array
from fastnn.ops.conv.numba_direct import geometry, inside
from fastnn.ops.patches.spec import UnfoldCall
from fastnn.ops.patches.steps import moves


@_jit.kernel
def unfold_kernel(image, columns, stride, start, dilation):  # type: ignore[no-untyped-def]
    """Columns N C R S P Q of images N C H W; `start` is minus the leading padding."""
    n_, c_, h_, w_ = image.shape
    _, _, r_, s_, p_, q_ = columns.shape
    for plane in prange(n_ * c_):
        n, c = plane // c_, plane % c_
        columns[n, c] = 0
        for r in range(r_):
            dh = start[0] + r * dilation[0]
            p0, p1 = inside(h_, p_, stride[0], dh)
            for s in range(s_):
                dw = start[1] + s * dilation[1]
                q0, q1 = inside(w_, q_, stride[1], dw)
                for p in range(p0, p1):
                    row, out = image[n, c, p * stride[0] + dh], columns[n, c, r, s, p]
                    for q in range(q0, q1):
                        out[q] = row[q * stride[1] + dw]


@_jit.kernel
def fold_kernel(columns, image, stride, start, dilation):  # type: ignore[no-untyped-def]
    """The reverse: images as sums of columns."""
    n_, c_, h_, w_ = image.shape
    _, _, r_, s_, p_, q_ = columns.shape
    for plane in prange(n_ * c_):
        n, c = plane // c_, plane % c_
        image[n, c] = 0
        for r in range(r_):
            dh = start[0] + r * dilation[0]
            p0, p1 = inside(h_, p_, stride[0], dh)
            for s in range(s_):
                dw = start[1] + s * dilation[1]
                q0, q1 = inside(w_, q_, stride[1], dw)
                for p in range(p0, p1):
                    row, out = columns[n, c, r, s, p], image[n, c, p * stride[0] + dh]
                    for q in range(q0, q1):
                        out[q * stride[1] + dw] += row[q]


def _six(call: UnfoldCall, columns: Array) -> Array:
    return columns.reshape(*call.image[:2], *call.window, *call.places)


def _columns(call: UnfoldCall, image: Array, columns: Array) -> None:
    _jit.launch(unfold_kernel, image, _six(call, columns), *geometry(call.conv))


def _image(call: UnfoldCall, columns: Array, image: Array) -> None:
    _jit.launch(fold_kernel, _six(call, columns), image, *geometry(call.conv))


unfold_forward, unfold_backward = moves(_columns, _image)
fold_forward, fold_backward = moves(_image, _columns)
