"""Our matrix product, through `fastnn.linear`, against NumPy's BLAS with as many threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rows import note

import fastnn


@pytest.mark.parametrize("library", ["fastnn", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [256, 512, 1024])
def test_square(benchmark: Any, size: int, dtype: str, library: str) -> None:
    """x w^T of squares: fastnn is to reach 90 % of NumPy on the large ones."""
    pool = pytest.importorskip("threadpoolctl")  # an unpinned BLAS would make the ratio a lottery
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, size, size)).astype(dtype)
    out = np.empty_like(x)
    benchmark.group = f"gemm {size} {dtype}"
    note(
        benchmark, implementation=library, dtype=dtype, gflop=2 * size**3 / 1e9, bytes=3 * x.nbytes
    )
    np.testing.assert_allclose(fastnn.linear(x, w), x @ w.T, atol=1e-5 * size**0.5)
    with pool.threadpool_limits(fastnn.get_num_threads(), user_api="blas"):
        if library == "fastnn":
            benchmark(fastnn.linear, x, w, out=out)
        else:
            benchmark(np.matmul, x, w.T, out=out)
