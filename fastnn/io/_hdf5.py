"""State dicts as HDF5 files with one dataset per array, and safe reading of any HDF5 file."""

from __future__ import annotations

import bisect
import contextlib
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from fastnn._extras import need
from fastnn._files import check_size
from fastnn.errors import FastnnError, FileError, OptionError
from fastnn.io._rules import KINDS, RULE, Array, check_name

_MOST_ENTRIES = 100_000
_MOST_LEVELS = 32
_USER_DEFINED = 2  # H5D_FILL_VALUE_USER_DEFINED
_DEFLATE, _SHUFFLE, _FLETCHER = 1, 2, 3
_FILTERS = {_DEFLATE: "deflate", _SHUFFLE: "shuffle", _FLETCHER: "fletcher32"}
_PIECE = 1 << 20


def write(file: IO[bytes], state: Mapping[str, Array]) -> None:
    """Write every array as a dataset at the root, in the state's order.

    The file is made in memory: HDF5 that meets a full disk fails once more when it is closed, and
    may end the process.
    """
    h5py = need("save", "h5py", "h5py", "hdf5")
    for name in state:
        if name in (".", ".."):
            raise OptionError(f"save: name {name!r}; in HDF5 it must not be a dot or two")
    options = {"driver": "core", "backing_store": False, "block_size": _PIECE}
    with h5py.File("state", "w", track_order=True, libver="v110", **options) as made:
        for name, array in state.items():
            made.create_dataset(name, data=array, track_times=False)
        made.flush()
        file.write(made.id.get_file_image())


def read(where: str, path: str | os.PathLike[str], limit: int) -> dict[str, Array]:
    """Read every dataset of the root; there may be nothing else."""
    state = read_all(where, path, limit)
    for name in state:
        check_name(where, name)
    return state


def read_all(
    where: str, path: str | os.PathLike[str], limit: int, names: tuple[str, ...] | None = None
) -> dict[str, Array]:
    """Read all datasets, also of groups inside groups, or those of `names`, by their paths.

    No link is followed, nothing outside the file is opened, and what the datasets declare is added
    up and checked before the first is read.
    """
    with opened(where, path, names) as found:
        check_size(where, "its datasets have", sum(_bytes(d) for d in found.values()), limit)
        readers = {name: Reader(f"{where}, dataset {name!r}", d) for name, d in found.items()}
        return {name: reader.all() for name, reader in readers.items()}


@contextlib.contextmanager
def opened(
    where: str, path: str | os.PathLike[str], names: tuple[str, ...] | None = None
) -> Iterator[dict[str, Any]]:
    """h5py's datasets of an open file by their paths, each checked to be numbers inside it."""
    h5py = need(where.split(":")[0], "h5py", "h5py", "hdf5")
    with _damage(where), h5py.File(path, "r") as file:
        found = dict(_walk(where, h5py, file, "", set()))
        if names is not None:
            _check_names(where, found, names)
            found = {name: found[name] for name in names}
        for name, dataset in found.items():
            _check_dataset(f"{where}, dataset {name!r}", h5py, dataset)
        yield found


@contextlib.contextmanager
def _damage(where: str) -> Iterator[None]:
    """Turn what h5py raises on damaged files into one error."""
    try:
        yield
    except FastnnError:
        raise
    except (
        OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, AttributeError,
        NotImplementedError, MemoryError, SystemError, zlib.error,
    ) as err:  # fmt: skip
        raise FileError(f"{where}: {err}; it must be a whole HDF5 file") from err


def _walk(
    where: str, h5py: Any, group: Any, prefix: str, seen: set[int]
) -> Iterator[tuple[str, Any]]:
    """Yield the datasets below a group in the file's order, each under its path."""
    if prefix.count("/") > _MOST_LEVELS:
        raise FileError(f"{where} has groups {_MOST_LEVELS} deep; they must be fewer")
    for name in group:
        place = f"{where}, entry {(prefix + name)[:200]!r}"
        if type(group.get(name, getlink=True)) is not h5py.HardLink:
            raise FileError(f"{place} is a link; it must be in the file itself")
        entry = group[name]
        address = h5py.h5o.get_info(entry.id).addr
        if address in seen:
            raise FileError(f"{place} is there twice; there may be no links")
        seen.add(address)
        if len(seen) > _MOST_ENTRIES:
            raise FileError(f"{where} has over {_MOST_ENTRIES} entries; they must be fewer")
        if isinstance(entry, h5py.Group):
            yield from _walk(where, h5py, entry, f"{prefix}{name}/", seen)
        elif isinstance(entry, h5py.Dataset):
            yield prefix + name, entry
        else:
            raise FileError(f"{place} is a {type(entry).__name__}; it must be a dataset or group")


def _check_names(where: str, found: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise FileError(
            f"{where} has no dataset {', '.join(missing)}; it has {', '.join(found)[:500]}"
        )


def _check_dataset(where: str, h5py: Any, dataset: Any) -> None:
    """Raise unless a dataset is numbers that lie in the file, in chunks that can be unpacked."""
    made = dataset.id.get_create_plist()  # before the shape: for that, a virtual one opens others
    if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
        raise FileError(f"{where} lies in other files; it must be in the file itself")
    dtype = dataset.dtype
    if dataset.shape is None or dtype.str[1:] not in KINDS:
        raise FileError(f"{where} has dtype {dtype}, shape {dataset.shape}; it must be {RULE}")
    if h5py.h5t.py_create(dtype, logical=True) != dataset.id.get_type():
        raise FileError(f"{where} is not stored as {dtype} usually is; it must be")
    for index in range(made.get_nfilters()):
        code, _, values, _ = made.get_filter(index)
        if code not in _FILTERS or (code == _SHUFFLE and values != (dtype.itemsize,)):
            raise FileError(
                f"{where} has filter {code} with {values}; it must be one of "
                f"{', '.join(_FILTERS.values())}, of whole numbers"
            )


def _bytes(dataset: Any) -> int:
    """What a dataset takes to be read: itself, and one of its chunks."""
    chunk = math.prod(dataset.chunks) if dataset.chunks else 0
    return int((math.prod(dataset.shape) + chunk) * dataset.dtype.itemsize)


class Reader:
    """Rows of a checked dataset. Chunks are unpacked here and not by HDF5.

    HDF5's deflate filter takes as much memory as the packed bytes unfold to, whatever a chunk's
    size, and its fletcher32 filter reads out of bounds on an empty chunk (seen in HDF5 2.0).
    """

    def __init__(self, where: str, dataset: Any) -> None:
        self._where, self._data = where, dataset
        self._dtype, self._shape = dataset.dtype, dataset.shape
        self._chunk = dataset.chunks
        if self._chunk is None:
            return
        made = dataset.id.get_create_plist()
        self._filters = [made.get_filter(i)[0] for i in range(made.get_nfilters())]
        self._size = math.prod(self._chunk) * self._dtype.itemsize
        self._stored: list[tuple[int, ...]] = []
        dataset.id.chunk_iter(lambda info: self._stored.append(info.chunk_offset))
        self._stored.sort()
        grid = (-(-n // c) for n, c in zip(self._shape, self._chunk, strict=True))
        # Asking for a fill value, too, reads out of bounds where a file lies about it.
        if len(self._stored) < math.prod(grid) and made.fill_value_defined() == _USER_DEFINED:
            raise FileError(f"{where} has a fill value for chunks not written; all must be")

    def all(self) -> Array:
        """The whole dataset."""
        if not self._shape:
            return self._native(np.asarray(self._data[()]))
        return self.rows(0, self._shape[0])

    def rows(self, start: int, stop: int) -> Array:
        """Rows from `start` to before `stop`, in native byte order."""
        if self._chunk is None or start >= stop:
            return self._native(np.asarray(self._data[start:stop]))
        shape = (stop - start, *self._shape[1:])
        result = np.zeros(shape, self._dtype)
        first = bisect.bisect_left(self._stored, (start - self._chunk[0] + 1,))
        for offset in self._stored[first : bisect.bisect_left(self._stored, (stop,))]:
            lows = [
                max(o, low) for o, low in zip(offset, (start, *[0] * (len(shape) - 1)), strict=True)
            ]
            highs = [
                min(o + c, high)
                for o, c, high in zip(offset, self._chunk, (stop, *shape[1:]), strict=True)
            ]
            inside = zip(offset, lows, highs, strict=True)
            source = tuple(slice(low - o, max(high, low) - o) for o, low, high in inside)
            lows[0], highs[0] = lows[0] - start, highs[0] - start
            target = tuple(
                slice(low, max(high, low)) for low, high in zip(lows, highs, strict=True)
            )
            result[target] = self._unpacked(offset)[source]
        return self._native(result)

    def _unpacked(self, offset: tuple[int, ...]) -> Array:
        """One chunk, its filters undone."""
        mask, data = self._data.id.read_direct_chunk(offset)
        for index in reversed(range(len(self._filters))):
            if not mask >> index & 1:
                data = self._undone(self._filters[index], data)
        if len(data) != self._size:
            raise FileError(
                f"{self._where} has a chunk of {len(data)} bytes; they must be {self._size}"
            )
        return np.frombuffer(data, self._dtype).reshape(self._chunk)

    def _undone(self, code: int, data: bytes) -> bytes:
        if code == _DEFLATE:
            most = self._size + 4  # fletcher32's sum
            data = zlib.decompressobj().decompress(data, most + 1)
            if len(data) > most:
                raise FileError(f"{self._where} has a chunk that unpacks to over {most} bytes")
            return data
        if code == _SHUFFLE:
            whole = len(data) // self._dtype.itemsize * self._dtype.itemsize
            planes = np.frombuffer(data[:whole], np.uint8).reshape(self._dtype.itemsize, -1)
            return planes.T.tobytes() + data[whole:]
        data, stored = data[:-4], int.from_bytes(data[-4:], "little")
        if _fletcher32(data) != (stored % 65536 % 65535, stored // 65536 % 65535):
            raise FileError(f"{self._where} has a chunk with a wrong checksum; it must be right")
        return data

    def _native(self, array: Array) -> Array:
        if self._dtype == np.bool_:
            array = array.view(np.uint8) != 0  # a damaged one may be any byte
        return array.astype(self._dtype.newbyteorder("="), copy=False)


def _fletcher32(data: bytes) -> tuple[int, int]:
    """HDF5's two sums of 16-bit words, modulo 65535: of the words, and of the sums so far."""
    words = np.frombuffer(data + bytes(len(data) % 2), ">u2").astype(np.uint64)
    weights = np.arange(len(words), 0, -1, dtype=np.uint64) % 65535
    return int(words.sum()) % 65535, int((words * weights).sum()) % 65535
