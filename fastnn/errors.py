"""The exceptions that fastnn raises on purpose.

Each message is one sentence: *operation: what was given, with its numbers; the rule*.
"""

from __future__ import annotations

__all__ = ["DtypeError", "FastnnError", "OptionError", "ShapeError", "UnsupportedError"]


class FastnnError(Exception):
    """Base of every error that fastnn raises on purpose."""


class ShapeError(FastnnError, ValueError):
    """Array shapes do not fit together, or a size is out of range."""


class DtypeError(FastnnError, TypeError):
    """An array or an option has a type that the operation does not take."""


class OptionError(FastnnError, ValueError):
    """An option, a setting or an environment variable has a value outside its set."""


class UnsupportedError(FastnnError, NotImplementedError):
    """The implementation that was commanded cannot run this call; the text says why."""
