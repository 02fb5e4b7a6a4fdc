"""What is paid before any arithmetic: the import, and the way through dispatch."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rows import note

import fastnn
from fastnn.dispatch import unavailable


@pytest.mark.parametrize("modules", ["numpy", "numpy, fastnn"])
def test_import(benchmark: Any, modules: str) -> None:
    """A fresh interpreter; fastnn's share is the difference of the two rows."""
    benchmark.group = "import"
    note(benchmark, implementation=modules)
    command = [sys.executable, "-c", f"import {modules}"]
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=15, warmup_rounds=2)


def _paths() -> dict[str, Callable[[], object]]:
    """Three ways to one tiny product, from the front door to the kernel's."""
    linear = importlib.import_module("fastnn._ext._linear")
    x, w = np.ones((2, 4, 4), np.float32)
    out = np.empty_like(x)
    op = fastnn.linear
    call, arrays, _, _ = op.front(x, w)
    impl = op.select(call, "cython")
    return {
        "fastnn.linear": lambda: op(x, w, out=out),
        "implementation": lambda: impl.forward(call, *arrays, out=out, save=False),
        "door": lambda: linear.gemm(x, w.T, None, out),
    }


@pytest.mark.skipif(unavailable("cython") is not None, reason=str(unavailable("cython")))
@pytest.mark.parametrize("path", ["fastnn.linear", "implementation", "door"])
def test_dispatch(benchmark: Any, path: str) -> None:
    """A 4x4 product; checks and choice are the difference of the first two rows."""
    benchmark.group = "dispatch of linear 4x4"
    note(benchmark, implementation=path)
    benchmark(_paths()[path])
