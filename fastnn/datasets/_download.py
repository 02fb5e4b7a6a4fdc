"""Fetching originals whose address and hash are published, and only when asked."""

from __future__ import annotations

import os
from pathlib import Path

from fastnn import _check
from fastnn._extras import need
from fastnn.datasets._find import PathLike
from fastnn.errors import FileError

# MD5, for it is MD5 that was published with each of them; what a reader then takes is checked anew.
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")  # fmt: skip
_SOURCES = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            f"{_IDX[0]}.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            f"{_IDX[1]}.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            f"{_IDX[2]}.gz": "9fb629c4189551a2d022fa330f9573f3",
            f"{_IDX[3]}.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            f"{_IDX[0]}.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            f"{_IDX[1]}.gz": "25c81989df183df01b3e8a0aad5dffbe",
            f"{_IDX[2]}.gz": "bef4ecab320f06d8554ea6380940ec79",
            f"{_IDX[3]}.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    ),
}


def download(name: str, path: PathLike | None = None) -> Path:
    """Fetch a data set's original files, through pooch, and check their published hashes.

    Parameters
    ----------
    name
        ``"mnist"``, ``"fashion_mnist"`` or ``"cifar10"``.
    path
        The folder that holds data sets; that of FASTNN_DATA if not given. The files go into the
        folder `name` inside it, where the loader of that name looks. Files that are there and right
        are not fetched again.

    Returns
    -------
    Path
        The folder with the files.

    Raises
    ------
    OptionError
        If there is no such set, or pooch is not installed.
    FileError
        If no folder is named, or a file cannot be had or is not the one that was published.
    """
    base, hashes = _SOURCES[_check.choice("download", "name", name, tuple(_SOURCES))]
    root = os.environ.get("FASTNN_DATA") if path is None else path
    if not root:
        raise FileError("download: no path is given and FASTNN_DATA is not set; one must be")
    pooch = need("download", "pooch", "pooch", "download")
    folder = Path(root).expanduser() / name
    for file, md5 in hashes.items():
        try:
            pooch.retrieve(base + file, f"md5:{md5}", fname=file, path=folder)
        except Exception as err:  # pooch passes on what requests, urllib and its hashing raise
            raise FileError(f"download: {base}{file}: {err}; it must be there and whole") from err
    return folder
