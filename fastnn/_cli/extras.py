"""Optional packages that commands use, and one sentence when one is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from fastnn import _extras

T = TypeVar("T")


def need(module: str, distribution: str, command: str) -> Any:
    """Import `module`, or say which package `command` lacks and how to install it."""
    return _extras.need(command, module, distribution, command)


def progress(items: Iterable[T], text: str, total: int | None = None) -> Iterable[T]:
    """`items` under a progress bar, if tqdm is there and standard error is a terminal."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    bar: Iterable[T] = tqdm(
        items, desc=text, total=total, leave=False, dynamic_ncols=True, disable=None
    )
    return bar
