"""fastnn selftest: every implementation against naive, on this machine."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from fastnn import testing
from fastnn._cases import Case
from fastnn._cli import table
from fastnn._cli.digest import digest
from fastnn._cli.extras import progress
from fastnn.dispatch import BACKENDS, Impl, Op, check_backend, every, unavailable, use
from fastnn.errors import OptionError
from fastnn.ops import FAMILY

DTYPES = ("float32", "float64")
SHOWN = 3  # failures of a row that are printed; --json has all


class Row(NamedTuple):
    """What was found for one implementation in one dtype."""

    op: str
    impl: str
    dtype: str
    cases: int
    refused: dict[str, int]  # how many cases, by reason
    forward: float  # worst error in units of the bound
    backward: float
    failures: list[str]  # what and how to see it again


class Check(NamedTuple):
    """One implementation in one dtype, still to be checked."""

    op: Op[..., Any, Any]
    impl: Impl
    dtype: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--op", choices=list(FAMILY), help="check this operation alone")
    parser.add_argument("--backend", metavar="NAME", help="a backend or one implementation")
    parser.add_argument("--threads", type=int, metavar="N", help="threads that a call may use")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument(
        "--fuzz",
        type=int,
        metavar="N",
        help="instead, N random calls, a third of them wrong on purpose: refused, or equal results",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first random call")
    parser.add_argument(
        "--hash",
        action="store_true",
        help="print one SHA-256 of all compiled results instead: it is the same for any --threads",
    )


def run(args: argparse.Namespace) -> int:
    """Check, print, and answer 1 if anything failed."""
    if args.backend is not None:
        check_backend(args.backend, "selftest: --backend")
    required = required_backends()
    ops = [every()[args.op]] if args.op else list(every().values())
    with use(threads=args.threads):
        if args.hash:
            return _print_digest(ops)
        if args.fuzz is not None:
            return _fuzz(args.fuzz, args.seed, [args.op] if args.op else None)
        missing = missing_backends(args.backend)
        checks = list(select(ops, args.backend))
        if not checks and not missing:
            raise OptionError(f"selftest: --backend={args.backend} leaves nothing to check")
        rows = [check(c) for c in progress(checks, "selftest")]
    broken = [name for name in missing if name in required]
    failed = bool(broken) or any(row.failures for row in rows)
    if args.json:
        print(json.dumps({"missing": missing, "rows": [r._asdict() for r in rows]}, indent=2))
    else:
        print(report(rows, missing, broken))
    return int(failed)


def _print_digest(ops: Iterable[Op[..., Any, Any]]) -> int:
    why = unavailable("cython")
    if why is not None:
        raise OptionError(f"selftest: --hash is about compiled results, but {why}")
    print(digest(ops))
    return 0


def _fuzz(count: int, seed: int, ops: list[str] | None) -> int:
    """Run the trials of `count` seeds; for each failure the command to see it again."""
    from fastnn.testing import _fuzz

    if count < 1 or seed < 0:
        raise OptionError(f"selftest: --fuzz={count} --seed={seed}; at least 1 and 0")
    counts = dict.fromkeys(("compared", "refused", "large", "failed"), 0)
    for number in progress(range(seed, seed + count), "fuzz"):
        outcome = _fuzz.attempt(number, ops)
        counts["failed" if outcome.failure else outcome.what] += 1
        if outcome.failure:
            print(f"FAILED {outcome.failure}; {_fuzz.reproducer(number, ops)}", flush=True)
    for name, why in _fuzz.backends().items():
        if why is not None:
            print(f"!!! {name} WAS NOT CHECKED: {why} !!!")
    print(
        f"{count} random calls: {counts['compared']} gave equal results on every backend, "
        f"{counts['refused']} were refused with a clear error, {counts['large']} were too large to "
        f"compare, {counts['failed']} failed"
    )
    return int(counts["failed"] > 0)


def missing_backends(wanted: str | None) -> dict[str, str]:
    """Why a backend that should be checked cannot run at all, by its name."""
    family = None if wanted is None else wanted.partition(":")[0]
    reasons = {name: unavailable(name) for name in BACKENDS if family in (None, name)}
    return {name: why for name, why in reasons.items() if why is not None}


def required_backends() -> list[str]:
    """The backends that FASTNN_REQUIRE names."""
    names = [n.strip() for n in os.environ.get("FASTNN_REQUIRE", "").split(",") if n.strip()]
    for name in names:
        if name not in BACKENDS:
            raise OptionError(f"FASTNN_REQUIRE names {name!r}; known are {', '.join(BACKENDS)}")
    return names


def select(ops: Iterable[Op[..., Any, Any]], wanted: str | None) -> Iterator[Check]:
    """Everything to check: implementations that can run, besides naive itself."""
    for op in ops:
        for impl in map(op.impl, op.impls):
            if impl.name == "naive" or wanted not in (None, impl.name, impl.backend):
                continue
            if unavailable(impl.backend) is None:
                for dtype in DTYPES:
                    yield Check(op, impl, dtype)


def check(what: Check) -> Row:
    """Compare one implementation with naive on all core and edge cases."""
    op, impl, dtype = what
    row = Row(op.name, impl.name, dtype, 0, {}, 0.0, 0.0, [])
    for case in op.cases():
        if case.kind != "bench":
            row = _with_case(row, what, case)
    return row


def _with_case(row: Row, what: Check, case: Case) -> Row:
    """`row` after one more case, on integer and on normal data."""
    row = row._replace(cases=row.cases + 1)
    for kind in ("integer", "normal"):
        reproduce = _reproducer(what, case, kind)
        try:
            found = testing.compare(what.op, what.impl, case, what.dtype, kind=kind)
        except Exception as error:  # a crash of one kernel must not end the report on the others
            row.failures.append(f"{type(error).__name__}: {error}; {reproduce}")
            continue
        if found.refused is not None:
            row.refused[found.refused] = row.refused.get(found.refused, 0) + 1
            if not testing.may_refuse(what.op, what.impl, case, what.dtype):
                row.failures.append(f"refused a core case, {found.refused}; {reproduce}")
            return row
        if not found.passed:
            text = f"{kind} data, forward {found.forward:.3g} backward {found.backward:.3g}"
            row.failures.append(f"{text} of the bound; {reproduce}")
        row = row._replace(
            forward=max(row.forward, found.forward), backward=max(row.backward, found.backward)
        )
    return row


def _reproducer(what: Check, case: Case, kind: str) -> str:
    plain = case._replace(
        arrays={k: tuple(v) for k, v in case.arrays.items()}, options=dict(case.options)
    )
    return (
        'python -c "import fastnn; from fastnn._cases import Case; '
        "from fastnn.testing import compare; "
        f"print(compare(fastnn.{what.op.name}, '{what.impl.name}', {plain!r}, "
        f"'{what.dtype}', kind='{kind}'))\""
    )


def report(rows: Iterable[Row], missing: dict[str, str], broken: Iterable[str]) -> str:
    """The text for people."""
    rows = list(rows)
    lines = [f"!!! {name} WAS NOT CHECKED: {why} !!!" for name, why in missing.items()]
    lines += [f"!!! FASTNN_REQUIRE names {name}, so this is a failure !!!" for name in broken]
    if rows:
        header = ("operation", "implementation", "dtype", "cases", "refused", "forward",
                  "backward", "")  # fmt: skip
        body = [
            (r.op, r.impl, r.dtype, str(r.cases), str(sum(r.refused.values())),
             f"{r.forward:.3f}", f"{r.backward:.3f}", "FAILED" if r.failures else "ok")
            for r in rows
        ]  # fmt: skip
        lines.append(table.render(header, body, right="   rrrr"))
        lines.append("forward, backward: worst error as a fraction of the allowed bound")
    reasons = {f"{r.op} {r.impl}: {why}" for r in rows for why in r.refused}
    lines += [f"refused: {text}" for text in sorted(reasons)]
    failures = [text for row in rows for text in _failures(row)]
    lines += failures or ([f"passed: {len(rows)} implementations and dtypes"] if rows else [])
    return "\n".join(lines)


def _failures(row: Row) -> Iterator[str]:
    """A line for each of the first failures; one fault often fails every case."""
    for text in row.failures[:SHOWN]:
        yield f"FAILED {row.op} {row.impl} {row.dtype}: {text}"
    if len(row.failures) > SHOWN:
        yield f"FAILED {row.op} {row.impl} {row.dtype}: and {len(row.failures) - SHOWN} more"
