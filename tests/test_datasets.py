"""Readers, data sets, toy problems and batches."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import datasets
from fastnn.errors import DtypeError, FileError, OptionError, ShapeError

REAL = Path(os.environ.get("FASTNN_DATA") or Path(fastnn.__file__).parents[1] / "../shared/data")


def real(name):
    """The folder of the real data, if the file is there."""
    if not (REAL / name).exists():
        pytest.skip(f"no {name} in {REAL}; FASTNN_DATA may name its folder")
    return REAL


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch):
    monkeypatch.delenv("FASTNN_DATA", raising=False)


def run(code, *arguments):
    """Run code in a process of its own; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# -- formats ---------------------------------------------------------------------------------------


def idx(array, code=8):
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_idx(tmp_path, code, dtype, pack):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    (tmp_path / "a").write_bytes(pack(idx(array, code)))
    found = datasets.read_idx(tmp_path / "a")
    assert found.dtype == np.dtype(dtype).newbyteorder("=") and found.dtype.isnative
    np.testing.assert_array_equal(found, array)
    found[...] = 1


WHOLE = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "begins with b''"),
        (b"\1\0\x08\1" + bytes(9), "begins with"),
        (b"\0\0\x07\1" + bytes(9), "begins with"),
        (b"\0\0\x08\2\0\0\0\1", "declares 2 axes and has 1 sizes"),
        (b"\0\0\x08\xff" + bytes(2000), "at most 8"),
        (WHOLE[:-1], "needs 12 bytes and has 11"),
        (WHOLE + b"x", "needs 12 bytes and has more"),
        (b"\0\0\x08\3" + b"\xff" * 12, "it declares"),
        (b"\0\0\x0e\1\0\xff\xff\xff", "needs .* and has 0"),
        (gzip.compress(WHOLE)[:-9], "whole gzip"),
        (gzip.compress(WHOLE)[:-8] + bytes(8), "whole gzip"),
        (b"\x1f\x8b" + bytes(50), "whole gzip"),
    ],
)
def test_damaged_idx(tmp_path, data, text):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(FileError, match=text):
        datasets.read_idx(tmp_path / "a", limit=1 << 30)


def test_a_gzip_bomb(tmp_path):
    bomb = idx(np.zeros(4, np.uint8)) + bytes(200 << 20)
    (tmp_path / "a").write_bytes(gzip.compress(bomb, 9))
    grown = run(
        """
        import resource, sys, fastnn
        read = fastnn.datasets.read_idx
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read(sys.argv[1])
        except fastnn.FileError as err:
            assert "has more" in str(err)
            print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """,
        tmp_path / "a",
    )
    assert int(grown) < 16


def cifar(count, seed=0):
    """Records of CIFAR-10's binary version, their images and labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)
    labels = rng.integers(0, 10, count).astype(np.uint8)
    return np.column_stack([labels, images.reshape(count, -1)]).tobytes(), images, labels


def test_cifar10_in_its_binary_form(tmp_path):
    parts = {name: cifar(3, seed) for seed, name in enumerate(
        [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    )}  # fmt: skip
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, (data, _, _) in parts.items():
        (folder / name).write_bytes(data)
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-bin")
    for where in (tmp_path, folder, tmp_path / "cifar-10-binary.tar.gz"):
        split = datasets.cifar10(where)
        assert split.x_train.shape == (15, 3, 32, 32) and split.names[6] == "frog"
        np.testing.assert_array_equal(split.x_train[3:6], parts["data_batch_2.bin"][1])
        np.testing.assert_array_equal(split.y_train[3:6], parts["data_batch_2.bin"][2])
        np.testing.assert_array_equal(split.x_test, parts["test_batch.bin"][1])
        assert split.y_test.dtype == np.int64
    floats = datasets.cifar10(tmp_path, dtype=np.float64).x_test
    np.testing.assert_allclose(floats * 255, parts["test_batch.bin"][1], atol=1e-9)
    (folder / "data_batch_4.bin").unlink()
    with pytest.raises(FileError, match=r"data_batch_4\.bin is not in"):
        datasets.cifar10(tmp_path)


def test_damaged_cifar10(tmp_path):
    data, _, _ = cifar(2)
    for wrong, text in ((b"", "multiple of 3073"), (data[:-1], "multiple of 3073"),
                        (b"\x0a" + data[1:], "label 10")):  # fmt: skip
        (tmp_path / "a.bin").write_bytes(wrong)
        with pytest.raises(FileError, match=text):
            datasets.read_cifar10(tmp_path / "a.bin")
    archive = tmp_path / "cifar-10-binary.tar.gz"
    for raw, text in ((b"\x1f\x8b" + bytes(60), "whole tar.gz"), (b"text", "whole tar.gz")):
        archive.write_bytes(raw)
        with pytest.raises(FileError, match=text):
            datasets.cifar10(tmp_path)
    with tarfile.open(archive, "w:gz") as file:
        entry = tarfile.TarInfo("../../data_batch_1.bin")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(entry)
    with pytest.raises(FileError, match=r"lacks data_batch_1\.bin"):
        datasets.cifar10(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "cifar-10-binary.tar.gz"]


def jpegs(sizes):
    image = pytest.importorskip("PIL.Image")
    files = []
    for k, size in enumerate(sizes):
        file = io.BytesIO()
        image.new("RGB", size, (10 * k, 100, 200)).save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    offsets = np.cumsum([0, *map(len, files)])
    return np.frombuffer(b"".join(files), np.uint8), offsets


def test_read_jpegs():
    data, offsets = jpegs([(6, 4)] * 3)
    images = datasets.read_jpegs(data, offsets)
    assert images.shape == (3, 3, 4, 6)
    expected = np.array([[10 * k, 100, 200] for k in range(3)])
    assert np.abs(images.mean(axis=(2, 3)) - expected).max() < 3
    assert datasets.read_jpegs(data, offsets[:1]).shape == (0, 3, 0, 0)


def test_damaged_jpegs():
    data, offsets = jpegs([(6, 4)] * 2)
    broken = data.copy()
    broken[offsets[1] : offsets[1] + 9] = 0
    other, others = jpegs([(6, 4), (4, 6)])
    for args, error, text in (
        ((broken, offsets), FileError, "image 1:"),
        ((other, others), FileError, r"size is \(4, 6\)"),
        ((data, offsets[::-1]), ShapeError, "must rise"),
        ((data, offsets + 5), ShapeError, "offsets end at"),
        ((data[:50], [0, 50]), FileError, "image 0:"),
    ):
        with pytest.raises(error, match=text):
            datasets.read_jpegs(*args)
    with pytest.raises(FileError, match="limit=100 is the most"):
        datasets.read_jpegs(data, offsets, limit=100)


def test_cifar10_from_an_archive_of_jpegs(tmp_path):
    data, offsets = jpegs([(32, 32)] * 3)
    arrays = {f"{part}_{k}": v for part in ("train", "test")
              for k, v in (("jpeg", data), ("offsets", offsets))}  # fmt: skip
    labels = {"y_train": np.arange(3, dtype=np.uint8), "y_test": np.arange(3, dtype=np.uint8)}
    names = np.array(["text is not read"])
    np.savez(tmp_path / "cifar10_jpeg_full.npz", **arrays, **labels, label_names=names)
    split = datasets.cifar10(tmp_path)
    assert split.x_train.shape == (3, 3, 32, 32) and split.y_train.tolist() == [0, 1, 2]
    np.savez(tmp_path / "cifar10_jpeg_full.npz", **arrays, y_train=np.arange(3))
    with pytest.raises(FileError, match="must have y_test"):
        datasets.cifar10(tmp_path)
    with pytest.raises(OptionError, match="form='pickle'"):
        datasets.cifar10(tmp_path, form="pickle")


def test_read_mat(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    arrays = {"X": np.arange(6.0).reshape(2, 3), "y": np.array([[1], [2]], np.uint8)}
    cell = np.array([1, "two"], dtype=object)
    arrays |= {"a": np.float64(2.5), "flags": np.array([[True, False]]), "e": np.zeros((0, 3))}
    arrays |= {"cube": np.arange(24, dtype=np.int16).reshape(2, 3, 4), "f": np.ones((1, 5), "f4")}
    for options in ({}, {"do_compression": True}):
        scipy_io.savemat(tmp_path / "a.mat", arrays | {"text": "hello", "cell": cell}, **options)
        found = datasets.read_mat(tmp_path / "a.mat")
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], np.atleast_2d(array), strict=True)
    scipy_io.savemat(tmp_path / "a.mat", {"z": np.ones(2, complex)})
    with pytest.raises(FileError, match="must be real"):
        datasets.read_mat(tmp_path / "a.mat")


DAMAGE = """
import resource, sys, numpy as np, fastnn
path, whole = sys.argv[1], open(sys.argv[1], "rb").read()
fastnn.datasets.read_mat(path)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rng = np.random.default_rng(0)
for at in range(0, len(whole)):
    for kind in range(3):
        data = bytearray(whole)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at] ^= 1 << int(rng.integers(8))
        else:
            data[at : at + 4] = int(rng.choice([0, 2**31 - 1, 2**32 - 1])).to_bytes(4, "little")
        open(path, "wb").write(data)
        try:
            fastnn.datasets.read_mat(path, limit=1 << 20)
        except fastnn.FileError:
            pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_mat(tmp_path, packed):
    scipy_io = pytest.importorskip("scipy.io")
    arrays = {"X": np.arange(6.0).reshape(2, 3), "y": np.array([[1], [2]], np.uint8)}
    scipy_io.savemat(tmp_path / "a.mat", arrays, do_compression=packed)
    assert float(run(DAMAGE, tmp_path / "a.mat")) <= 32  # MiB


def test_a_mat_bomb(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(tmp_path / "a.mat", {"X": np.zeros((1000, 1000))}, do_compression=True)
    assert (tmp_path / "a.mat").stat().st_size < 20_000
    with pytest.raises(FileError, match="limit=1000000 is the most"):
        datasets.read_mat(tmp_path / "a.mat", limit=1_000_000)


def test_read_table(tmp_path):
    table = tmp_path / "a.txt"
    for text, options in (
        ("1 2\n 3\t4.5\n\n", {}),
        ("1,2\n3,4.5", {}),
        ("a;b\n1;2\n3;4.5 # so\n", {"skip": 1, "delimiter": ";"}),
    ):
        table.write_text(text)
        assert datasets.read_table(table, **options).tolist() == [[1, 2], [3, 4.5]]
    for text in ("1 2\n3\n", "1 two", "", "# nothing\n", "\0\1", "1,\n"):
        table.write_text(text)
        with pytest.raises(FileError, match="must be a table of numbers"):
            datasets.read_table(table)
    table.write_bytes(b"\xff\xfe1 2")
    with pytest.raises(FileError, match="must be a table of numbers"):
        datasets.read_table(table)


def test_read_npz_leaves_out_text_and_refuses_objects(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(2), names=np.array(["x", "y"]), raw=np.array([b"x"]))
    assert list(datasets.read_npz(tmp_path / "a.npz")) == ["a"]
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(FileError, match="has dtype"):
        datasets.read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (4, 2)}, {"chunks": (4, 2), "compression": "gzip"},
                {"chunks": (3, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
                {"chunks": (1, 1)}, {"chunks": (7, 3), "shuffle": True}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["<f8", ">i2", "?"])
def test_read_h5(tmp_path, options, dtype):
    h5py = pytest.importorskip("h5py")
    array = np.random.default_rng(0).integers(0, 9, (11, 3)).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("group/a", data=array, **options)
        file.create_dataset("sparse", (11, 2), "f4", chunks=(4, 2))[9] = 1
        file["n"] = 5
    found = datasets.read_h5(tmp_path / "a.h5")
    assert list(found) == ["group/a", "n", "sparse"]
    native = array.astype(array.dtype.newbyteorder("="))
    np.testing.assert_array_equal(found["group/a"], native, strict=True)
    assert found["n"] == 5
    assert found["sparse"].tolist() == [[0, 0]] * 9 + [[1, 1], [0, 0]]
    assert list(datasets.read_h5(tmp_path / "a.h5", ("n",))) == ["n"]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("a", (11,), "f4", chunks=(4,), fillvalue=7)[9] = 1
    with pytest.raises(FileError, match="fill value for chunks not written"):
        datasets.read_h5(tmp_path / "b.h5")
    with pytest.raises(FileError, match="has no dataset x; it has group/a"):
        datasets.read_h5(tmp_path / "a.h5", ("x",))


# -- sets by name ----------------------------------------------------------------------------------


def write_mnist(folder, count=5, end=""):
    folder.mkdir(parents=True, exist_ok=True)
    images = np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)
    for part in ("train", "t10k"):
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx(array)
            name = f"{part}-{kind}-ubyte{end}"
            (folder / name).write_bytes(gzip.compress(data) if end else data)


def test_where_data_is_looked_for(tmp_path, monkeypatch):
    with pytest.raises(FileError, match="no path is given and FASTNN_DATA is not set"):
        datasets.mnist()
    with pytest.raises(FileError, match=r"path is .*none, which is not there"):
        datasets.mnist(tmp_path / "none")
    expected = rf"train-images-idx3-ubyte\.gz or .*ubyte is not in {tmp_path}, {tmp_path}/mnist,"
    with pytest.raises(FileError, match=expected):
        datasets.mnist(tmp_path)
    write_mnist(tmp_path / "mnist", end=".gz")
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    for path in (None, tmp_path, tmp_path / "mnist"):
        assert datasets.mnist(path).x_train.shape == (5, 2, 3)
    with pytest.raises(FileError, match="fashion_mnist: train-images"):
        datasets.fashion_mnist()


def test_images_as_bytes_or_from_0_to_1(tmp_path):
    write_mnist(tmp_path)
    split = datasets.mnist(tmp_path)
    assert split.x_train.dtype == np.uint8 and split.y_train.tolist() == [0, 1, 2, 3, 4]
    for dtype in (np.float32, np.float64):
        found = datasets.mnist(tmp_path, dtype=dtype).x_train
        assert found.dtype == dtype
        np.testing.assert_allclose(found, split.x_train / 255, rtol=1e-6)
    for wrong in (np.int32, "text", None):
        with pytest.raises(DtypeError, match="uint8, float32 or float64"):
            datasets.mnist(tmp_path, dtype=wrong)


def test_images_and_labels_must_fit(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(FileError, match="5 images but 4 labels"):
        datasets.mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(5, 10, np.uint8)))
    with pytest.raises(FileError, match="a label is 10"):
        datasets.mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros((5, 1), np.uint8)))
    with pytest.raises(FileError, match="must be uint8 with 1 axes"):
        datasets.mnist(tmp_path)


def test_downloads_are_only_those_that_are_known(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="mnist, fashion_mnist, cifar10"):
        datasets.download("imagenet", tmp_path)
    with pytest.raises(FileError, match="no path is given"):
        datasets.download("mnist")
    pooch = pytest.importorskip("pooch")
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        write_mnist(path, end=".gz")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert datasets.mnist(tmp_path, download=True).x_train.shape == (5, 2, 3)
    assert len(asked) == 4 and all(h.startswith("md5:") and len(h) == 36 for _, h in asked)

    def refuse(*args, **kwargs):
        raise ValueError("wrong hash")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(FileError, match="wrong hash"):
        datasets.cifar10(tmp_path, download=True)


def test_mnist_and_fashion_mnist():
    split = datasets.mnist(real("mnist"))
    assert split.x_train.shape == (60000, 28, 28) and split.x_test.shape == (10000, 28, 28)
    assert np.bincount(split.y_train)[:4].tolist() == [5923, 6742, 5958, 6131]
    clothes = datasets.fashion_mnist(real("fashion_mnist"))
    assert np.bincount(clothes.y_train).tolist() == [6000] * 10
    assert clothes.names[clothes.y_train[0]] == "Ankle boot"


def test_cifar10_subset():
    split = datasets.cifar10(real("cifar10_subset.npz"), form="subset")
    assert split.x_train[0, :, 0, 0].tolist() == [59, 62, 63]
    assert split.names[split.y_train[0]] == "frog"
    assert split.x_test[0, :, 0, 0].tolist() == [158, 112, 49]


def test_ex3data1_is_upright_and_ten_is_zero():
    pytest.importorskip("scipy")
    x, y = datasets.ex3data1(real("ex3data1_rebuilt.mat"))
    assert x.shape == (5000, 400) and np.bincount(y).tolist() == [500] * 10
    assert y[0] == 0  # the file begins with the digit zero, as label 10
    one = x[y == 1].reshape(-1, 20, 20).transpose(0, 2, 1).mean(axis=0)
    assert one.sum(axis=0).max() > 1.5 * one.sum(axis=1).max()  # ones are upright strokes


def test_boston_housing_has_the_split_of_keras():
    x_train, y_train, x_test, y_test, names = datasets.boston_housing(real("boston_housing.data"))
    assert x_train.shape == (404, 13) and x_test.shape == (102, 13) and names[0] == "CRIM"
    assert y_train[:5].tolist() == [15.2, 42.3, 50.0, 21.1, 17.7]  # as Keras's loader gives them
    assert y_test[:5].tolist() == [7.2, 18.8, 19.0, 27.0, 22.2]
    assert x_train[0, 0] == 1.23247
    assert datasets.boston_housing(REAL, shuffle=False).y_train[0] == 24.0


def test_har_watch_and_patches():
    pytest.importorskip("h5py")
    split = datasets.har_watch(real("har_watch.h5"))
    assert split.x_train.shape == (3000, 150, 3) and split.x_train.dtype == np.float32
    assert np.bincount(split.y_test).tolist() == [100] * 6 and len(split.names) == 6
    patches = datasets.kodak_patches(real("natural_patches_kodak.h5"))
    grey = datasets.grey_patches(patches)
    assert patches.shape == (10240, 3, 16, 16) and grey.shape == (10240, 256)
    assert grey.min() == pytest.approx(0.1) and grey.max() == pytest.approx(0.9)


# -- preparing -------------------------------------------------------------------------------------


def test_grey_patches_by_hand():
    """Two patches of two pixels: grey 0 and 10, 5 and 5; means 5, 5; deviations -5 5 0 0."""
    patches = np.array([[0.0, 10.0], [5.0, 5.0]])[:, None, None, :] * np.ones((1, 3, 1, 1))
    bound = 3 * np.sqrt(50 / 4)
    expected = np.array([[-5, 5], [0, 0]]) / bound * 0.4 + 0.5
    np.testing.assert_allclose(datasets.grey_patches(patches), expected)
    spread = np.zeros((100, 3, 1, 2))
    spread[0, :, 0, 1] = 100
    assert datasets.grey_patches(spread)[0].tolist() == pytest.approx([0.1, 0.9])  # clipped
    with pytest.raises(ShapeError, match="must be n 3 H W"):
        datasets.grey_patches(np.zeros((2, 16, 16)))
    with pytest.raises(OptionError, match="low must be below high"):
        datasets.grey_patches(patches, low=1, high=0)


def test_holdout_is_scikit_learns_with_an_old_generator():
    selection = pytest.importorskip("sklearn.model_selection")
    x, y = np.arange(808).reshape(404, 2), np.arange(404)
    ours = datasets.holdout(x, y, fraction=0.25, rng=np.random.RandomState(42))
    theirs = selection.train_test_split(x, y, test_size=0.25, random_state=42)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(ours[0]) == 303


def test_holdout():
    a, b = datasets.holdout(np.arange(10), fraction=0.25, rng=1)
    assert len(b) == 3 and sorted([*a, *b]) == list(range(10))
    assert datasets.holdout(np.arange(10), rng=1)[1].tolist() == b.tolist()
    for fraction in (0, 1, -1):
        with pytest.raises(OptionError, match="fraction="):
            datasets.holdout(np.arange(3), fraction=fraction)
    with pytest.raises(ShapeError, match=r"\[2, 3\] rows"):
        datasets.holdout(np.arange(3), np.arange(2))


def test_standardise_uses_the_training_rows_alone():
    train = np.array([[0.0, 5.0], [4.0, 5.0]], np.float32)
    first, second = datasets.standardise(train, np.array([[6.0, 9.0]]))
    assert first.tolist() == [[-1, 0], [1, 0]] and first.dtype == np.float32
    assert second.tolist() == [[2, 4]]
    with pytest.raises(ShapeError, match="must have the same columns"):
        datasets.standardise(train, np.ones((2, 3)))


def test_one_hot():
    assert datasets.one_hot([1, 0], 2).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(ShapeError, match="must be from 0 to 1"):
        datasets.one_hot([2], 2)
    with pytest.raises(ShapeError, match="it must be N"):
        datasets.one_hot([[1]], 2)


@pytest.mark.parametrize("make", [datasets.blobs, datasets.moons, datasets.circles])
def test_toys(make):
    x, y = make(101, rng=3)
    assert x.shape == (101, 2) and x.dtype == np.float64 and y.dtype == np.int64
    counts = np.bincount(y)
    assert counts.max() - counts.min() <= 1
    again = make(101, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(x, again.x)
    np.testing.assert_array_equal(y, again.y)
    assert not np.array_equal(x, make(101, rng=4).x)
    assert len(make(1, rng=0).y) == 1
    with pytest.raises(ShapeError, match="n=0"):
        make(0)
    noise = "std" if make is datasets.blobs else "noise"
    with pytest.raises(OptionError, match=f"{noise}=-1"):
        make(3, **{noise: -1})


def test_blobs_are_where_they_should_be():
    x, y = datasets.blobs(3000, 3, std=0.5, spread=2.0, rng=0)
    means = np.array([x[y == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(means, [[0, 2], [-(3**0.5), -1], [3**0.5, -1]], atol=0.06)
    assert x[y == 0].std(axis=0) == pytest.approx([0.5, 0.5], abs=0.03)


# -- batches ---------------------------------------------------------------------------------------

X, Y = np.arange(22.0).reshape(11, 2), np.arange(11)


@pytest.fixture(params=["arrays", "h5"])
def make(request, tmp_path):
    """Batches of X and Y, from memory or from a file whose chunks do not fit the batches."""
    if request.param == "arrays":
        return lambda size, **options: datasets.Batches((X, Y), size, **options)
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "rows.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=X, chunks=(3, 1), compression="gzip")
        file.create_dataset("y", data=Y, chunks=(2,))
    return lambda size, **options: datasets.H5Batches(path, ("x", "y"), size, buffer=150, **options)


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize("drop", [False, True])
def test_batches_in_order(make, prefetch, drop):
    batches = make(4, prefetch=prefetch, drop_last=drop)
    for _ in range(2):
        found = list(batches)
        assert [len(x) for x, _ in found] == ([4, 4] if drop else [4, 4, 3])
        assert len(found) == len(batches)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in found]), X[: 8 if drop else 11])
        np.testing.assert_array_equal(np.concatenate([y for _, y in found]), Y[: 8 if drop else 11])


@pytest.mark.parametrize("size", [1, 2, 11, 12])
def test_shuffled_batches_have_every_row_once(make, size):
    batches = make(size, shuffle=True, rng=0)
    passes = [list(batches) for _ in range(3)]
    orders = [np.concatenate([y for _, y in found]).tolist() for found in passes]
    for found, order in zip(passes, orders, strict=True):
        assert sorted(order) == list(range(11)) and order != sorted(order)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in found]), X[order])
        assert [len(y) for _, y in found[:-1]] == [size] * (len(found) - 1)
    assert orders[0] != orders[1] != orders[2]


def test_shuffling_is_reproducible_with_prefetch_or_without(make):
    def orders(**options):
        batches = make(3, shuffle=True, **options)
        return [[y.tolist() for _, y in batches] for _ in range(3)], batches

    first, batches = orders(rng=5)
    assert orders(rng=np.random.default_rng(5))[0] == first
    assert orders(rng=5, prefetch=2)[0] == first
    assert orders(rng=6)[0] != first
    state = batches.rng.bit_generator.state
    after = [y.tolist() for _, y in batches]
    batches.rng.bit_generator.state = state  # as a resumed run does
    assert [y.tolist() for _, y in batches] == after


def test_two_passes_at_once_do_not_disturb_each_other(make):
    batches = make(4, prefetch=1)
    pairs = list(zip(batches, batches, strict=True))
    assert all(np.array_equal(a[1], b[1]) for a, b in pairs)


def test_one_array_gives_arrays(tmp_path):
    first = next(iter(datasets.Batches(X, 4)))
    assert isinstance(first, np.ndarray) and np.shares_memory(first, X)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
    assert next(iter(datasets.H5Batches(tmp_path / "a.h5", "x", 4))).tolist() == X[:4].tolist()


def test_transform_runs_in_the_thread(make):
    threads = set()

    def transform(x, y):
        threads.add(threading.current_thread().name)
        return x * 2, y

    found = list(make(4, transform=transform))
    np.testing.assert_array_equal(found[0][0], X[:4] * 2)
    assert threads == {threading.main_thread().name}
    threads.clear()
    assert len(list(make(4, transform=transform, prefetch=2))) == 3
    assert all(name.startswith("fastnn-batches") for name in threads)


def test_errors_come_where_the_batch_would_have_come(make):
    def transform(x, y):
        if y[0] == 4:
            raise LookupError("the second batch")
        return y.tolist()

    found = iter(make(4, transform=transform, prefetch=3))
    assert next(found) == [0, 1, 2, 3]
    with pytest.raises(LookupError, match="the second batch"):
        next(found)
    assert list(found) == []


def test_threads_end_with_the_pass(make):
    before = threading.active_count()
    batches = make(1, prefetch=4)
    list(batches)
    assert threading.active_count() == before
    for _ in batches:
        break  # left early: the iterator is closed when it is dropped
    assert threading.active_count() == before
    held = iter(batches)
    next(held)
    assert threading.active_count() == before + 1
    held.close()
    assert threading.active_count() == before


def test_a_pass_that_was_never_begun_holds_no_thread(make):
    before = threading.active_count()
    iter(make(1, prefetch=4))
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_in_the_middle_of_a_pass():
    """The child can begin a pass of its own; that of the parent is refused and never hangs."""
    text = run(
        """
        import os, warnings
        import numpy as np, fastnn
        warnings.simplefilter("ignore")
        batches = fastnn.datasets.Batches(np.arange(100), 1, prefetch=3)
        held = iter(batches)
        next(held)
        child = os.fork()
        if child == 0:
            try:
                next(held)
            except fastnn.StateError as err:
                os._exit(0 if len(list(batches)) == 100 and "fork" in str(err) else 1)
            os._exit(2)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 1 + len(list(held)))
        """
    )
    assert text == "0 100\n"


def test_an_open_pass_does_not_keep_the_process_alive():
    text = run(
        """
        import numpy as np, fastnn
        held = iter(fastnn.datasets.Batches(np.arange(100), 1, prefetch=3))
        print(next(held))
        """
    )
    assert text == "[0]\n"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"batch_size": 0}, ShapeError, "batch_size=0"),
        ({"prefetch": -1}, ShapeError, "prefetch=-1"),
        ({"shuffle": 1}, DtypeError, "shuffle=1"),
        ({"rng": "x"}, OptionError, "rng='x'"),
        ({"transform": 3}, OptionError, "transform=3"),
        ({"arrays": (X, Y[:3])}, ShapeError, "equally many rows"),
        ({"arrays": ()}, ShapeError, "there must be one"),
        ({"arrays": np.float64(3)}, ShapeError, "there must be one"),
    ],
)
def test_batches_check_their_arguments(options, error, text):
    with pytest.raises(error, match=text):
        datasets.Batches(**({"arrays": X, "batch_size": 2} | options))


def test_h5_batches_check_the_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"], file["y"], file["n"] = X, Y[:3], 5
    for names, error, text in (
        (("x", "y"), ShapeError, "equally many rows"),
        (("x", "z"), FileError, "has no dataset z"),
        ("n", ShapeError, "equally many rows"),
        ((), OptionError, "names is empty"),
    ):
        with pytest.raises(error, match=text):
            datasets.H5Batches(path, names, 2)
    path.write_bytes(b"text")
    with pytest.raises(FileError, match="whole HDF5"):
        datasets.H5Batches(path, "x", 2)


def test_streaming_takes_bounded_memory(tmp_path):
    """A file of 256 MiB through a buffer of 8 MiB: far less than the file is ever resident."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        options = {"chunks": (256, 1024), "compression": "gzip", "compression_opts": 1}
        data = file.create_dataset("x", (65536, 1024), "f4", **options)
        for start in range(0, 65536, 8192):
            rows = np.arange(start, start + 8192, dtype=np.float32)
            data[start : start + 8192] = np.repeat(rows[:, None], 1024, axis=1)
    grown, total = run(
        """
        import resource, sys, fastnn
        batches = fastnn.datasets.H5Batches(
            sys.argv[1], "x", 100, shuffle=True, rng=0, prefetch=2, buffer=8 << 20
        )
        next(iter(batches))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        total = sum(int(batch[:, 7].sum(dtype="f8")) for batch in batches)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, total)
        """,
        path,
    ).split()
    assert int(total) == 65536 * 65535 // 2
    assert int(grown) < 32
