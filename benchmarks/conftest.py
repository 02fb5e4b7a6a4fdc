"""Benchmarks made from the registry: nobody writes a row; an operation ships its cases."""

from __future__ import annotations

from typing import Any

import pytest
from rows import Subject, checked, note, subjects

import fastnn
from fastnn import _info
from fastnn._cli.workload import Workload
from fastnn.dispatch import every


def pytest_addoption(parser: pytest.Parser) -> None:
    """--fastnn-threads."""
    parser.addoption(
        "--fastnn-threads",
        default="2",
        metavar="N",
        help='threads that fastnn and, in comparisons, BLAS may use; a number or "all" (default 2)',
    )


def pytest_configure(config: pytest.Config) -> None:
    """Pin the threads for the whole run; the default leaves it at what the machine has."""
    wanted = config.getoption("--fastnn-threads")
    if wanted == "2":
        fastnn.set_num_threads(min(2, fastnn.get_num_threads()))
    elif wanted != "all":
        if not wanted.isdecimal():
            raise pytest.UsageError(f'--fastnn-threads={wanted}; it must be a number or "all"')
        fastnn.set_num_threads(int(wanted))


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: Any) -> None:
    """Put the installation into the report, once."""
    machine_info["fastnn"] = _info.config()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise `subject` over operations, cases, dtypes, directions and implementations."""
    if "subject" in metafunc.fixturenames:
        rows = list(subjects())
        metafunc.parametrize("subject", rows, ids=[s.id for s in rows], scope="session")


@pytest.fixture
def work(subject: Subject, benchmark: Any) -> Workload:
    """The subject's data after the check, with the report's group and notes filled in."""
    op = every()[subject.op]
    why = op.impl(subject.impl).supports(subject.call)
    if why is not None:
        pytest.skip(f"{subject.impl}: {why}")
    benchmark.group = subject.group
    note(
        benchmark,
        implementation=subject.impl,
        dtype=subject.dtype,
        direction=subject.direction,
        gflop=subject.call.flops / 1e9,
        bytes=subject.call.bytes,
        source=subject.case.source,
    )
    return checked(op, list(op.cases()).index(subject.case), subject.dtype)
