"""The matrix product with tiles that this machine's builds do not have."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastnn

SOURCES = Path(fastnn.__file__).parent / "_ext" / "src"


class Product(ctypes.Structure):
    """fastnn_gemm_args."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("a", "b", "bias", "c")),
        *((n, ctypes.c_ssize_t) for n in "m n k a_row a_col b_row b_col ldc".split()),
        ("threads", ctypes.c_int),
    ]


@pytest.mark.parametrize("bits", [32, 64])
def test_products_with_the_tiles_of_arm(bits, tmp_path):
    """8 rows are four vectors of float64 there: packing left out those in the middle."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not (SOURCES / "gemm.c").exists():
        pytest.skip("needs a C compiler and the sources")
    library = tmp_path / "gemm.so"
    options = ["-std=gnu11", "-O1", "-w", "-fPIC", "-shared", "-DFASTNN_TILES_OF_ARM"]
    options += [f"-DFASTNN_BITS={bits}", "-DFASTNN_ISA=baseline"]
    files = [SOURCES / name for name in ("gemm.c", "threads.c", "blocks.c")]
    subprocess.run([compiler, *options, *files, "-o", library, "-lpthread"], check=True)
    gemm = getattr(ctypes.CDLL(str(library)), f"fastnn_gemm_f{bits}_baseline")
    rng = np.random.default_rng(0)
    for m in (*range(1, 18), 90):
        for n, k in ((1, 3), (5, 2), (9, 7), (4, 300)):
            for a_order, b_order in ("CC", "CF", "FC", "FF"):
                a = np.array(rng.integers(-3, 4, (m, k)), f"f{bits // 8}", order=a_order)
                b = np.array(rng.integers(-3, 4, (k, n)), a.dtype, order=b_order)
                c = np.empty((m, n), a.dtype)
                strides = [s // a.itemsize for s in (*a.strides, *b.strides)]
                args = Product(a.ctypes.data, b.ctypes.data, None, c.ctypes.data, m, n, k,
                               *strides, n, 1)  # fmt: skip
                assert gemm(ctypes.byref(args)) == 0
                assert np.array_equal(c, a @ b), (m, n, k, a_order, b_order)
