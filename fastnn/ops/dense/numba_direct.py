"""Linear layers, jitted: a task is a tile of the product, the vector runs along its columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.dense.spec import Array, LinearCall

COLUMNS = 128  # of a tile: its sums stay in the first cache level


@_jit.kernel
def product_kernel(a, b, bias, c):  # type: ignore[no-untyped-def]
    """c[m,n] = sum of a[m,k] b[k,n], plus bias[n]; four rows of c at a time share a row of b."""
    m_, n_ = c.shape
    across = (n_ + COLUMNS - 1) // COLUMNS
    for task in prange((m_ + 3) // 4 * across):
        m0, n0 = task // across * 4, task % across * COLUMNS
        rows, size = min(4, m_ - m0), min(COLUMNS, n_ - n0)
        # Rows beyond the last repeat it: one loop serves all tiles, with the same bits.
        m1, m2, m3 = m0 + min(1, rows - 1), m0 + min(2, rows - 1), m0 + rows - 1
        sums = np.zeros((4, size), c.dtype)
        s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
        for k in range(a.shape[1]):
            a0, a1, a2, a3 = a[m0, k], a[m1, k], a[m2, k], a[m3, k]
            row = b[k, n0 : n0 + size]
            for n in range(size):
                s0[n] += a0 * row[n]
                s1[n] += a1 * row[n]
                s2[n] += a2 * row[n]
                s3[n] += a3 * row[n]
        for m in range(rows):
            for n in range(size):
                c[m0 + m, n0 + n] = sums[m, n] + bias[n0 + n]


@_jit.kernel
def column_sums_kernel(a, total):  # type: ignore[no-untyped-def]
    """total[n] = sum of a[:, n] in float64."""
    m_, n_ = a.shape
    for block in prange((n_ + COLUMNS - 1) // COLUMNS):
        n0 = block * COLUMNS
        size = min(COLUMNS, n_ - n0)
        sums = np.zeros(size)
        for m in range(m_):
            row = a[m, n0 : n0 + size]
            for n in range(size):
                sums[n] += row[n]
        for n in range(size):
            total[n0 + n] = sums[n]


def linear_forward(
    call: LinearCall, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _product(x.reshape(-1, call.w[1]), w.T, b, y.reshape(-1, call.w[0]))
    return y, (x, w)


def linear_backward(
    call: LinearCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w = saved
    dy = dy.reshape(-1, call.w[0])
    dx = np.empty(call.x, call.dtype) if "x" in needs else None
    dw = np.empty(call.w, call.dtype) if "w" in needs else None
    db = np.empty(call.w[0], call.dtype) if call.bias and "b" in needs else None
    if dx is not None:
        _product(dy, w, None, dx.reshape(-1, call.w[1]))
    if dw is not None:
        _product(dy.T, x.reshape(-1, call.w[1]), None, dw)
    if db is not None:
        _jit.launch(column_sums_kernel, dy, db)
    return dx, dw, db


def _product(a: Array, b: Array, bias: Array | None, c: Array) -> None:
    """c = a b + bias; transposed operands are copied, for one kernel and for its speed."""
    bias = np.zeros(c.shape[1], c.dtype) if bias is None else bias
    _jit.launch(product_kernel, np.ascontiguousarray(a), np.ascontiguousarray(b), bias, c)
