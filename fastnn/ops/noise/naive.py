"""Dropout as its formula says, one element at a time, in float64."""

from __future__ import annotations

import numpy as np

from fastnn._check import wide
from fastnn.ops.noise.spec import Array, DropoutCall, passes

WORD = 2**32 - 1


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10: four words of random bits from a counter of four words and a key of two.

    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
    3" (SC 2011), section 3.3.
    """
    a, b, c, d = counter
    left, right = key
    for _ in range(10):
        one, two = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = two >> 32 ^ b ^ left, two & WORD, one >> 32 ^ d ^ right, one & WORD
        left, right = left + 0x9E3779B9 & WORD, right + 0xBB67AE85 & WORD
    return a, b, c, d


def bits(key: Array, i: int) -> int:
    """The 32 random bits of element i: word i % 4 of block i // 4."""
    first, second = int(key[0]), int(key[1])
    counter = (i // 4 & WORD, i // 4 >> 32, second & WORD, second >> 32)
    return philox(counter, (first & WORD, first >> 32))[i % 4]


def _apply(call: DropoutCall, key: Array | None, x: Array, y: Array) -> Array:
    for i, place in enumerate(np.ndindex(*call.x)):
        if key is None:
            y[place] = x[place]
        else:
            y[place] = wide(x[place]) * call.scale if bits(key, i) >= call.least else 0
    return y


forward, backward = passes(_apply)
