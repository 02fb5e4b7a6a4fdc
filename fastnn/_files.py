"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from fastnn.errors import FileError


@contextlib.contextmanager
def replacing(what: str, path: str | os.PathLike[str], suffix: str = ".tmp") -> Iterator[str]:
    """A temporary name in the folder of `path` that takes its place when the block ends.

    What was written is brought to the disk before it is renamed, so whatever happens, a file that
    was there stays whole until the new one is. It keeps its permissions; a link stays a link, the
    file behind it is replaced. After an error the temporary file is gone; after a kill or a power
    cut a ``.fastnn-*`` may be left.
    """
    target = os.path.realpath(path)
    mode = _mode(what, target)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".fastnn-{os.urandom(8).hex()}{suffix}")
    try:
        yield temporary
        _sync(temporary)
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    with contextlib.suppress(OSError):  # the new name too, where a folder can be opened
        _sync(folder)


def write_text(what: str, path: str | os.PathLike[str], text: str) -> None:
    """Write a small text file, whole or not at all."""
    with (
        replacing(what, path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(text)


def _mode(what: str, target: str) -> int | None:
    """The permissions of the file at `target`, None if there is none."""
    try:
        found = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        raise FileError(f"{what}: {target} is a folder or a device; it must be a file or new")
    return stat.S_IMODE(found)


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_readable(where: str, path: str | os.PathLike[str], limit: int) -> int:
    """The size of the file at `path`, which is a file, can be opened and has at most `limit`."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise FileError(f"{where} is a folder or a device; it must be a file")
    check_size(where, "the file has", found.st_size, limit)
    with open(path, "rb"):
        return found.st_size


def check_size(where: str, what: str, size: int, limit: int) -> None:
    """Raise FileError if `size` is over `limit`."""
    if size > limit:
        raise FileError(f"{where}: {what} {size} bytes; limit={limit} is the most")
