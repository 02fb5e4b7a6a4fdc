"""What names and dtypes a state dict may have, in a file of any format."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.errors import DtypeError, FileError, OptionError

Array = np.ndarray[Any, Any]

LIMIT = 4 << 30
"""Bytes that `load` takes from a file unless told otherwise."""

KINDS = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f4 f8".split())
RULE = "bool, an integer, float32 or float64"


def plain(name: str) -> bool:
    """Whether a name means nothing but itself, to any format and file system."""
    return 0 < len(name) < 1000 and name.isprintable() and not set(name) & set("/\\")


def check_entry(name: str, array: Array) -> None:
    """Raise unless `save` takes the array under the name."""
    if not isinstance(name, str) or not plain(name):
        raise OptionError(
            f"save: name {name!r}; it must be printable text without slash and backslash"
        )
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.str[1:] not in KINDS:
        found = getattr(array, "dtype", type(array).__name__)
        raise DtypeError(f"save: {name} is {found}; it must be an array of {RULE}")


def check_limit(limit: int) -> None:
    """Raise OptionError unless `limit` is a number of bytes."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise OptionError(f"load: limit={limit!r}; it must be a number of bytes")


def check_name(where: str, name: str) -> None:
    """Raise FileError unless an entry's name is one that `save` would have taken."""
    if not plain(name):
        raise FileError(
            f"{where}, entry {name[:200]!r}: it must be an array's name, printable and without "
            "slash and backslash"
        )
