"""Sums of rows in float64 for the jitted normalisations."""

from __future__ import annotations

from fastnn import _jit

LANES = 16  # sums side by side, for a single one would add one number at a time


@_jit.helper
def product_sum(a, a_shift, b, b_shift, lanes):  # type: ignore[no-untyped-def]
    """Sum of (a - a_shift) * (b - b_shift) over a row, in float64."""
    whole = a.size // LANES * LANES
    lanes[:] = 0
    for i in range(0, whole, LANES):
        for j in range(LANES):
            lanes[j] += (a[i + j] - a_shift) * (b[i + j] - b_shift)
    total = 0.0
    for j in range(LANES):
        total += lanes[j]
    for i in range(whole, a.size):
        total += (a[i] - a_shift) * (b[i] - b_shift)
    return total


@_jit.helper
def plain_sum(a, lanes):  # type: ignore[no-untyped-def]
    """Sum of a row in float64."""
    whole = a.size // LANES * LANES
    lanes[:] = 0
    for i in range(0, whole, LANES):
        for j in range(LANES):
            lanes[j] += a[i + j]
    total = 0.0
    for j in range(LANES):
        total += lanes[j]
    for i in range(whole, a.size):
        total += a[i]
    return total
