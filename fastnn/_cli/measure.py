"""One benchmark case: check the implementations against each other, then time them."""

from __future__ import annotations

from timeit import default_timer
from typing import Any, NamedTuple

from fastnn._cases import Case
from fastnn._cli.timing import interleaved
from fastnn._cli.workload import DIRECTIONS, Workload, implementations
from fastnn.dispatch import Op
from fastnn.errors import ShapeError

NAIVE_TARGET = 0.2  # seconds of one forward and backward of the naive code
NAIVE_LIMIT = {False: 3.0, True: 0.3}  # beyond it for one sample, naive is left out; True: quick


class Row(NamedTuple):
    """One line of the table: a direction of a case on every backend."""

    op: str
    case: str
    source: str
    direction: str
    dtype: str
    flops: int
    bytes: int
    seconds: dict[str, float]  # by backend
    implementations: dict[str, str]
    missing: dict[str, str]  # why a backend has no time
    naive_samples: int  # the naive time is scaled up from so many of `samples`; 0: not timed
    samples: int
    error: float | None  # None: there was nothing to compare with
    tolerance: float

    @property
    def failed(self) -> bool:
        """Whether implementations disagree; such a case is not timed."""
        return self.error is not None and not self.error <= self.tolerance

    @property
    def fastest(self) -> str | None:
        """The backend with the best time besides naive."""
        fast = {k: v for k, v in self.seconds.items() if k != "naive"}
        return min(fast, key=lambda k: fast[k]) if fast else None

    @property
    def speedup(self) -> float | None:
        """Naive time over the best time."""
        if self.fastest is None or "naive" not in self.seconds:
            return None
        return self.seconds["naive"] / self.seconds[self.fastest]


def measure(op: Op[..., Any, Any], case: Case, dtype: str, *, quick: bool = False) -> list[Row]:
    """Rows of both directions of `case`; without times if the implementations disagree."""
    full = Workload.of(op, case, dtype)
    found, missing = implementations(op, full.call)
    fast = {backend: name for backend, name in found.items() if backend != "naive"}
    part = naive_part(full, NAIVE_LIMIT[quick])
    if part is None:
        del found["naive"]
        missing["naive"] = f"one sample takes more than {NAIVE_LIMIT[quick]:g} s"
    error = check(full, part, list(fast.values()))
    rows = []
    for direction in DIRECTIONS:
        row = Row(
            op.name, case.name or case.id, case.source, direction, dtype,
            full.call.flops, full.call.bytes, {}, found, missing,
            part.samples if part else 0, full.samples, error, full.tolerance,
        )  # fmt: skip
        rows.append(row if row.failed else row._replace(seconds=_time(row, full, part)))
    return rows


def naive_part(full: Workload, limit: float) -> Workload | None:
    """As many samples as the naive code does in about `NAIVE_TARGET`; None if one is too slow."""
    least = _least(full)
    if _prediction(least) > 2 * limit:
        return None
    start = default_timer()
    least.run("naive")
    took = default_timer() - start
    if took > 2 * limit:  # both directions
        return None
    return full.first(least.samples * max(1, int(NAIVE_TARGET / took)))


def _least(full: Workload) -> Workload:
    """One sample, or the whole batch if the operation needs more (statistics over the batch)."""
    try:
        return full.first(1)
    except ShapeError:
        return full


_seconds_per_entry: dict[str, float] = {}


def _prediction(work: Workload) -> float:
    """Rough seconds of naive forward and backward, without running it.

    The naive code is a Python loop over the result with a NumPy sum inside. What one turn costs is
    measured on the largest core case, the sum is taken to run at 1 GFLOP/s.
    """
    op = work.op
    if op.name not in _seconds_per_entry:
        core = (Workload.of(op, c, "float64") for c in op.cases() if c.kind == "core")
        largest = max(core, key=lambda w: w.call.flops)
        start = default_timer()
        largest.run("naive")
        _seconds_per_entry[op.name] = (default_timer() - start) / _entries(largest)
    return _seconds_per_entry[op.name] * _entries(work) + 3e-9 * float(work.call.flops)


def _entries(work: Workload) -> int:
    dys = work.dy if isinstance(work.dy, tuple) else (work.dy,)
    return max(1, sum(int(d.size) for d in dys))


def check(full: Workload, part: Workload | None, fast: list[str]) -> float | None:
    """Worst difference of fast code from naive on the part, and from each other on the whole."""
    differences = []
    if part is not None and fast:
        want = part.run("naive")
        differences += [part.difference(part.run(name), want) for name in fast]
    if len(fast) > 1:
        first = full.run(fast[0])
        differences += [full.difference(full.run(name), first) for name in fast[1:]]
    return max(differences, default=None)


def _time(row: Row, full: Workload, part: Workload | None) -> dict[str, float]:
    """Seconds per backend; naive's scaled from its part to the whole by FLOP."""
    works = {b: part if b == "naive" and part else full for b in row.implementations}
    actions = {b: works[b].action(row.implementations[b], row.direction) for b in works}
    seconds = interleaved(actions)
    if part is not None:
        seconds["naive"] *= full.call.flops / part.call.flops if part.call.flops else 1.0
    return seconds
