"""The matrix: operation x case x dtype x implementation, from the registry. Nobody writes a row."""

from __future__ import annotations

import os

import pytest

import fastnn
from fastnn import dispatch

dispatch.every()

REQUIRED = [b for b in os.environ.get("FASTNN_REQUIRE", "").split(",") if b]
DTYPES = ("float32", "float64")


def pytest_addoption(parser):
    parser.addoption("--op", action="append", help="in the matrix only this operation (repeatable)")


def pytest_configure(config):
    for backend in REQUIRED:
        why = dispatch.unavailable(backend)
        if backend not in dispatch.BACKENDS or why is not None:
            raise pytest.UsageError(f"FASTNN_REQUIRE names {backend}: {why or 'no such backend'}")


def pytest_generate_tests(metafunc):
    names = set(metafunc.fixturenames)
    only = metafunc.config.getoption("--op")
    ops = [op for op in fastnn.dispatch.OPS.values() if only is None or op.name in only]
    if {"op", "case", "dtype", "impl"} <= names:
        rows = [
            pytest.param(op, case, dtype, impl, id=f"{op.name}-{case.id}-{dtype}-{impl}")
            for op in ops
            for case in op.cases()
            if case.kind != "bench"
            for dtype in DTYPES
            for impl in op.impls
        ]
        metafunc.parametrize("op,case,dtype,impl", rows)
    elif "case" in names and names & {"op", "smooth_op"}:
        name = "op" if "op" in names else "smooth_op"
        rows = [
            pytest.param(op, case, id=f"{op.name}-{case.id}")
            for op in ops
            if op.smooth or name == "op"
            for case in op.cases()
            if case.kind == "core"
        ]
        metafunc.parametrize(f"{name},case", rows)
    elif {"op", "bad"} <= names:
        rows = [
            pytest.param(op, bad, id=f"{op.name}-{i}")
            for op in ops
            for i, bad in enumerate(op.errors())
        ]
        metafunc.parametrize("op,bad", rows)
    elif "op" in names:
        metafunc.parametrize("op", ops, ids=[op.name for op in ops])


@pytest.fixture(autouse=True)
def _same_settings_after_each_test():
    threads = fastnn.get_num_threads()
    yield
    fastnn.set_num_threads(threads)


def skip_if_refused(op, impl, call):
    """Skip with the implementation's own words; a backend that must be there may not refuse."""
    why = op.impl(impl).supports(call)
    if why is None:
        return
    missing = dispatch.unavailable(op.impl(impl).backend)
    if missing is None or op.impl(impl).backend in REQUIRED:
        return
    pytest.skip(f"{op.name} {impl}: {why}")
