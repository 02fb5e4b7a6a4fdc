"""Dropout in one pass over memory, jitted: a task is a block of elements."""

from __future__ import annotations

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.noise.spec import Array, DropoutCall, passes

BLOCK = 4096  # blocks of random bits that a task draws

# All of one type: Numba makes a float of an unsigned and a signed number.
WORD, HALF, FOUR = np.uint64(2**32 - 1), np.uint64(32), np.uint64(4)
FIRST, SECOND = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
LEFT, RIGHT = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@_jit.helper
def philox(block, key):  # type: ignore[no-untyped-def]
    """Philox4x32-10 of block number and key, see naive.py."""
    a, b, c, d = block & WORD, block >> HALF, key[1] & WORD, key[1] >> HALF
    left, right = key[0] & WORD, key[0] >> HALF
    for _ in range(10):
        one, two = a * FIRST, c * SECOND
        a, b, c, d = (two >> HALF) ^ b ^ left, two & WORD, (one >> HALF) ^ d ^ right, one & WORD
        left, right = (left + LEFT) & WORD, (right + RIGHT) & WORD
    return a, b, c, d


@_jit.kernel
def kernel(key, least, scale, x, y):  # type: ignore[no-untyped-def]
    """y = x * scale where the bits are at least `least`, else 0, of flat arrays."""
    blocks = (x.size + 3) // 4
    for task in prange((blocks + BLOCK - 1) // BLOCK):
        for block in range(task * BLOCK, min((task + 1) * BLOCK, blocks)):
            words = philox(np.uint64(block), key)
            for j in range(min(4, x.size - 4 * block)):
                i = 4 * block + j
                y[i] = x[i] * scale if words[j] >= least else 0


def _apply(call: DropoutCall, key: Array | None, x: Array, y: Array) -> Array:
    if key is None:
        np.copyto(y, x)
    else:
        least, scale = np.uint64(call.least), np.dtype(call.dtype).type(call.scale)
        _jit.launch(kernel, key, least, scale, x.reshape(-1), y.reshape(-1))
    return y


forward, backward = passes(_apply)
