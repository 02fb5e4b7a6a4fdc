"""A long run whose figures go into the reliability page: cd tests && python -m proofs WHAT."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np

import fastnn
from proofs import (
    batches,
    errors,
    files,
    integers,
    large,
    memory,
    overlap,
    sequences,
    sizes,
    special,
    threads,
    training,
    window,
)  # fmt: skip

DATA = Path(__file__).resolve().parents[2] / "docs" / "reliability.json"


def run_sizes(args):
    counts, failures = sizes.run(args.n or 1_000_000, args.seed)
    figure = (
        f"{sum(counts.values()):,} random parameter sets up to 2^70: {counts['agreed']:,} agreed, "
        f"{counts['refused']:,} refused by both, {counts['unnumbered']:,} more than NumPy counts, "
        f"{counts['failed']} failed"
    )
    return "R3", "sizes", figure, not failures, failures


def run_large(args):
    count, failures = large.run()
    figure = f"{count} calls of {large.CELLS:,} elements, {len(failures)} wrong"
    return "R3", "large", figure, not failures, failures


def run_special(args):
    count, failures = special.run(range(1, (args.n or 33) + 1))
    figure = f"{count:,} results and gradients compared, {len(failures)} calls differ"
    return "R12", "special", figure, not failures, failures


def run_training(args):
    found = training.run(args.n or 200)
    lines = [f"{isa} {dtype} {', '.join(h[:16] for h in seen)}"
             for (isa, dtype), seen in found.items()]  # fmt: skip
    good = all(len(seen) == 1 for seen in found.values())
    figure = "1, 2, 3 and 8 threads and resumed, one hash each: " if good else "HASHES DIFFER: "
    return "R9", "training", figure + "; ".join(lines), good, []


def run_errors(args):
    found = errors.run_all(args.n or 100_000, args.seed)
    print(json.dumps(found, indent=1))
    edges = [0, *found["edges"], "more"]
    bins = {
        what: ", ".join(f"{low} to {high}: {n:,}"
                        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True))
        for what, counts in found["histogram"].items()
    }  # fmt: skip
    most = max((u for u, _ in found["worst"].values()), default=0.0)
    figure = (
        f"errors in units of the bound: forward {bins['forward']}; backward {bins['backward']}; "
        f"the worst is {most:.3g}"
    )
    return "R5", "errors", figure, most <= 1, []


def run_integers(args):
    count = args.n or 1_000_000
    compared, failures = integers.run(count, args.seed)
    by = ", ".join(f"{n:,} results of {name}" for name, n in sorted(compared.items()))
    figure = f"{count:,} calls, {by} compared with naive, {len(failures)} differ"
    return "R4", "integers", figure, not failures and count >= 1_000_000, failures


def run_overlap(args):
    right, refused, failures = overlap.run(args.n or 1_000_000, args.seed)
    figure = (
        f"{right + refused + len(failures):,} calls with `out` and an input in one buffer: "
        f"{right:,} right, {refused:,} refused as `out` overlaps itself, {len(failures)} wrong"
    )
    return "R11", "overlap", figure, not failures and (args.n or 1_000_000) >= 1_000_000, failures


def run_threads(args):
    times = args.n or 100
    calls, failures = threads.run(times, ("float32",))
    more, wrong = threads.run(1, ("float64",))
    failures += wrong
    figure = (
        f"{calls + more:,} calls of all operations that the pool shares, forward and backward, "
        f"{times} times (float64: once) on each of 1 to 16 threads: {len(failures)} differ"
    )
    return "R7", "threads", figure, not failures and times >= 100, failures


def run_batches(args):
    calls, failures = batches.run(range(1, (args.n or batches.MOST) + 1))
    figure = (
        f"{calls:,} batches of 1 to {args.n or batches.MOST} of {batches.MOST} samples, first, "
        f"last and anywhere, of {len(batches.PER_SAMPLE)} operations: {len(failures)} differ"
    )
    return "R8", "batches", figure, not failures and args.n is None, failures


def run_sequences(args):
    count = args.n or 100_000
    failures = sequences.run(count, args.seed)
    figure = f"{count:,} sets of lengths of rnn, lstm and gru: {len(failures)} differ"
    return "R13", "sequences", figure, not failures and count >= 100_000, failures


def run_memory(args):
    count = args.n or 1_000_000
    made, grown, seconds = memory.run(count)
    figure = (
        f"resident memory grew by {grown / 1e6:.2f} MB over {made:,} forward and backward calls "
        f"of every operation, {seconds:.0f} s"
    )
    return "R16", "growth", figure, grown < 1e6 and count >= 1_000_000, []


def run_window(args):
    found = window.run()
    figure = "4222 x 4222 with a window of 127 x 127 at stride 1: " + "; ".join(
        f"{what} {'right' if right else 'WRONG'} in {seconds:.0f} s and {extra:.0f} MB beside it"
        for what, extra, seconds, right in found
    )
    good = all(right and extra < 100 for _, extra, _, right in found)
    return "R20", "stride 1", figure, good, []


def run_files(args):
    count = args.n or 10_000_000
    texts, failures = [], []
    for kind in files.kinds():
        some = count // 10 if kind == "h5" else count
        slowest, grown, read, refused, wrong = files.run(kind, some, args.seed)
        failures += wrong
        texts.append(
            f"{kind}: {read:,} read, {refused:,} refused, at most {1e3 * slowest:.0f} ms "
            f"and {grown:.0f} MB"
        )
    figure = "; ".join(texts) + f"; {len(failures)} failed"
    return "R21", "mutants", figure, not failures and count >= 10_000_000, failures


RUNS = {
    "sizes": run_sizes,
    "large": run_large,
    "special": run_special,
    "training": run_training,
    "errors": run_errors,
    "integers": run_integers,
    "overlap": run_overlap,
    "threads": run_threads,
    "batches": run_batches,
    "sequences": run_sequences,
    "memory": run_memory,
    "window": run_window,
    "files": run_files,
}


def record(promise, what, figure, reached, args):
    """Put a figure in the page's data, with what is needed to have it again."""
    data = json.loads(DATA.read_text()) if DATA.exists() else {}
    given = " ".join(f"{k} {v}" for k, v in (("-n", args.n), ("--seed", args.seed)) if v)
    data.setdefault(promise, {})[what] = {
        "figure": figure,
        "reached": reached,
        "command": f"cd tests && python -m proofs {args.what} {given}".strip(),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
    }
    DATA.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")


def machine():
    """CPU, system and versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [r for r in info.read_text().splitlines() if r.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return (
        f"{cpu}, {os.cpu_count()} CPUs, {platform.system()}; Python {platform.python_version()}, "
        f"NumPy {np.__version__}, fastnn {fastnn.__version__}"
    )


def main():
    parser = argparse.ArgumentParser(prog="python -m proofs", description=__doc__)
    parser.add_argument("what", choices=RUNS)
    parser.add_argument("-n", type=int, help="how many, for each its own default")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    promise, what, figure, reached, failures = RUNS[args.what](args)
    print(*failures[:20], f"{promise} {what}: {figure}", sep="\n")
    record(promise, what, figure, reached, args)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
