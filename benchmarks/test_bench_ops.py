"""Every operation, benchmark case, dtype, direction and implementation."""

from __future__ import annotations

from typing import Any

from rows import Subject

from fastnn._cli.workload import Workload


def test_op(benchmark: Any, subject: Subject, work: Workload) -> None:
    """One direction of one call, as a user would make it."""
    benchmark(work.action(subject.impl, subject.direction))
