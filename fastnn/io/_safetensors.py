"""State dicts as safetensors, through the library of that name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from fastnn._extras import need
from fastnn.errors import FileError
from fastnn.io._rules import RULE, Array, check_name

_HEADER = 16 << 20  # the library takes 100 MB, which its parser unfolds to several times as much
_DTYPES = frozenset("BOOL I8 I16 I32 I64 U8 U16 U32 U64 F32 F64".split())


def write(file: IO[bytes], state: Mapping[str, Array]) -> None:
    """Write every array; the library orders them by alignment and name."""
    library = need("save", "safetensors.numpy", "safetensors", "safetensors")
    native = {
        name: np.asarray(array, array.dtype.newbyteorder("="), order="C")
        for name, array in state.items()
    }
    file.write(library.save(native))


def read(where: str, path: str | os.PathLike[str], limit: int) -> dict[str, Array]:
    """Read every array; the arrays cannot have more bytes than the file, whose size is checked."""
    library = need("load", "safetensors", "safetensors", "safetensors")
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > min(_HEADER, limit):
        raise FileError(
            f"{where} has a header of {header} bytes; {min(_HEADER, limit)} is the most"
        )
    try:
        with library.safe_open(path, framework="np") as file:
            names = list(file.keys())
            for name in names:
                _check(where, name, file.get_slice(name).get_dtype())
            return {name: _own(file.get_tensor(name)) for name in names}
    except library.SafetensorError as err:
        raise FileError(f"{where}: {err}; it must be a whole safetensors file") from err


def _check(where: str, name: str, dtype: str) -> None:
    check_name(where, name)
    if dtype not in _DTYPES:
        raise FileError(f"{where}, entry {name!r} has dtype {dtype}; it must be {RULE}")


def _own(array: Any) -> Array:
    """A writable array apart from the file."""
    owned: Array = array if array.flags.writeable and array.flags.owndata else array.copy()
    return owned
