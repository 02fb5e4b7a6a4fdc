"""State dicts as HDF5 files with one dataset per array, and safe reading of any HDF5 file."""

from __future__ import annotations

import contextlib
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from fastnn._extras import need
from fastnn._files import check_size
from fastnn.errors import FileError, OptionError
from fastnn.io._rules import KINDS, RULE, Array, check_name

_MOST_ENTRIES = 100_000
_MOST_LEVELS = 32
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
_RATIO = 1032  # deflate's largest expansion (zlib's own documentation)
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
        for name, dataset in found.items():
            check_chunks(f"{where}, dataset {name!r}", dataset, limit)
        return {name: _whole(dataset) for name, dataset in found.items()}


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
    except FileError:
        raise
    except (
        OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, AttributeError,
        NotImplementedError, MemoryError, SystemError,
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
    if dataset.shape is None or dataset.dtype.str[1:] not in KINDS:
        raise FileError(
            f"{where} has dtype {dataset.dtype}, shape {dataset.shape}; it must be {RULE}"
        )
    for index in range(made.get_nfilters()):
        code = made.get_filter(index)[0]
        if code not in _FILTERS:
            raise FileError(
                f"{where} has filter {code}; it must be of {', '.join(_FILTERS.values())}"
            )


def _bytes(dataset: Any) -> int:
    """What a dataset takes to be read: itself, and one of its chunks."""
    chunk = math.prod(dataset.chunks) if dataset.chunks else 0
    return int((math.prod(dataset.shape) + chunk) * dataset.dtype.itemsize)


def check_chunks(where: str, dataset: Any, limit: int) -> None:
    """Raise if a packed chunk unpacks to more than a chunk: HDF5 would unpack it all the same."""
    if dataset.compression != "gzip":
        return  # lzf expands at most 88 times, and the file's size is within the limit
    most = math.prod(dataset.chunks) * dataset.dtype.itemsize + 4  # fletcher32's sum
    count = dataset.id.get_num_chunks()
    for index in range(count):
        stored = dataset.id.get_chunk_info(index)
        if stored.size * _RATIO <= max(most, limit):
            continue
        _, packed = dataset.id.read_direct_chunk(stored.chunk_offset)
        size = _unpacked(packed, most)
        if size > most:
            raise FileError(f"{where} has a chunk that unpacks to over {most} bytes, its size")


def _unpacked(packed: bytes, most: int) -> int:
    """The size of a deflate stream unpacked, or something over `most`."""
    stream, size = zlib.decompressobj(), 0
    try:
        while not stream.eof and size <= most:
            piece = stream.decompress(packed, _PIECE)
            if not piece and not stream.unconsumed_tail:
                break
            size, packed = size + len(piece), stream.unconsumed_tail
    except zlib.error:
        pass  # what HDF5 will say better
    return size


def _whole(dataset: Any) -> Array:
    array = np.asarray(dataset[()])
    return array.astype(array.dtype.newbyteorder("="), copy=False)
