"""State dicts as npz files: no pickle, whole or not at all, and bounded before memory is taken.

A file is a zip archive with one npy entry per array, which ``numpy.load`` reads as well. It knows
nothing of layers: it maps names to arrays.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import math
import os
import stat
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.errors import DtypeError, FileError, OptionError

if TYPE_CHECKING:
    import zipfile

__all__ = ["LIMIT", "load", "save"]

Array = np.ndarray[Any, Any]

LIMIT = 4 << 30
"""Bytes that `load` takes from a file unless told otherwise."""

_KINDS = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f4 f8".split())
_RULE = "bool, an integer, float32 or float64"
_HEADER = 10_000  # as numpy's own limit; ours have less than 128 bytes
_PIECE = 1 << 20


def save(path: str | os.PathLike[str], state: Mapping[str, Array]) -> None:
    """Write a state dict to a file, uncompressed; equal states give equal bytes.

    It is written under a temporary name in the same folder, brought to the disk and then renamed,
    so that whatever happens, a file that was at `path` stays whole until the new one is. After an
    error the temporary file is gone; after a kill or a power cut a ``.fastnn-*.tmp`` may be left.

    Parameters
    ----------
    path
        Where to; a file that is there is replaced. Nothing is added to the name.
    state
        Arrays by name: bool, integers, float32 or float64, of any shape.

    Raises
    ------
    OptionError
        If a name is empty, or has a slash, a backslash or an unprintable character.
    DtypeError
        If a value is not an array of such a dtype.
    FileError
        If `path` is there and is not a file.
    OSError
        If the system refuses: no such folder, not permitted, disk full.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, fastnn.io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "weights.npz")
    ...     fastnn.io.save(path, {"0.weight": np.arange(3.0)})
    ...     fastnn.io.load(path)
    {'0.weight': array([0., 1., 2.])}
    """
    for name, array in state.items():
        _check_entry(name, array)
    target = os.path.realpath(path)  # a link stays a link; the file behind it is replaced
    mode = _mode(target)
    temporary = os.path.join(os.path.dirname(target), f".fastnn-{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            _write(file, state)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(os.path.dirname(target))


def _check_entry(name: str, array: Array) -> None:
    if not isinstance(name, str) or not _plain(name):
        raise OptionError(
            f"save: name {name!r}; it must be printable text without slash and backslash"
        )
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.str[1:] not in _KINDS:
        found = getattr(array, "dtype", type(array).__name__)
        raise DtypeError(f"save: {name} is {found}; it must be an array of {_RULE}")


def _plain(name: str) -> bool:
    return 0 < len(name) < 1000 and name.isprintable() and not set(name) & set("/\\")


def _mode(target: str) -> int | None:
    """The permissions of the file at `target`, None if there is none."""
    try:
        found = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        raise FileError(f"save: {target} is a folder or a device; it must be a file or new")
    return stat.S_IMODE(found)


def _write(file: IO[bytes], state: Mapping[str, Array]) -> None:
    import zipfile

    with zipfile.ZipFile(file, "w") as archive:
        for name, array in state.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: equal states give equal bytes
            with archive.open(entry, "w", force_zip64=True) as out:
                np.lib.format.write_array(out, array, allow_pickle=False)


def _sync_folder(folder: str) -> None:
    """Bring the new name to the disk where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class _Entry(NamedTuple):
    """One array of a file before any of it is read."""

    info: zipfile.ZipInfo
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int  # bytes of the npy header


def load(path: str | os.PathLike[str], *, limit: int = LIMIT) -> dict[str, Array]:
    """Read a state dict from a file of `save` or of ``numpy.savez``.

    All names, dtypes, shapes and sizes are checked before the first array is made, and no entry
    is trusted: nothing is executed, and no more than `limit` bytes are taken whatever the file
    declares or unpacks to.

    Parameters
    ----------
    path
        The file.
    limit
        Bytes that the file, and its arrays together, may have; 4 GiB if not given.

    Returns
    -------
    state
        Arrays by name in the file's order, writable and in native byte order.

    Raises
    ------
    FileError
        If the file is not such an archive, is damaged, holds something else, or is over `limit`.
        The text names file, entry and rule.
    OptionError
        If `limit` is not a number of bytes.
    OSError
        If the system refuses: no such file, not permitted.
    """
    import zipfile

    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise OptionError(f"load: limit={limit!r}; it must be a number of bytes")
    where = f"load: {os.fspath(path)}"
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise FileError(f"{where} is a folder or a device; it must be a file")
    _check_size(where, "the file has", found.st_size, limit)
    with open(path, "rb") as file, _damage(where), zipfile.ZipFile(file) as archive:
        _check_directory(where, archive.infolist(), limit)
        entries = [_read_header(where, archive, info) for info in archive.infolist()]
        return {
            entry.info.filename.removesuffix(".npy"): _read_array(where, archive, entry)
            for entry in entries
        }


def _check_size(where: str, what: str, size: int, limit: int) -> None:
    if size > limit:
        raise FileError(f"{where}: {what} {size} bytes; limit={limit} is the most")


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
        if not name.endswith(".npy") or not _plain(name.removesuffix(".npy")):
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
    _check_size(where, "its entries have", sum(info.file_size for info in infos), limit)


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
    if not isinstance(descr, str) or descr[:1] not in "<>|=" or descr[1:] not in _KINDS:
        raise FileError(f"{where} has dtype {str(descr)[:200]!r}; it must be {_RULE}")
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
