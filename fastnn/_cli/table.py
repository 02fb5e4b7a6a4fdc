"""Plain text tables and the few ways in which commands write numbers."""

from __future__ import annotations

from collections.abc import Sequence


def render(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> str:
    """A table with aligned columns.

    Parameters
    ----------
    header
        Names of the columns.
    rows
        One text per column each.
    right
        One letter per column, ``r`` to align it on the right; columns beyond are on the left.
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    aligns = [">" if letter == "r" else "<" for letter in right.ljust(len(widths))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            f"{cell:{align}{width}}"
            for cell, align, width in zip(line, aligns, widths, strict=True)
        ).rstrip()
        for line in lines
    )


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
