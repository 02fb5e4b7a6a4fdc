"""The data sets by name, as plain arrays with their usual splits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.datasets import _formats
from fastnn.datasets._download import download as fetch
from fastnn.datasets._find import PathLike, find
from fastnn.errors import DtypeError, FileError
from fastnn.io._rules import LIMIT


class Split(NamedTuple):
    """Arrays to train on and arrays to test on; `names` of the classes, or of the columns of x."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    names: tuple[str, ...] = ()


class Labelled(NamedTuple):
    """Arrays with a label each, not split."""

    x: Array
    y: Array


DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HOUSING = tuple("CRIM ZN INDUS CHAS NOX RM AGE DIS RAD TAX PTRATIO B LSTAT".split())


def mnist(path: PathLike | None = None, *, dtype: Any = np.uint8, download: bool = False) -> Split:
    """MNIST: 60,000 handwritten digits to train on and 10,000 to test on.

    Parameters
    ----------
    path
        The folder with ``train-images-idx3-ubyte`` and its three siblings, gzipped or not, or one
        that has them in ``mnist``; that of FASTNN_DATA if not given.
    dtype
        Of the images: uint8 gives grey levels 0 to 255, float32 and float64 give 0 to 1.
    download
        Whether to fetch files that are not there, see `download`.

    Returns
    -------
    Split
        x (n, 28, 28), y (n,) int64 from 0 to 9, names of the classes.

    Raises
    ------
    FileError
        If a file is not there, the text says where it was looked for, or is damaged.
    DtypeError
        If `dtype` is none of these.

    Notes
    -----
    Y. LeCun, C. Cortes and C. Burges, 1998.
    """
    return _idx_set("mnist", path, ("mnist", "MNIST", "MNIST/raw"), DIGITS, dtype, download)


def fashion_mnist(
    path: PathLike | None = None, *, dtype: Any = np.uint8, download: bool = False
) -> Split:
    """Fashion-MNIST: 60,000 pictures of clothes to train on and 10,000 to test on.

    Parameters
    ----------
    path
        The folder with ``train-images-idx3-ubyte`` and its three siblings, gzipped or not, or one
        that has them in ``fashion_mnist``; that of FASTNN_DATA if not given.
    dtype
        Of the images: uint8 gives grey levels 0 to 255, float32 and float64 give 0 to 1.
    download
        Whether to fetch files that are not there, see `download`.

    Returns
    -------
    Split
        x (n, 28, 28), y (n,) int64 from 0 to 9, names of the classes.

    Raises
    ------
    FileError
        If a file is not there, the text says where it was looked for, or is damaged.
    DtypeError
        If `dtype` is none of these.

    Notes
    -----
    H. Xiao, K. Rasul and R. Vollgraf, arXiv 1708.07747.
    """
    folders = ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw")
    return _idx_set("fashion_mnist", path, folders, CLOTHES, dtype, download)


def _idx_set(
    what: str, path: PathLike | None, folders: tuple[str, ...], names: tuple[str, ...], dtype: Any,
    download: bool,
) -> Split:  # fmt: skip
    if download:
        path = fetch(what, path)
    arrays = []
    for part in ("train", "t10k"):
        for kind, axes in (("images-idx3", 3), ("labels-idx1", 1)):
            name = f"{part}-{kind}-ubyte"
            file = find(what, path, (f"{name}.gz", name), folders)
            array = _formats.read_idx(file)
            if array.ndim != axes or array.dtype != np.uint8:
                raise FileError(
                    f"{what}: {file} has {array.dtype} of shape {array.shape}; it must be uint8 "
                    f"with {axes} axes"
                )
            arrays.append(array)
    images, labels = arrays[::2], [y.astype(np.int64) for y in arrays[1::2]]
    for x, y in zip(images, labels, strict=True):
        _check_labels(what, x, y, len(names))
    x_train, x_test = (_scaled(what, x, dtype) for x in images)
    return Split(x_train, labels[0], x_test, labels[1], names)


def _check_labels(what: str, x: Array, y: Array, classes: int) -> None:
    if len(x) != len(y):
        raise FileError(f"{what}: {len(x)} images but {len(y)} labels; there must be as many")
    if len(y) and y.max() >= classes:
        raise FileError(f"{what}: a label is {y.max()}; labels must be from 0 to {classes - 1}")


def _scaled(what: str, x: Array, dtype: Any) -> Array:
    """Bytes as they are, or as floats from 0 to 1."""
    try:
        found = np.dtype(dtype if dtype is not None else "none")
    except TypeError as err:
        raise DtypeError(f"{what}: dtype={dtype!r}; it must be uint8, float32 or float64") from err
    if found == np.uint8:
        return x
    if found not in (_check.F4, _check.F8):
        raise DtypeError(f"{what}: dtype={found}; it must be uint8, float32 or float64")
    scaled: Array = np.multiply(x, found.type(1 / 255), dtype=found)
    return scaled


def cifar10(
    path: PathLike | None = None, *, dtype: Any = np.uint8, form: str | None = None,
    download: bool = False,
) -> Split:  # fmt: skip
    """CIFAR-10: 50,000 small photographs of ten kinds of things to train on, 10,000 to test on.

    Parameters
    ----------
    path
        The folder with the files, or one that has them in ``cifar10``; that of FASTNN_DATA if not
        given.
    dtype
        Of the images: uint8 gives 0 to 255, float32 and float64 give 0 to 1.
    form
        Which files to read; the first of these that are there if not given:

        * ``"binary"``, the original ``data_batch_1.bin`` to ``data_batch_5.bin`` and
          ``test_batch.bin``, as they are, in ``cifar-10-batches-bin`` or in
          ``cifar-10-binary.tar.gz``;
        * ``"jpeg"``, ``cifar10_jpeg_full.npz``: all images as JPEG (needs Pillow), lossy;
        * ``"subset"``, ``cifar10_subset.npz``: the first 10,000 and 2,000 images.
    download
        Whether to fetch the original if it is not there, see `download`.

    Returns
    -------
    Split
        x (n, 3, 32, 32) RGB, y (n,) int64 from 0 to 9, names of the classes.

    Raises
    ------
    FileError
        If no file is there, the text says where it was looked for, or one is damaged.
    OptionError
        If `form` is none of these, or Pillow is needed and not installed.
    DtypeError
        If `dtype` is none of these.

    Notes
    -----
    A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. CS231n validates on
    the last 1,000 training images. Its Python version is a pickle and is not read: a pickle can
    run any code.
    """
    if form is not None:
        _check.choice("cifar10", "form", form, tuple(_CIFAR_FORMS))
    if download:
        path = fetch("cifar10", path)
    wanted = _CIFAR_FORMS if form is None else {form: _CIFAR_FORMS[form]}
    names = tuple(name for files in wanted.values() for name in files)
    file = find("cifar10", path, names, ("cifar10", "cifar-10-batches-bin"))
    arrays = (_cifar_binary if file.suffix != ".npz" else _cifar_npz)(file)
    for x, y in (arrays[:2], arrays[2:]):
        _check_labels("cifar10", x, y, 10)
    x_train, y_train, x_test, y_test = arrays
    return Split(
        _scaled("cifar10", x_train, dtype), y_train, _scaled("cifar10", x_test, dtype), y_test,
        THINGS,
    )  # fmt: skip


_CIFAR_FORMS = {
    "binary": ("test_batch.bin", "cifar-10-binary.tar.gz"),
    "jpeg": ("cifar10_jpeg_full.npz",),
    "subset": ("cifar10_subset.npz",),
}
_BATCHES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")


def _cifar_binary(file: Any) -> tuple[Array, Array, Array, Array]:
    if file.name.endswith(".gz"):
        parts = _formats.read_cifar10_archive(f"cifar10: {file}", file, _BATCHES, LIMIT)
    else:
        parts = [_formats.read_cifar10(find("cifar10", file.parent, (b,), ())) for b in _BATCHES]
    *train, test = parts
    return (
        np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train]), *test,
    )  # fmt: skip


def _cifar_npz(file: Any) -> tuple[Array, Array, Array, Array]:
    arrays = _formats.read_npz(file)
    where = f"cifar10: {file}"
    found = []
    for part in ("train", "test"):
        if f"x_{part}" in arrays:
            images = _taken(where, arrays, f"x_{part}")
        else:
            data, offsets = (_taken(where, arrays, f"{part}_{k}") for k in ("jpeg", "offsets"))
            images = _formats.read_jpegs(data, offsets)
        if images.dtype != np.uint8 or images.shape[1:] != (3, 32, 32):
            raise FileError(
                f"{where}: {part} has {images.dtype} of shape {images.shape}; it must be uint8 "
                "n 3 32 32"
            )
        found += [images, _taken(where, arrays, f"y_{part}").astype(np.int64)]
    return found[0], found[1], found[2], found[3]


def _taken(where: str, arrays: dict[str, Array], *names: str) -> Array:
    """The first of `names` that a file has."""
    for name in names:
        if name in arrays:
            return arrays[name]
    raise FileError(f"{where} has {', '.join(arrays)}; it must have {' or '.join(names)}")


def ex3data1(path: PathLike | None = None) -> Labelled:
    """The 5,000 digits of 20x20 pixels of Stanford's machine-learning course, exercise 3.

    Parameters
    ----------
    path
        ``ex3data1.mat`` (or ``ex3data1_rebuilt.mat``), or its folder; that of FASTNN_DATA if not
        given.

    Returns
    -------
    Labelled
        x (5000, 400) float64, about 0 to 1, each row an image column by column:
        ``x[i].reshape(20, 20).T`` is upright; y (5000,) int64 from 0 to 9 (the file says 10 for 0).
        Sorted by digit: shuffle before any split.

    Raises
    ------
    FileError
        If the file is not there, the text says where it was looked for, or is damaged.
    """
    file = find("ex3data1", path, ("ex3data1.mat", "ex3data1_rebuilt.mat"), ("ex3",))
    arrays, where = _formats.read_mat(file), f"ex3data1: {file}"
    x, y = _taken(where, arrays, "X"), _taken(where, arrays, "y").reshape(-1).astype(np.int64)
    if x.ndim != 2 or x.shape[1] != 400 or len(x) != len(y):
        raise FileError(
            f"{where} has X of shape {x.shape} and {len(y)} labels; it must be n 400, n"
        )
    if len(y) and not (1 <= y.min() and y.max() <= 10):
        raise FileError(f"{where} has labels {y.min()} to {y.max()}; they must be from 1 to 10")
    return Labelled(np.ascontiguousarray(x, np.float64), y % 10)


def boston_housing(path: PathLike | None = None, *, shuffle: bool = True) -> Split:
    """Boston housing: 13 figures of 506 districts, and the median price of a house there.

    Parameters
    ----------
    path
        ``boston_housing.data`` or ``housing.data``, the table of StatLib and UCI, or its folder;
        that of FASTNN_DATA if not given.
    shuffle
        True: the rows in the order of Keras's loader, NumPy's old generator with seed 113, which
        makes the split that most published figures use. False: the file's order.

    Returns
    -------
    Split
        x (n, 13) and y (n,) float64, not standardised: 404 rows to train on, then 102 to test on;
        the names of the columns.

    Raises
    ------
    FileError
        If the file is not there, the text says where it was looked for, or is damaged.

    Notes
    -----
    D. Harrison and D. Rubinfeld, 1978. Prices, in 1,000 dollars, are capped at 50. Column B is a
    transformed share of Black inhabitants, for which scikit-learn dropped the set: use it for
    numbers only.
    """
    file = find("boston_housing", path, ("boston_housing.data", "housing.data"), ("boston",))
    table = _formats.read_table(file)
    if table.shape[1] != 14:
        raise FileError(
            f"boston_housing: {file} has {table.shape[1]} columns; it must have 14, the last the "
            "price"
        )
    if shuffle:
        order = np.arange(len(table))
        np.random.RandomState(113).shuffle(order)
        table = table[order]
    cut = int(len(table) * 0.8)
    x, y = np.ascontiguousarray(table[:, :13]), table[:, 13].copy()
    return Split(x[:cut], y[:cut], x[cut:], y[cut:], HOUSING)


def har_watch(path: PathLike | None = None) -> Split:
    """Activities from a smart watch: windows of 150 steps of 3 accelerations, six exercises.

    Parameters
    ----------
    path
        ``har_watch.h5``, or any HDF5 file with trX, trY, tstX and tstY (labels one-hot) as in
        ``assign3_data3.h5``, or its folder; that of FASTNN_DATA if not given.

    Returns
    -------
    Split
        x (n, 150, 3) float32 in g, y (n,) int64, the names of the classes. In ``har_watch.h5``
        3,000 windows of people 1 to 8 to train on, 600 of people 9 and 10 to test on.

    Raises
    ------
    FileError
        If the file is not there, the text says where it was looked for, or is damaged.
    OptionError
        If h5py is not installed.

    Notes
    -----
    D. M. Burns, arXiv 1802.01489, through seglearn.
    """
    file = find("har_watch", path, ("har_watch.h5", "assign3_data3.h5"), ("har",))
    arrays = _formats.read_h5(file, ("trX", "trY", "tstX", "tstY"))
    found = []
    for part in ("tr", "tst"):
        x, y = arrays[f"{part}X"], arrays[f"{part}Y"]
        if x.ndim != 3 or y.ndim != 2 or len(x) != len(y) or not (y.sum(axis=1) == 1).all():
            raise FileError(
                f"har_watch: {file} has {part}X of shape {x.shape} and {part}Y of shape {y.shape}; "
                "they must be n steps sensors, and n classes with a single 1 a row"
            )
        found += [x.astype(np.float32), y.argmax(axis=1).astype(np.int64)]
    own = file.name == "har_watch.h5"
    names = ("ABD", "FEL", "IR", "ER", "TRAP", "ROW") if own else ()
    return Split(found[0], found[1], found[2], found[3], names)


def kodak_patches(path: PathLike | None = None) -> Array:
    """Patches of 16x16 pixels from natural photographs, for autoencoders.

    Parameters
    ----------
    path
        ``natural_patches_kodak.h5``, or any HDF5 file with such ``data`` as ``assign3_data1.h5``,
        or its folder; that of FASTNN_DATA if not given.

    Returns
    -------
    array
        (10240, 3, 16, 16) RGB, uint8 in the file named first; `grey_patches` prepares them.

    Raises
    ------
    FileError
        If the file is not there, the text says where it was looked for, or is damaged.
    OptionError
        If h5py is not installed.
    """
    file = find("kodak_patches", path, ("natural_patches_kodak.h5", "assign3_data1.h5"), ())
    patches = _formats.read_h5(file, ("data",))["data"]
    if patches.ndim != 4 or patches.shape[1] != 3:
        raise FileError(
            f"kodak_patches: {file} has data of shape {patches.shape}; it must be n 3 H W"
        )
    return patches
