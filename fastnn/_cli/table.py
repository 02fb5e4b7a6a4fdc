"""Plain text tables and the few ways in which commands write numbers."""

from __future__ import annotations

from fastnn._table import render as render


def seconds(value: float) -> str:
    """A duration with three digits and a fitting unit."""
    value = float(f"{value:.3g}")  # first, so that 999.9 us becomes 1 ms
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{float(f'{value / size:.3g}'):,g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def factor(value: float) -> str:
    """A ratio with three digits at most, "3.4x" or "11,000x"."""
    rounded = float(f"{value:.2g}" if value < 100 else f"{value:.3g}")
    return f"{rounded:,.0f}x" if rounded >= 10 else f"{rounded:g}x"
