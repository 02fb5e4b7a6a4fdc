"""Folders that commands write to."""

from __future__ import annotations

from pathlib import Path

from fastnn.errors import OptionError


def folder(path: Path) -> Path:
    """`path` as a folder that exists."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{path} cannot be made a folder: {error.strerror or error}") from error
    return path
