"""State dicts as files: no pickle, whole or not at all, and bounded before memory is taken.

Three formats, told by the name's end: ``.safetensors`` (needs the library of that name), ``.h5``
and ``.hdf5`` (need h5py), and npz for any other, a zip archive with one npy entry per array, which
``numpy.load`` reads as well. `load` and `save` know nothing of layers: they map names to arrays.
`load_keras` fills a model from the ``.weights.h5`` file of a Keras one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastnn._files import check_readable, replacing
from fastnn.io import _hdf5, _npz, _safetensors
from fastnn.io._keras import load_keras
from fastnn.io._rules import LIMIT, Array, check_entry, check_limit

__all__ = ["LIMIT", "load", "load_keras", "save"]

_FORMATS: dict[str, Any] = {".safetensors": _safetensors, ".h5": _hdf5, ".hdf5": _hdf5}


def save(path: str | os.PathLike[str], state: Mapping[str, Array]) -> None:
    """Write a state dict to a file, uncompressed; equal states give equal bytes.

    It is written under a temporary name in the same folder, brought to the disk and then renamed,
    so that whatever happens, a file that was at `path` stays whole until the new one is. After an
    error the temporary file is gone; after a kill or a power cut a ``.fastnn-*.tmp`` may be left.

    Parameters
    ----------
    path
        Where to; a file that is there is replaced. Nothing is added to the name, whose end tells
        the format: ``.safetensors``, ``.h5`` or ``.hdf5``, and npz for any other.
    state
        Arrays by name: bool, integers, float32 or float64, of any shape.

    Raises
    ------
    OptionError
        If a name is empty, or has a slash, a backslash or an unprintable character, or the library
        that the format needs is not installed.
    DtypeError
        If a value is not an array of such a dtype.
    FileError
        If `path` is there and is not a file.
    OSError
        If the system refuses: no such folder, not permitted, disk full.

    Notes
    -----
    npz is written array by array. safetensors and HDF5 are put together in memory first, so they
    take the state's size once more, HDF5 twice.

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
        check_entry(name, array)
    with replacing("save", path) as temporary, open(temporary, "xb") as file:
        _format(path).write(file, state)


def load(path: str | os.PathLike[str], *, limit: int = LIMIT) -> dict[str, Array]:
    """Read a state dict from a file of `save`, or one that the format's own library wrote.

    All names, dtypes, shapes and sizes are checked before the first array is made, and no entry
    is trusted: nothing is executed, no link is followed, and no more than `limit` bytes are taken
    whatever the file declares or unpacks to.

    Parameters
    ----------
    path
        The file; the end of its name tells the format, as in `save`.
    limit
        Bytes that the file, and its arrays together, may have; 4 GiB if not given.

    Returns
    -------
    state
        Arrays by name in the file's order, writable and in native byte order.

    Raises
    ------
    FileError
        If the file is not of its format, is damaged, holds something else, or is over `limit`.
        The text names file, entry and rule.
    OptionError
        If `limit` is not a number of bytes, or the library that the format needs is not installed.
    OSError
        If the system refuses: no such file, not permitted.
    """
    check_limit(limit)
    where = f"load: {os.fspath(path)}"
    check_readable(where, path, limit)
    state: dict[str, Array] = _format(path).read(where, path, limit)
    return state


def _format(path: str | os.PathLike[str]) -> Any:
    """The module that reads and writes what the end of the name says."""
    return _FORMATS.get(os.path.splitext(os.fspath(path))[1].lower(), _npz)
