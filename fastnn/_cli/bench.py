"""fastnn bench: one table of times on every backend, and how much faster than naive they are."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fastnn import _info
from fastnn._cases import Case
from fastnn._cli import table
from fastnn._cli.extras import progress
from fastnn._cli.measure import NAIVE_LIMIT, Row, measure
from fastnn._files import write_text
from fastnn.dispatch import BACKENDS, Op, every, use
from fastnn.errors import OptionError
from fastnn.ops import FAMILY

Chosen = tuple[Op[..., Any, Any], Case]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--op", choices=list(FAMILY), help="time this operation alone")
    parser.add_argument("--case", metavar="NAME", help="time this case alone, e.g. seed_fast")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=int, metavar="N", help="threads that a call may use")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"leave naive out where one sample takes more than {NAIVE_LIMIT[True]:g} s",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to FILE")


def run(args: argparse.Namespace) -> int:
    """Check, time and print; 1 if implementations disagree."""
    chosen = list(select(args.op, args.case))
    with use(threads=args.threads):
        rows = measure_all(chosen, args.dtype, quick=args.quick)
        print(caption(args.dtype))
        print(render(rows))
        if args.json is not None:
            write(rows, args.json)
    return int(any(row.failed for row in rows))


def select(op: str | None = None, name: str | None = None) -> Iterator[Chosen]:
    """The benchmark cases, of one operation or of one name only."""
    ops = list(every().values()) if op is None else [every()[op]]
    rows = [(o, case) for o in ops for case in o.cases() if case.kind == "bench"]
    found = [(o, case) for o, case in rows if name in (None, case.name, case.id)]
    if not found:
        known = ", ".join(sorted({case.name for _, case in rows}))
        raise OptionError(f"bench: --case={name} is unknown; known are {known or 'none'}")
    yield from found


def measure_all(chosen: Sequence[Chosen], dtype: str, *, quick: bool) -> list[Row]:
    """Rows of both directions of every chosen case."""
    rows: list[Row] = []
    for op, case in progress(chosen, "bench"):
        rows += measure(op, case, dtype, quick=quick)
    return rows


def caption(dtype: str) -> str:
    """Under which conditions the table came about."""
    c = _info.config()
    return f"fastnn {c['fastnn']}, {dtype}, {c['threads']} threads, {c['cpu']}"


def render(rows: Sequence[Row]) -> str:
    """The table with its notes."""
    header = ("operation", "case", "direction", *BACKENDS[::-1], "speed-up", "error")
    lines = [table.render(header, [_cells(row) for row in rows], right="   rrrrr")]
    lines.append(
        "median time of a call; speed-up: naive over the fastest; "
        "error: worst difference relative to a result's largest entry"
    )
    if any(0 < row.naive_samples < row.samples for row in rows):
        lines.append("~: timed on the first samples of the batch and scaled up by FLOP")
    lines += _reasons(rows)
    lines += [
        f"FAILED {row.op} {row.case}: implementations differ by {row.error:.3g}, "
        f"more than {row.tolerance:.3g}; not timed"
        for row in rows
        if row.failed and row.direction == "forward"
    ]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    times = []
    for backend in BACKENDS[::-1]:
        rough = "~" if backend == "naive" and row.naive_samples < row.samples else ""
        taken = row.seconds.get(backend)
        times.append("-" if taken is None else rough + table.seconds(taken))
    speedup = "-" if row.speedup is None else table.factor(row.speedup)
    error = "-" if row.error is None else f"{row.error:.0e}" if row.error else "0"
    return (row.op, row.case, row.direction, *times, speedup, "FAILED" if row.failed else error)


def _reasons(rows: Iterable[Row]) -> list[str]:
    """Why some times are missing, every reason once."""
    cases: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for backend, why in row.missing.items():
            names = cases.setdefault((backend, why), [])
            if f"{row.op} {row.case}" not in names:
                names.append(f"{row.op} {row.case}")
    everything = len({(row.op, row.case) for row in rows})
    return [
        f"-: {backend}: {why}" + ("" if len(names) == everything else f" ({', '.join(names)})")
        for (backend, why), names in cases.items()
    ]


def write(rows: Iterable[Row], target: Path) -> None:
    """All rows and what they were measured with, as JSON."""
    document = {
        "config": _info.config(),
        "rows": [{**row._asdict(), "speedup": row.speedup, "failed": row.failed} for row in rows],
    }
    try:
        write_text("bench", target, json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise OptionError(f"{target} cannot be written: {error.strerror or error}") from error
