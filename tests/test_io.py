"""Files of weights: whole or not at all on the way out, trusted in nothing on the way in."""

from __future__ import annotations

import errno
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import fastnn.io
from fastnn.errors import DtypeError, FileError, OptionError

STATE = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.bias": np.array([np.nan, np.inf, -0.0]),
    "count": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 3), np.uint8),
    "file": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "größe": np.arange(4.0)[::2],
}


def npy(array, **changes):
    """An npy entry, with parts of its header replaced."""
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | changes
    return raw_npy(repr(header).encode(), array.tobytes())


def raw_npy(header, data=b""):
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def archive(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as z:
        for name, data in entries:
            z.writestr(name, data)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.npz"


def same(state, other):
    assert list(state) == list(other)
    for name, array in state.items():
        native = other[name].astype(other[name].dtype.newbyteorder("="))
        assert array.dtype.isnative
        np.testing.assert_array_equal(array, native, err_msg=name, strict=True)


# -- both ways -----------------------------------------------------------------------------------


def test_round_trip(path):
    fastnn.io.save(path, STATE)
    state = fastnn.io.load(path)
    same(state, STATE)
    assert np.signbit(state["0.bias"][2])
    assert state["file"].flags.f_contiguous
    for array in state.values():
        assert type(array) is np.ndarray
        array[...] = 1  # writable, and apart from the file
    same(fastnn.io.load(str(path)), STATE)


def test_numpy_scalars_are_arrays_without_axes(path):
    fastnn.io.save(path, {"a": np.int64(3), "b": np.float32(0.5)})
    same(fastnn.io.load(path), {"a": np.array(3), "b": np.array(0.5, np.float32)})


def test_empty_state(path):
    fastnn.io.save(path, {})
    assert fastnn.io.load(path) == {}


def test_numpy_reads_ours_and_we_read_numpys(path):
    fastnn.io.save(path, STATE)
    with np.load(path, allow_pickle=False) as theirs:
        same(STATE, dict(theirs))
    plain = {name: a for name, a in STATE.items() if name != "file"}  # savez's own argument
    for write in (np.savez, np.savez_compressed):
        write(path, **plain)
        same(fastnn.io.load(path), plain)


def test_equal_states_give_equal_bytes(path, tmp_path):
    fastnn.io.save(path, STATE)
    fastnn.io.save(tmp_path / "b", {name: a.copy(order="K") for name, a in STATE.items()})
    assert path.read_bytes() == (tmp_path / "b").read_bytes()


def test_big_endian_arrays_come_back_native(path):
    state = {"a": np.arange(3, dtype=">f4"), "b": np.array(5, ">i8")}
    fastnn.io.save(path, state)
    same(fastnn.io.load(path), state)


def test_large_arrays_are_read_in_pieces_without_a_second_copy(path):
    state = {"a": np.random.default_rng(0).standard_normal(700_001)}
    fastnn.io.save(path, state)
    tracemalloc.start()
    try:
        loaded = fastnn.io.load(path)
        assert tracemalloc.get_traced_memory()[1] < state["a"].nbytes + (4 << 20)
    finally:
        tracemalloc.stop()
    same(loaded, state)


# -- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a\\b", "a\0b", "a\nb", "x" * 1000, 5])
def test_save_refuses_names(path, name):
    with pytest.raises(OptionError, match="save: name"):
        fastnn.io.save(path, {name: np.ones(2)})
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize(
    "value",
    [np.array([object()]), np.array(["a"]), np.ones(2, complex), np.ones(2, "f2"), [1.0], None,
     np.zeros(2, [("x", "f4")]), np.array(["2026"], "M8[Y]")],
    ids=["object", "text", "complex", "half", "list", "None", "record", "date"],
)  # fmt: skip
def test_save_refuses_values(path, value):
    fastnn.io.save(path, {"a": np.ones(2)})
    before = path.read_bytes()
    with pytest.raises(DtypeError, match=r"save: b is .* it must be an array of bool"):
        fastnn.io.save(path, {"a": np.ones(2), "b": value})
    assert path.read_bytes() == before


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["replace", "write", "fsync"])
def test_interrupted_write_leaves_the_old_file(path, monkeypatch, error, where):
    fastnn.io.save(path, STATE)
    before = path.read_bytes()
    real, calls = np.lib.format.write_array, []

    def fail(*args, **kwargs):
        calls.append(args)
        if where == "write" and len(calls) < 3:
            return real(*args, **kwargs)
        raise error

    target = {"replace": (os, "replace"), "write": (np.lib.format, "write_array"),
              "fsync": (os, "fsync")}[where]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(*target, fail)
        with pytest.raises(type(error)) as caught:
            fastnn.io.save(path, {name: a + a for name, a in STATE.items()})
    assert caught.value is error
    assert calls
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == before
    same(fastnn.io.load(path), STATE)


def test_the_new_file_is_on_the_disk_before_it_takes_the_name(path, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, r=real: (order.append(n), r(*a))[1])
    fastnn.io.save(path, STATE)
    assert order[:2] == ["fsync", "replace"]


def test_save_into_a_folder_that_is_not_there_or_closed(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastnn.io.save(tmp_path / "no" / "weights.npz", STATE)
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write to a read-only folder")
    with pytest.raises(PermissionError):
        fastnn.io.save(closed / "weights.npz", STATE)


def test_folders_are_no_files(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(FileError, match=r"save: .*a is a folder"):
        fastnn.io.save(tmp_path / "a", STATE)
    with pytest.raises(FileError, match=r"load: .*a is a folder"):
        fastnn.io.load(tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"]
    with pytest.raises(FileNotFoundError):
        fastnn.io.load(tmp_path / "b")


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_stay(path, tmp_path):
    old = os.umask(0o027)
    try:
        fastnn.io.save(path, STATE)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    fastnn.io.save(link, {"a": np.ones(2)})
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o604
    same(fastnn.io.load(path), {"a": np.ones(2)})


# -- reading -------------------------------------------------------------------------------------


def test_garbage_is_refused(path):
    rng = np.random.default_rng(0)
    for data in (b"", b"PK", b"\x93NUMPY\1\0", rng.bytes(5000), b"PK\5\6" + b"\xff" * 18):
        path.write_bytes(data)
        with pytest.raises(FileError, match=r"^load: .*weights.npz: "):
            fastnn.io.load(path)


def test_every_truncation_is_refused(path):
    fastnn.io.save(path, STATE)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(FileError):
            fastnn.io.load(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_found_or_harmless(path, compressed):
    (np.savez_compressed if compressed else np.savez)(path, a=np.arange(40.0), b=np.ones(3, "i2"))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        for i in rng.integers(len(data), size=rng.integers(1, 4)):
            data[i] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        try:
            state = fastnn.io.load(path)
        except FileError:
            refused += 1
        else:  # only names and fields that do not matter were hit; the checksums cover the rest
            values = list(state.values())
            np.testing.assert_array_equal(values[0], np.arange(40.0))
    assert refused > 200


def test_pickles_are_refused_and_never_run(path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(path.parent / "trapped"),)

    np.savez(path, a=np.ones(2), trap=np.array([Trap()], object))
    with pytest.raises(FileError, match=r"entry 'trap.npy' has dtype '\|O'; it must be bool"):
        fastnn.io.load(path)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"shape": (10**15,)}, r"shape \(1000000000000000,\), \d+ bytes .* but has"),
        ({"shape": (10**9, 10**9, 10**9)}, "declares"),
        ({"shape": (3,)}, "they must be the same"),
        ({"shape": (1,)}, "they must be the same"),
        ({"shape": (-1, -2)}, r"shape \(-1, -2\)"),
        ({"shape": (True, 2)}, "whole numbers"),
        ({"shape": (2.0,)}, "whole numbers"),
        ({"shape": [2]}, "whole numbers"),
        ({"shape": 2}, "whole numbers"),
        ({"fortran_order": 1}, "and a bool"),
        ({"descr": "<c8"}, "dtype '<c8'"),
        ({"descr": "<f2"}, "dtype '<f2'"),
        ({"descr": "|O"}, r"dtype '\|O'"),
        ({"descr": "O"}, "dtype 'O'"),
        ({"descr": ""}, "dtype ''"),
        ({"descr": "(2,)f8"}, "dtype"),
        ({"descr": [("x", "<f8")]}, "dtype"),
        ({"descr": None}, "dtype"),
        ({"more": 1}, "descr, fortran_order and shape"),
    ],
    ids=str,
)
def test_headers_that_do_not_fit_are_refused_before_memory_is_taken(path, changes, text):
    array = np.arange(2.0)
    entries = [("big.npy", npy(np.zeros(200_000))), ("bad.npy", npy(array, **changes))]
    archive(path, entries)
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=rf"^load: .*weights.npz, entry 'bad.npy'.*{text}"):
            fastnn.io.load(path)
        assert tracemalloc.get_traced_memory()[1] < 500_000  # the good entry was not made either
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "shape", [(0, 10**30), (0, 2**62, 2**62), (0,) * 100], ids=["huge", "product", "axes"]
)
def test_impossible_empty_shapes_are_refused(path, shape):
    archive(path, [("a.npy", npy(np.zeros(0), shape=shape))])
    with pytest.raises(FileError, match=r"weights.npz"):
        fastnn.io.load(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\3\0" + bytes(20),
        raw_npy(b""),
        raw_npy(b"{"),
        raw_npy(b"__import__('os').mkdir('trapped')"),
        raw_npy(b"[1]"),
        raw_npy(b"-" * 9000 + b"1"),
        raw_npy(b"(" * 5000),
        raw_npy(b"9" * 9000),
        raw_npy(
            repr({"descr": "|u1", "fortran_order": False, "shape": ()}).ljust(20_000).encode(), b"1"
        ),
        b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + b"{}",
        b"not an array",
    ],
    ids=range(13),
)
def test_entries_that_are_no_arrays_are_refused(path, data):
    archive(path, [("a.npy", data)])
    with pytest.raises(FileError, match=r"weights.npz, entry 'a.npy'"):
        fastnn.io.load(path)


@pytest.mark.parametrize(
    "name", ["a", "a/b.npy", "../a.npy", "/a.npy", "a\\b.npy", ".npy", "a\n.npy", "a/"]
)
def test_names_that_are_not_plain_are_refused(path, name):
    archive(path, [(name, npy(np.ones(2)))])
    with pytest.raises(FileError, match="it must be an array's name"):
        fastnn.io.load(path)


def test_a_name_twice_is_refused(path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive(path, [("a.npy", npy(np.ones(2)))] * 2)
    with pytest.raises(FileError, match="twice"):
        fastnn.io.load(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(path, compression):
    archive(path, [("a.npy", npy(np.ones(2)))], compression)
    with pytest.raises(FileError, match="compression"):
        fastnn.io.load(path)


def test_a_zip_bomb_is_refused_before_memory_is_taken(path):
    np.savez_compressed(path, a=np.zeros(5_000_000, np.uint8))
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=r"its entries have 5000128 bytes; limit=1000000 is"):
            fastnn.io.load(path, limit=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert fastnn.io.load(path)["a"].size == 5_000_000


def test_a_directory_that_declares_less_than_the_entry_holds(path):
    """The header, too, says 2 elements; 10 million bytes of zeros follow in the packed data."""
    array = np.zeros(2)
    entry = npy(array)
    archive(path, [("a.npy", entry + bytes(10_000_000))], zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    size = struct.pack("<I", len(entry) + 10_000_000)
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, struct.pack("<I", len(entry))))
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            fastnn.io.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_directory_that_declares_more_than_the_entry_holds(path):
    entry = npy(np.zeros(2), shape=(1000,))
    archive(path, [("a.npy", entry)], zipfile.ZIP_DEFLATED)
    data, size = path.read_bytes(), struct.pack("<I", len(entry))
    path.write_bytes(data.replace(size, struct.pack("<I", len(entry) + 8 * 998)))
    with pytest.raises(FileError, match=r"it must be (a )?whole"):
        fastnn.io.load(path)


def test_the_file_itself_counts(path):
    fastnn.io.save(path, {"a": np.ones(1000)})
    size = path.stat().st_size
    with pytest.raises(FileError, match=rf"the file has {size} bytes; limit={size - 1}"):
        fastnn.io.load(path, limit=size - 1)
    assert fastnn.io.load(path, limit=size)["a"].size == 1000


@pytest.mark.parametrize("limit", [-1, 1.5, True, None, "4G"])
def test_limit_must_be_a_number_of_bytes(path, limit):
    with pytest.raises(OptionError, match="limit="):
        fastnn.io.load(path, limit=limit)


def test_encrypted_entries_are_refused(path):
    archive(path, [("a.npy", npy(np.ones(2)))])
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2") + 8
    data[at] |= 1
    path.write_bytes(data)
    with pytest.raises(FileError, match="encrypted"):
        fastnn.io.load(path)


def test_file_errors_are_os_errors():
    assert issubclass(FileError, OSError)
