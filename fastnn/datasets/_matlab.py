"""The numeric arrays of a MATLAB file of version 5 to 7.2.

Our own, because SciPy's reader ends the process on some damaged files (seen in 1.17: a changed tag
makes it read out of bounds). A file is 128 bytes of text, version and byte order, then elements:
type, size and data, padded to 8 bytes. Those of type 15 hold another one, packed by zlib.
"""

from __future__ import annotations

import math
import os
import zlib
from typing import IO, Any, NamedTuple

import numpy as np

from fastnn._files import check_size
from fastnn.errors import FileError

Array = np.ndarray[Any, Any]

_MATRIX, _PACKED = 14, 15
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8",
            15: "u8"}  # fmt: skip
_LOGICAL, _COMPLEX = 2, 8


class _Element(NamedTuple):
    kind: int
    data: bytes
    end: int  # where the next one begins


def read(where: str, file: IO[bytes], limit: int) -> dict[str, Array]:
    """The numeric arrays by name; text, cells, structures, objects and sparse ones are left out."""
    order = {b"IM": "<", b"MI": ">"}.get(file.read(128)[126:])
    if order is None:
        raise FileError(
            f"{where} begins with no header; it must be a MATLAB file of version 5 to 7"
        )
    found: dict[str, Array] = {}
    total = 0
    while tag := file.read(8):
        kind, size = _tag(where, tag, order)
        left = os.fstat(file.fileno()).st_size - file.tell()
        if size > left:
            raise FileError(f"{where} has an element of {size} bytes and {left} left; it must fit")
        data = file.read(size)
        if kind == _PACKED:
            data = _unpacked(where, data, limit - total)
            total += len(data)
            kind, size = _tag(where, data[:8], order)
            data = data[8 : 8 + size]
        if kind == _MATRIX:
            named = _matrix(where, data, order, limit - total)
            if named is not None:
                found[named[0]] = named[1]
                total += named[1].nbytes
    return found


def _tag(where: str, tag: bytes, order: str) -> tuple[int, int]:
    if len(tag) < 8:
        raise FileError(f"{where} ends inside a tag; it must be whole")
    kind, size = np.frombuffer(tag, f"{order}u4")
    return int(kind), int(size)


def _unpacked(where: str, data: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, max(limit, 0) + 1)
    except zlib.error as err:
        raise FileError(f"{where}: {err}; it must be a whole MATLAB file") from err
    check_size(where, "it unpacks to at least", len(found), limit)
    if not stream.eof:
        raise FileError(f"{where} has a packed array that is cut off; it must be whole")
    return found


def _element(where: str, data: bytes, at: int, order: str) -> _Element:
    """The element of a matrix that begins at `at`; four bytes and less lie in the tag itself."""
    first, size = _tag(where, data[at : at + 8], order)
    start = at + 8
    if first >> 16:
        first, size, start = first & 0xFFFF, first >> 16, at + 4
    if size > (4 if start == at + 4 else len(data) - start):
        raise FileError(f"{where} has an element of {size} bytes at {at}; it must fit in its array")
    return _Element(
        first, data[start : start + size], at + 8 if start < at + 8 else start - -size // 8 * 8
    )


def _matrix(where: str, data: bytes, order: str, limit: int) -> tuple[str, Array] | None:
    """Name and numbers of a matrix, None if it is of another kind."""
    flags = _element(where, data, 0, order)
    sizes = _element(where, data, flags.end, order)
    name = _element(where, data, sizes.end, order)
    if len(flags.data) != 8 or sizes.kind != 5 or len(sizes.data) % 4 or len(sizes.data) > 128:
        raise FileError(f"{where} has an array with a damaged head; it must be whole")
    word = int(np.frombuffer(flags.data, f"{order}u4")[0])
    if word & 0xFF not in _CLASSES:
        return None
    text = name.data.decode("latin-1")
    shape = tuple(int(n) for n in np.frombuffer(sizes.data, f"{order}i4"))
    if word >> 8 & _COMPLEX or min(shape, default=-1) < 0 or len(shape) < 2:
        raise FileError(f"{where}, {text[:99]!r} has shape {shape} or is complex; it must be real")
    dtype = np.dtype(_CLASSES[word & 0xFF])
    check_size(f"{where}, {text[:99]!r}", "it declares", math.prod(shape) * dtype.itemsize, limit)
    numbers = _element(where, data, name.end, order)
    stored = np.dtype(f"{order}{_STORED.get(numbers.kind, 'V1')}")
    if stored.kind == "V" or len(numbers.data) != math.prod(shape) * stored.itemsize:
        raise FileError(
            f"{where}, {text[:99]!r} has shape {shape} and {len(numbers.data)} bytes of type "
            f"{numbers.kind}; they must fit"
        )
    array = np.frombuffer(numbers.data, stored).reshape(shape, order="F")
    with np.errstate(invalid="ignore"):  # a damaged file may store a NaN for a whole number
        return text, array.astype(np.bool_ if word >> 8 & _LOGICAL else dtype)
