"""The exceptions that fastnn raises on purpose.

Each message is one sentence: *operation: what was given, with its numbers; the rule*.
"""

from __future__ import annotations

__all__ = [
    "DtypeError",
    "FastnnError",
    "FileError",
    "OptionError",
    "ShapeError",
    "StateError",
    "UnsupportedError",
]


class FastnnError(Exception):
    """Base of every error that fastnn raises on purpose."""

    def __init__(self, *args: object) -> None:
        # An array among the numbers given has a repr of many lines; the sentence stays one line.
        super().__init__(*(" ".join(a.split()) if isinstance(a, str) else a for a in args))


class ShapeError(FastnnError, ValueError):
    """Array shapes do not fit together, or a size is out of range."""


class DtypeError(FastnnError, TypeError):
    """An array or an option has a type that the operation does not take."""


class OptionError(FastnnError, ValueError):
    """An option, a setting or an environment variable has a value outside its set."""


class UnsupportedError(FastnnError, NotImplementedError):
    """The implementation that was commanded cannot run this call; the text says why."""


class StateError(FastnnError, RuntimeError):
    """A call came out of turn, or a state dict has other names than the object it is for."""


class FileError(FastnnError, OSError):
    """A file does not hold what it must; the text names file, entry and rule."""
