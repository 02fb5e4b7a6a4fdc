"""The rows of the benchmarks, made from the registry, and what is noted beside each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from fastnn import _info
from fastnn._cases import Case
from fastnn._cli.measure import check, naive_part
from fastnn._cli.workload import DIRECTIONS, Workload, describe
from fastnn.dispatch import Op, every

DTYPES = ("float32", "float64")

# Naive code makes some 1e6 to 1e8 FLOP a second; larger calls would outlast the patience of a run.
NAIVE_FLOPS = 2e6
NAIVE_CHECK = 0.3  # seconds; where one sample takes longer, fast code is checked on fast code


class Subject(NamedTuple):
    """One row: what is timed, without its data."""

    op: str
    case: Case
    dtype: str
    direction: str
    impl: str
    call: Any

    @property
    def id(self) -> str:
        """Text of the test's id, for -k."""
        name = self.case.name or self.case.id
        return f"{self.op}-{name}-{self.dtype}-{self.direction}-{self.impl}"

    @property
    def group(self) -> str:
        """Rows of one group differ in the implementation alone, so their ratios mean something."""
        name = self.case.name or self.case.id
        return f"{self.op} {self.direction} {name} {self.dtype}"


def subjects() -> Iterator[Subject]:
    for op in every().values():
        for case in op.cases():
            if case.kind == "bench":
                for dtype in DTYPES:
                    call = describe(op, case, dtype)
                    for direction in DIRECTIONS:
                        for impl in op.impls:
                            if impl != "naive" or call.flops <= NAIVE_FLOPS:
                                yield Subject(op.name, case, dtype, direction, impl, call)


@lru_cache(maxsize=1)  # rows of one case and dtype follow each other; all cases at once are too big
def checked(op: Op[..., Any, Any], number: int, dtype: str) -> Workload:
    """Data of the case at position `number`, on which all implementations agree."""
    case = list(op.cases())[number]
    full = Workload.of(op, case, dtype)
    fast = [n for n in op.impls if n != "naive" and op.impl(n).supports(full.call) is None]
    error = check(full, naive_part(full, NAIVE_CHECK), fast)
    assert error is None or error <= full.tolerance, (
        f"{op.name} {case.name} {dtype}: implementations differ by {error:.3g}"
    )
    return full


def note(benchmark: Any, **extra: Any) -> None:
    """Fill the row's extra_info: what is given, and what the times depend on besides."""
    c = _info.config()
    common = {
        "threads": c["threads"],
        "isa": c["compiled"]["isa"],
        "cpu": c["cpu"],
        "fastnn": c["fastnn"],
        "numpy": c["numpy"],
        "numba": c["numba"]["version"],
        "python": c["python"],
    }
    benchmark.extra_info.update(common | extra)
