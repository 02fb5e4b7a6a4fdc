"""Readers of files as others wrote them; what a file declares is checked before it is believed."""

from __future__ import annotations

import gzip
import io
import math
import os
import tarfile
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import numpy as np

from fastnn._extras import need
from fastnn._files import check_readable, check_size
from fastnn.datasets import _matlab
from fastnn.datasets._find import PathLike
from fastnn.errors import FileError, ShapeError
from fastnn.io import _hdf5, _npz
from fastnn.io._rules import LIMIT, Array, check_limit

# The third byte of an idx file; numbers are big-endian.
_IDX = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_PIECE = 1 << 20
_CIFAR = 1 + 3 * 32 * 32  # a label and three planes


def _open(what: str, path: PathLike, limit: int) -> str:
    """Check limit and file; the beginning of every message."""
    check_limit(limit)
    where = f"{what}: {os.fspath(path)}"
    check_readable(where, path, limit)
    return where


def read_idx(path: PathLike, *, limit: int = LIMIT) -> Array:
    """Read an idx file, the format of MNIST, gzipped or not.

    Parameters
    ----------
    path
        The file.
    limit
        Bytes that the file and its array may have; 4 GiB if not given.

    Returns
    -------
    array
        As the file says: MNIST's images are (60000, 28, 28) uint8. Native byte order.

    Raises
    ------
    FileError
        If the file is not idx, is damaged, or declares another size than it has or over `limit`.

    Notes
    -----
    Yann LeCun's format: 0 0 type axes, then the sizes and the numbers, big-endian.

    Examples
    --------
    >>> import os, tempfile, fastnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "labels.idx")
    ...     with open(path, "wb") as file:
    ...         n = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     fastnn.datasets.read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    where = _open("read_idx", path, limit)
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    opener: Any = gzip.open if packed else open
    try:
        with opener(path, "rb") as file:
            return _idx(where, file, limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise FileError(f"{where}: {err}; it must be a whole gzip file") from err


def _idx(where: str, file: IO[bytes], limit: int) -> Array:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX:
        raise FileError(f"{where} begins with {magic!r}; an idx file begins with 0 0 type axes")
    sizes = file.read(4 * magic[3])
    shape = tuple(int(n) for n in np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4"))
    dtype = np.dtype(_IDX[magic[2]])
    if len(shape) != magic[3] or len(shape) > 8:
        raise FileError(f"{where} declares {magic[3]} axes and has {len(shape)} sizes; at most 8")
    data = _exactly(f"{where} of shape {shape}", file, math.prod(shape) * dtype.itemsize, limit)
    array: Array = data.view(dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _exactly(where: str, file: IO[bytes], need: int, limit: int) -> Array:
    """All that is left of a file, which must be `need` bytes; memory is taken as they come."""
    check_size(where, "it declares", need, limit)
    data = bytearray()
    while len(data) < need and (piece := file.read(min(_PIECE, need - len(data)))):
        data += piece
    if len(data) < need or file.read(1):
        more = "more" if len(data) == need else f"{len(data)}"
        raise FileError(f"{where} needs {need} bytes and has {more}; they must be the same")
    return np.frombuffer(data, np.uint8)


def read_cifar10(path: PathLike, *, limit: int = LIMIT) -> tuple[Array, Array]:
    """Read one file of CIFAR-10's binary version: ``data_batch_1.bin`` and the like.

    Parameters
    ----------
    path
        The file: records of one byte for the label and 3 32 32 bytes for the image.
    limit
        Bytes that the file may have; 4 GiB if not given.

    Returns
    -------
    tuple
        Images (n, 3, 32, 32) uint8 and labels (n,) int64.

    Raises
    ------
    FileError
        If the file is not such records, has a label over 9, or is over `limit`.
    """
    where = _open("read_cifar10", path, limit)
    return _cifar(where, np.fromfile(path, np.uint8))


def _cifar(where: str, data: Array) -> tuple[Array, Array]:
    if data.size == 0 or data.size % _CIFAR:
        raise FileError(f"{where} has {data.size} bytes; it must be a multiple of {_CIFAR}")
    records = data.reshape(-1, _CIFAR)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise FileError(f"{where} has label {labels.max()}; labels must be from 0 to 9")
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), labels


def read_cifar10_archive(
    where: str, path: PathLike, names: tuple[str, ...], limit: int
) -> list[tuple[Array, Array]]:
    """The named members of ``cifar-10-binary.tar.gz``; nothing is unpacked to the disk."""
    found: dict[str, tuple[Array, Array]] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                check_size(where, f"{name} has", member.size, limit)
                file = archive.extractfile(member) if name in names and member.isreg() else None
                if file is not None:
                    data = _exactly(f"{where}, {name}", file, member.size, limit)
                    found[name] = _cifar(f"{where}, {name}", data)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise FileError(f"{where}: {err}; it must be a whole tar.gz file") from err
    missing = [name for name in names if name not in found]
    if missing:
        raise FileError(f"{where} lacks {', '.join(missing)}; all must be there")
    return [found[name] for name in names]


def read_npz(path: PathLike, *, limit: int = LIMIT) -> dict[str, Array]:
    """Read an npz archive; arrays of text are left out, so that nothing needs to be unpickled.

    Parameters
    ----------
    path
        The file, of ``numpy.savez`` or ``numpy.savez_compressed``.
    limit
        Bytes that the file, and its arrays together, may have; 4 GiB if not given.

    Returns
    -------
    dict
        Arrays by name.

    Raises
    ------
    FileError
        If the file is damaged, holds other things than arrays, or is over `limit`.
    """
    where = _open("read_npz", path, limit)
    return _npz.read(where, path, limit, text=False)


def read_mat(path: PathLike, *, limit: int = LIMIT) -> dict[str, Array]:
    """Read the numeric arrays of a MATLAB file of version 5 to 7, packed or not.

    Parameters
    ----------
    path
        The file.
    limit
        Bytes that the file, and its arrays together, may have; 4 GiB if not given.

    Returns
    -------
    dict
        Arrays by name, two axes or more each, in Fortran order; logical ones are bool. Text, cells,
        structures, objects and sparse arrays are left out.

    Raises
    ------
    FileError
        If the file is not of these versions, is damaged, has complex numbers, or is over `limit`.
        MATLAB's version 7.3 is HDF5: `read_h5`.
    """
    where = _open("read_mat", path, limit)
    with open(path, "rb") as file:
        return _matlab.read(where, file, limit)


def read_h5(
    path: PathLike, names: tuple[str, ...] | None = None, *, limit: int = LIMIT
) -> dict[str, Array]:
    """Read the datasets of an HDF5 file, through h5py.

    Parameters
    ----------
    path
        The file.
    names
        The datasets' paths, such as ``"trX"`` or ``"group/x"``; all if not given.
    limit
        Bytes that the file, and its arrays together, may have; 4 GiB if not given. `H5Batches`
        streams larger ones.

    Returns
    -------
    dict
        Arrays by path, in native byte order.

    Raises
    ------
    FileError
        If the file is damaged, lacks a name, has links or parts in other files, arrays that are not
        numbers, or is over `limit`.
    OptionError
        If h5py is not installed.
    """
    where = _open("read_h5", path, limit)
    return _hdf5.read_all(where, path, limit, None if names is None else tuple(names))


def read_table(
    path: PathLike, *, delimiter: str | None = None, skip: int = 0, limit: int = LIMIT
) -> Array:
    r"""Read a table of numbers, a row a line.

    Parameters
    ----------
    path
        The file, as UTF-8 text. What follows a ``#`` in a line is left out, and so are empty lines.
    delimiter
        What stands between numbers; if not given commas if the first line has one, else blanks.
    skip
        Lines to leave out at the beginning, such as a header.
    limit
        Bytes that the file may have; 4 GiB if not given.

    Returns
    -------
    array
        (rows, columns) float64.

    Raises
    ------
    FileError
        If something is not a number, or lines have different numbers of them.

    Examples
    --------
    >>> import os, tempfile, fastnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "table.csv")
    ...     with open(path, "w") as file:
    ...         n = file.write("a,b\n1,2\n3,4.5\n")
    ...     fastnn.datasets.read_table(path, skip=1)
    array([[1. , 2. ],
           [3. , 4.5]])
    """
    where = _open("read_table", path, limit)
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()[skip:]
        if delimiter is None and lines and "," in lines[0]:
            delimiter = ","
        if not any(line.partition("#")[0].strip() for line in lines):
            raise ValueError(f"no numbers after {skip} lines")
        return np.loadtxt(lines, np.float64, delimiter=delimiter, ndmin=2)
    except ValueError as err:
        raise FileError(f"{where}: {err}; it must be a table of numbers") from err


def read_jpegs(data: Array, offsets: Array, *, limit: int = LIMIT) -> Array:
    """Unpack JPEG images of one size that lie in a long array of bytes, through Pillow.

    Parameters
    ----------
    data
        All files one after the other, (bytes,) uint8.
    offsets
        Where each begins, and where the last ends: image i is ``data[offsets[i]:offsets[i + 1]]``.
    limit
        Bytes that the images may have; 4 GiB if not given.

    Returns
    -------
    array
        (n, 3, H, W) uint8, RGB.

    Raises
    ------
    ShapeError
        If the offsets do not rise, or lie outside `data`.
    FileError
        If an image cannot be unpacked, has another size than the first, or all are over `limit`.
    OptionError
        If Pillow is not installed.

    Notes
    -----
    The 60,000 images of CIFAR-10 take 3 s on one core; two threads share the work.
    """
    check_limit(limit)
    pillow = need("read_jpegs", "PIL.Image", "Pillow", "images")
    ends = np.asarray(offsets, np.int64)
    if ends.ndim != 1 or len(ends) < 1 or (np.diff(ends) < 0).any() or ends[0] < 0:
        raise ShapeError(f"read_jpegs: offsets of shape {ends.shape}; they must rise from 0")
    if ends[-1] > len(data):
        raise ShapeError(f"read_jpegs: offsets end at {ends[-1]}; data has {len(data)} bytes")
    if len(ends) == 1:
        return np.zeros((0, 3, 0, 0), np.uint8)

    def image(index: int) -> Any:
        raw = io.BytesIO(data[ends[index] : ends[index + 1]].tobytes())
        return pillow.open(raw, formats=("JPEG",))

    def unpack(index: int) -> None:
        try:
            with image(index) as opened:
                if opened.size != (width, height):
                    raise ValueError(f"its size is {opened.size}, not {(width, height)}")
                images[index] = np.asarray(opened.convert("RGB")).transpose(2, 0, 1)
        except Exception as err:  # Pillow's decoders raise many kinds
            raise FileError(f"read_jpegs: image {index}: {err}; it must be a whole JPEG") from err

    try:
        with image(0) as first:
            width, height = first.size
    except Exception as err:
        raise FileError(f"read_jpegs: image 0: {err}; it must be a whole JPEG") from err
    count = len(ends) - 1
    check_size("read_jpegs", "the images have", count * 3 * height * width, limit)
    images = np.empty((count, 3, height, width), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        deque(pool.map(unpack, range(count)), maxlen=0)
    return images
