"""Real and toy data as plain arrays, and batches of them.

Loaders such as `mnist` find their files by a path, or in the folder that the environment variable
``FASTNN_DATA`` names, and give arrays with the usual splits. Readers such as `read_idx` take any
file of a format. `Batches` cuts arrays into batches and `H5Batches` streams them from files larger
than memory.

Nothing is downloaded unless `download` asks for it, nothing is unpickled, and no reader takes more
memory than its `limit` whatever a file declares.
"""

from fastnn.datasets._batches import Batches, H5Batches
from fastnn.datasets._download import download
from fastnn.datasets._formats import (
    read_cifar10,
    read_h5,
    read_idx,
    read_jpegs,
    read_mat,
    read_npz,
    read_table,
)
from fastnn.datasets._prepare import grey_patches, holdout, one_hot, standardise
from fastnn.datasets._sets import (
    Labelled,
    Split,
    boston_housing,
    cifar10,
    ex3data1,
    fashion_mnist,
    har_watch,
    kodak_patches,
    mnist,
)
from fastnn.datasets._toys import blobs, circles, moons
from fastnn.io._rules import LIMIT

__all__ = [
    "LIMIT",
    "Batches",
    "H5Batches",
    "Labelled",
    "Split",
    "blobs",
    "boston_housing",
    "cifar10",
    "circles",
    "download",
    "ex3data1",
    "fashion_mnist",
    "grey_patches",
    "har_watch",
    "holdout",
    "kodak_patches",
    "mnist",
    "moons",
    "one_hot",
    "read_cifar10",
    "read_h5",
    "read_idx",
    "read_jpegs",
    "read_mat",
    "read_npz",
    "read_table",
    "standardise",
]
