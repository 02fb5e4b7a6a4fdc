"""Where a data set's files are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from fastnn.errors import FileError

PathLike: TypeAlias = str | os.PathLike[str]


def find(
    what: str, path: PathLike | None, names: tuple[str, ...], folders: tuple[str, ...]
) -> Path:
    """The first of `names` that is there, in the folder `path` or one of `folders` inside it.

    `path` may be such a file itself; without it the folder is that of FASTNN_DATA.
    """
    root = _root(what, path)
    if path is not None and root.is_file():
        return root
    places = [root, *(root / folder for folder in folders)]
    for name in names:
        for place in places:
            if (place / name).is_file():
                return place / name
    raise FileError(
        f"{what}: {' or '.join(names)} is not in {', '.join(map(str, places))}; "
        "one of them must be there"
    )


def _root(what: str, path: PathLike | None) -> Path:
    given = os.environ.get("FASTNN_DATA") if path is None else path
    if not given:
        raise FileError(
            f"{what}: no path is given and FASTNN_DATA is not set; one of them must name the "
            "folder of the data"
        )
    root = Path(given).expanduser()
    if not root.exists():
        source = "FASTNN_DATA" if path is None else "path"
        raise FileError(f"{what}: {source} is {root}, which is not there; it must be")
    return root
