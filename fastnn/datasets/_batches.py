"""Batches of arrays in memory, and of HDF5 files larger than it."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn._files import check_readable
from fastnn.datasets._find import PathLike
from fastnn.errors import OptionError, ShapeError, StateError
from fastnn.io import _hdf5
from fastnn.layers.base import RandomSource, generator

_END = object()


class _Batching(ABC):
    """What both share: options, length, and iteration with or without a thread."""

    def __init__(
        self,
        batch_size: int,
        shuffle: bool,
        rng: RandomSource,
        drop_last: bool,
        prefetch: int,
        transform: Callable[..., Any] | None,
    ) -> None:
        what = type(self).__name__
        self.batch_size = _check.whole(what, "batch_size", batch_size, 1)
        self.shuffle = _check.flag(what, "shuffle", shuffle)
        self.rng = generator(what, rng)
        self.drop_last = _check.flag(what, "drop_last", drop_last)
        self.prefetch = _check.whole(what, "prefetch", prefetch, 0)
        if transform is not None and not callable(transform):
            raise OptionError(f"{what}: transform={transform!r}; it must be callable or None")
        self.transform = transform

    @property
    @abstractmethod
    def rows(self) -> int:
        """Rows in all."""

    @abstractmethod
    def _batches(self, seed: Any) -> Iterator[Any]:
        """Make one pass, in an order that `seed`, drawn when the pass began, decides."""

    def _seed(self) -> Any:
        """Draw what decides the order of a pass, in the caller's thread; None for no shuffling."""
        return self.rng.integers(2**63) if self.shuffle else None

    def __len__(self) -> int:
        """Batches in a pass."""
        whole, rest = divmod(self.rows, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """Begin a pass; each has an order of its own where shuffling is on."""
        batches = self._finished(self._batches(self._seed()))
        return _ahead(batches, self.prefetch) if self.prefetch else batches

    def _finished(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            if self.transform is None:
                yield batch
            elif type(batch) is tuple:
                yield self.transform(*batch)
            else:
                yield self.transform(batch)


def _ahead(batches: Iterator[Any], count: int) -> Iterator[Any]:
    """`batches`, up to `count` of them made ahead by a thread that ends with the iteration."""
    owner = os.getpid()
    pool = ThreadPoolExecutor(1, "fastnn-batches")
    try:
        waiting = deque(pool.submit(next, batches, _END) for _ in range(count))
        while True:
            if os.getpid() != owner:
                raise StateError(
                    "Batches: a pass with prefetch was begun before a fork; its thread is not in "
                    "the child, which must begin a pass of its own"
                )
            batch = waiting.popleft().result()
            if batch is _END:
                return
            waiting.append(pool.submit(next, batches, _END))
            yield batch
    finally:
        if os.getpid() == owner:
            pool.shutdown(wait=True, cancel_futures=True)


class Batches(_Batching):
    """Cut arrays into batches, in order or shuffled; each ``for`` loop over it is a new pass.

    Without shuffling a batch is a view of the arrays, with it a copy.

    Parameters
    ----------
    arrays
        An array, or a tuple or list of arrays with equally many rows, such as ``(x, y)``.
    batch_size
        Rows of a batch; the last may have fewer.
    shuffle
        Whether each pass has a random order of its own.
    rng
        A NumPy generator, or a seed; fresh entropy if not given. It is drawn from once at the
        beginning of each shuffled pass and nowhere else: equal seeds give equal passes, with
        prefetch or without, and `rng` restored gives the passes that followed.
    drop_last
        Whether a last, shorter batch is left out.
    prefetch
        Batches that a thread makes ahead, 0 for no thread. It pays off where `transform` is slow.
    transform
        Called with a batch's arrays; what it gives back takes the batch's place.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If rows are not equally many, or an option is out of range.

    Notes
    -----
    An error in a thread is raised where its batch would have come. The thread ends with the pass,
    also one that is left early. A pass begun before a fork cannot go on in the child (StateError).

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> [b.tolist() for _, b in fastnn.datasets.Batches((x, y), 2)]
    [[0, 1], [2, 3], [4]]
    >>> batches = fastnn.datasets.Batches((x, y), 2, shuffle=True, rng=0)
    >>> [[b.tolist() for _, b in batches] for epoch in range(2)]
    [[[3, 2], [0, 4], [1]], [[0, 4], [3, 1], [2]]]
    """

    def __init__(
        self,
        arrays: Array | Sequence[Array],
        batch_size: int,
        *,
        shuffle: bool = False,
        rng: RandomSource = None,
        drop_last: bool = False,
        prefetch: int = 0,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(batch_size, shuffle, rng, drop_last, prefetch, transform)
        self._single = not isinstance(arrays, tuple | list)
        self._arrays = tuple(np.asarray(a) for a in ((arrays,) if self._single else arrays))
        shapes = [a.shape for a in self._arrays]
        if not shapes or any(not s or s[0] != shapes[0][0] for s in shapes):
            raise ShapeError(
                f"Batches: arrays have shapes {shapes}; there must be one, and equally many rows"
            )

    @property
    def rows(self) -> int:
        """Rows in all."""
        return len(self._arrays[0])

    def _batches(self, seed: Any) -> Iterator[Any]:
        order = None if seed is None else np.random.default_rng(seed).permutation(self.rows)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            rows = slice(start, start + self.batch_size)
            if order is None:
                batch = tuple(a[rows] for a in self._arrays)
            else:
                batch = tuple(a.take(order[rows], axis=0) for a in self._arrays)
            yield batch[0] if self._single else batch


class H5Batches(_Batching):
    """Stream batches from an HDF5 file that may be larger than memory.

    Blocks of neighbouring rows, as they lie in the file's chunks, are read into a buffer, and
    batches are cut from it. Shuffling draws the order of the blocks, and then that of the rows in
    the buffer: not as thorough as that of all rows, but the file is read in whole chunks, once a
    pass. A larger `buffer` mixes better.

    Parameters
    ----------
    path
        The file; it is open while a pass lasts.
    names
        The path of a dataset in it, or a tuple of them with equally many rows, such as
        ``("trX", "trY")``.
    batch_size
        Rows of a batch; the last may have fewer.
    shuffle, rng, drop_last, prefetch, transform
        As for `Batches`.
    buffer
        Bytes of rows to hold; a pass takes up to three times as much, whatever the file's size,
        and no less than for one chunk of each dataset.

    Raises
    ------
    FileError
        If the file is damaged, lacks a name, or has links, parts in other files, or no numbers.
    ShapeError, DtypeError, OptionError
        If rows are not equally many, an option is out of range, or h5py is not installed.

    Examples
    --------
    >>> import os, tempfile, h5py, numpy as np, fastnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.h5")
    ...     with h5py.File(path, "w") as file:
    ...         file["x"], file["y"] = np.eye(5), np.arange(5)
    ...     batches = fastnn.datasets.H5Batches(path, ("x", "y"), 2)
    ...     [y.tolist() for x, y in batches]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        path: PathLike,
        names: str | Sequence[str],
        batch_size: int,
        *,
        shuffle: bool = False,
        rng: RandomSource = None,
        drop_last: bool = False,
        prefetch: int = 0,
        transform: Callable[..., Any] | None = None,
        buffer: int = 64 << 20,
    ) -> None:
        super().__init__(batch_size, shuffle, rng, drop_last, prefetch, transform)
        self._path, self._where = os.fspath(path), f"H5Batches: {os.fspath(path)}"
        self._single = isinstance(names, str)
        self._names = (names,) if isinstance(names, str) else tuple(names)
        if not self._names:
            raise OptionError("H5Batches: names is empty; there must be one")
        buffer = _check.whole("H5Batches", "buffer", buffer, 1)
        check_readable(self._where, path, 1 << 62)
        with self._opened() as found:
            datasets = found.values()
            shapes = [d.shape for d in datasets]
            if any(not s or s[0] != shapes[0][0] for s in shapes):
                raise ShapeError(
                    f"{self._where}: {self._names} have shapes {shapes}; there must be equally "
                    "many rows"
                )
            self._rows = int(shapes[0][0])
            row = sum(math.prod(d.shape[1:]) * d.dtype.itemsize for d in datasets)
            # Where nothing is chunked, blocks of a page or so: the disk reads no less.
            least = max(1, 4096 // max(1, row))
            self._block = max([d.chunks[0] if d.chunks else least for d in datasets])
            self._blocks = max(1, buffer // max(1, row * self._block))

    @property
    def rows(self) -> int:
        """Rows in all."""
        return self._rows

    def _opened(self) -> Any:
        """The datasets of the open file, checked."""
        return _hdf5.opened(self._where, self._path, self._names)

    def _batches(self, seed: Any) -> Iterator[Any]:
        rest: list[Array] | None = None
        with self._opened() as found:
            readers = [_hdf5.Reader(f"{self._where}, {n!r}", d) for n, d in found.items()]
            for pool in self._pools(readers, seed):
                held = pool if rest is None else _joined(rest, pool)
                whole = len(held[0]) // self.batch_size * self.batch_size
                for start in range(0, whole, self.batch_size):
                    yield self._cut(held, start, start + self.batch_size)
                rest = [a[whole:].copy() for a in held]
                del held, pool
        if rest is not None and len(rest[0]) and not self.drop_last:
            yield self._cut(rest, 0, len(rest[0]))

    def _pools(self, readers: list[_hdf5.Reader], seed: Any) -> Iterator[list[Array]]:
        """Read groups of blocks, their order and that of the rows in each group drawn."""
        starts = np.arange(0, self.rows, self._block)
        rng = None if seed is None else np.random.default_rng(seed)
        if rng is not None:
            rng.shuffle(starts)
        for first in range(0, len(starts), self._blocks):
            group = starts[first : first + self._blocks]
            sizes = np.minimum(group + self._block, self.rows) - group
            ends = np.cumsum(sizes)
            order = None if rng is None else rng.permutation(ends[-1])
            pool = []
            for reader in readers:
                blocks = [reader.rows(b, b + n) for b, n in zip(group, sizes, strict=True)]
                rows = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
                pool.append(rows if order is None else rows.take(order, axis=0))
            yield pool

    def _cut(self, arrays: list[Array], start: int, end: int) -> Any:
        batch = tuple(a[start:end].copy() for a in arrays)  # a view would hold the whole buffer
        return batch[0] if self._single else batch


def _joined(first: list[Array], second: list[Array]) -> list[Array]:
    """The rows of both, array by array."""
    return [np.concatenate([a, b]) for a, b in zip(first, second, strict=True)]
