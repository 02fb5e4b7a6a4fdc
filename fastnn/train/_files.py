"""Small text files, whole or not at all."""

from __future__ import annotations

import contextlib
import os


def written_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` under a temporary name and rename it, so that no reader finds half of it."""
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f".fastnn-{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
