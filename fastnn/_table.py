"""Plain text tables, for commands and summaries."""

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
