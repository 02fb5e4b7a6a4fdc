"""State dicts as npz: a zip archive with one npy entry per array."""

from __future__ import annotations

import ast
import contextlib
import errno
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._files import check_size
from fastnn.errors import FileError
from fastnn.io._rules import KINDS, RULE, Array, plain

if TYPE_CHECKING:
    import zipfile

_HEADER = 10_000  # as numpy's own limit; ours have less than 128 bytes
_PIECE = 1 << 20


def write(file: IO[bytes], state: Mapping[str, Array]) -> None:
    """Write every array as an entry, uncompressed."""
    import zipfile

    with zipfile.ZipFile(file, "w") as archive:
        for name, array in state.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: equal states give equal bytes
            with archive.open(entry, "w", force_zip64=True) as out:
                np.lib.format.write_array(out, array, allow_pickle=False)


class _Entry(NamedTuple):
    """One array of a file before any of it is read."""

    info: zipfile.ZipInfo
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int  # bytes of the npy header


def read(
    where: str, path: str | os.PathLike[str], limit: int, *, text: bool = True
) -> dict[str, Array]:
    """Read every array, once all that the file declares is checked.

    An array of text is an error, or left out where `text` is False.
    """
    import zipfile

    with open(path, "rb") as file, _damage(where), zipfile.ZipFile(file) as archive:
        _check_directory(where, archive.infolist(), limit)
        infos = archive.infolist()
        if not text:
            infos = [info for info in infos if not _is_text(where, archive, info)]
        entries = [_read_header(where, archive, info) for info in infos]
        return {
            entry.info.filename.removesuffix(".npy"): _read_array(where, archive, entry)
            for entry in entries
        }


@contextlib.contextmanager
def _damage(where: str) -> Iterator[None]:
    """Turn what zipfile and zlib raise on damaged files into one error."""
    import struct
    import zipfile
    import zlib

    try:
        yield
    except OSError as err:
        if err.errno != errno.EINVAL:  # which is what a seek to before the beginning gives
            raise
        raise FileError(f"{where}: an offset is out of range; it must be a whole npz file") from err
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,  # a newer version of zip
        RuntimeError,  # encrypted
        ValueError,
        OverflowError,
    ) as err:
        raise FileError(f"{where}: {err}; it must be a whole npz file") from err


def _check_directory(where: str, infos: list[zipfile.ZipInfo], limit: int) -> None:
    """Check all that the zip directory tells: names, packing and the sum of sizes."""
    import zipfile

    names = set()
    for info in infos:
        name = info.filename
        if not name.endswith(".npy") or not plain(name.removesuffix(".npy")):
            raise FileError(
                f"{where}, entry {name!r}: it must be an array's name and .npy, printable and "
                "without slash and backslash"
            )
        if name in names:
            raise FileError(f"{where}, entry {name!r} is there twice; names must be unique")
        names.add(name)
        if info.flag_bits & 1:
            raise FileError(f"{where}, entry {name!r} is encrypted; it must be plain")
        # bzip2 and LZMA are refused: LZMA takes as much memory as the entry tells it to.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileError(
                f"{where}, entry {name!r} has compression {info.compress_type}; it must be "
                "stored or deflated"
            )
    check_size(where, "its entries have", sum(info.file_size for info in infos), limit)


def _is_text(where: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """Whether an entry's header declares text; no more of it is looked at."""
    with archive.open(info) as file:
        return re.search(rb"""'descr': '[<>|=]?[US]\d""", file.read(_HEADER)) is not None


def _read_header(where: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Entry:
    """Read and check the npy header of an entry; its size must be what the shape needs."""
    where = f"{where}, entry {info.filename!r}"
    with archive.open(info) as file:
        magic = file.read(8)
        if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\1\0", b"\2\0"):
            raise FileError(f"{where} begins with {magic!r}; it must be npy version 1 or 2")
        width = 2 if magic[6] == 1 else 4
        length = int.from_bytes(file.read(width), "little")
        if length > _HEADER:
            raise FileError(f"{where} has a header of {length} bytes; {_HEADER} is the most")
        descr, fortran, shape = _parse_header(where, file.read(length))
    start = 8 + width + length
    dtype = np.dtype(descr)
    need = start + dtype.itemsize * math.prod(shape)
    if need != info.file_size:
        raise FileError(
            f"{where} declares {descr} of shape {shape}, {need} bytes with its header, but has "
            f"{info.file_size}; they must be the same"
        )
    return _Entry(info, dtype, shape, fortran, start)


def _parse_header(where: str, text: bytes) -> tuple[str, bool, tuple[int, ...]]:
    """The npy header's dtype, order and shape; only literals are evaluated."""
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as err:
        raise FileError(f"{where} has the header {text[:200]!r}; it must be a literal") from err
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise FileError(
            f"{where} has the header {text[:200]!r}; it must have descr, fortran_order and shape"
        )
    descr, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    if not isinstance(descr, str) or descr[:1] not in "<>|=" or descr[1:] not in KINDS:
        raise FileError(f"{where} has dtype {str(descr)[:200]!r}; it must be {RULE}")
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not whole or type(fortran) is not bool:
        raise FileError(
            f"{where} has shape {str(shape)[:200]} and fortran_order {str(fortran)[:200]}; they "
            "must be whole numbers of at least 0, and a bool"
        )
    return descr, fortran, shape


def _read_array(where: str, archive: zipfile.ZipFile, entry: _Entry) -> Array:
    array: Array = np.empty(entry.shape, entry.dtype, order="F" if entry.fortran else "C")
    raw = array.reshape(-1, order="A").view(np.uint8)
    with archive.open(entry.info) as file:
        file.read(entry.start)
        filled = 0
        # In pieces, because readinto of a zip entry makes a second copy of the whole array.
        while piece := file.read(_PIECE):
            raw[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
    if filled != raw.size:
        raise FileError(
            f"{where}, entry {entry.info.filename!r} ends after {filled} of {raw.size} bytes; "
            "it must be whole"
        )
    return array.astype(entry.dtype.newbyteorder("="), copy=False)
