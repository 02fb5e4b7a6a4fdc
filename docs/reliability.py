"""Write docs/reliability.md from docs/reliability.json: each promise, the figure reached, and how.

A promise without a figure is listed as not measured, one that was not reached with its figure. The
runs in `tests/proofs` and the other tools named in the page put their figures into the JSON file::

    {"R3": {"sizes": {"figure": "...", "reached": true, "command": "...", "date": "...",
                      "machine": "..."}}}
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Promise, and the test behind it.
PROMISES = {
    "R1": (
        "10 million random calls per release and 200,000 in every CI run: no crash, no report of "
        "AddressSanitizer or UndefinedBehaviorSanitizer",
        "seeded calls on every operation, backend, dtype and layout, a third of them wrong on "
        "purpose (`fastnn selftest --fuzz`, `.ci/sanitize`)",
    ),
    "R2": (
        "every invalid call raises ValueError or TypeError that names the argument; inputs and "
        "`out` are untouched",
        "at least 12 wrong calls per operation with their texts (`tests/test_errors.py`), random "
        "arguments of any kind (`tests/test_fronts.py`)",
    ),
    "R3": (
        "no size wraps: 1 million random parameter sets agree with unbounded integers, and calls "
        "of more than 2^31 elements are right",
        "an oracle that searches the last place of a window, on arrays with zero strides "
        "(`tests/proofs/sizes.py`)",
    ),
    "R4": (
        "all backends bitwise equal on integers in 1 million cases, for operations made of sums, "
        "products and comparisons",
        "random small calls near the cases against naive (`tests/proofs/integers.py`)",
    ),
    "R5": (
        "on normal data errors at most 4 ceil(log2 K) eps of the sum of magnitudes forward, twice "
        "that backward",
        "random calls near the cases; naive in float64 is the reference (`tests/proofs/errors.py`)",
    ),
    "R6": (
        "gradients: complex step within 1e-12 for smooth operations, central differences within "
        "1e-7 for all",
        "every core case of naive (`tests/test_naive.py`)",
    ),
    "R7": (
        "the same bits for 1 to 16 threads, 100 times",
        "hashes of results and gradients (`tests/proofs/threads.py`, `tests/stress.py`)",
    ),
    "R8": (
        "the same bits for a sample alone, in a batch of 2 to 64 and in any position",
        "`tests/proofs/batches.py`, `tests/test_properties.py`",
    ),
    "R9": (
        "training has one hash per element type and instruction set; a resumed run equals the "
        "uninterrupted one",
        "three nets, 200 steps (`tests/proofs/training.py`)",
    ),
    "R10": (
        "24 memory layouts give the bits of the contiguous call",
        "`tests/test_conformance.py`, all operations, every layout of `fastnn.testing`",
    ),
    "R11": (
        "1 million overlapping `out`: right or refused",
        "`out` and an input are random views of one buffer (`tests/proofs/overlap.py`)",
    ),
    "R12": (
        "NaN, Inf and subnormal numbers: all backends agree in kind and position",
        "every cell of windows up to 3x3, channels 1 to 33 (`tests/proofs/special.py`)",
    ),
    "R13": (
        "padding of sequences contributes exactly 0; a masked run equals that of the cut sequence",
        "random sets of lengths, each sequence against itself cut (`tests/proofs/sequences.py`)",
    ),
    "R14": (
        "8 Python threads x 100,000 mixed calls without a report of ThreadSanitizer; 1,000 of "
        "1,000 forked children finish",
        "`tests/stress.py`, `tests/test_processes.py`, `.ci/sanitize`",
    ),
    "R15": (
        "Ctrl-C within 200 ms (p99) in any long call, parameters unchanged",
        "`tests/interrupts.py`",
    ),
    "R16": (
        "every failed allocation becomes MemoryError and leaks nothing; memory grows by less than "
        "1 MB in a million calls",
        "`tests/test_memory.py`, `tests/proofs/memory.py`",
    ),
    "R17": (
        "all lines of dispatch and validation covered, 90 % of seeded mutants killed",
        "`tests/mutate.py`, coverage.py",
    ),
    "R18": (
        "no cliffs: subnormal numbers at most 1.5 times as slow, size 256 n at most 1.3 times size "
        "256 n + 1, depthwise at most 3 times the bandwidth bound; floating-point modes untouched",
        "`benchmarks/cliffs.py`",
    ),
    "R19": (
        "wheel at most 2 MB, import at most 25 ms over NumPy's and of nothing else, first call at "
        "most 5 ms",
        "`tests/test_install.py`, `.ci/run`",
    ),
    "R20": (
        "memory at most the workspace beside the result; 4222 x 4222 with a window of 127 x 127 in "
        "less than 100 MB",
        "high-water mark in a child (`tests/test_memory.py`, `tests/proofs/window.py`)",
    ),
    "R21": (
        "10 million mutated npz and safetensors and 1 million HDF5 files: no crash, no other file "
        "opened, bounded memory and time",
        "`tests/proofs/files.py`, `tests/test_io_formats.py`",
    ),
    "R22": ("scikit-learn's `check_estimator` passes", "the estimators' tests"),
    "R23": (
        "NumPy 2.0 to the newest, Python 3.11 to the newest; Numba missing, broken, too old or "
        "without a cache; read-only; without a compiler",
        "`.ci/install`, `.ci/arm`, `tests/test_install.py`",
    ),
}


def page() -> str:
    """The text of docs/reliability.md."""
    data = json.loads((HERE / "reliability.json").read_text())
    lines = [
        "<!-- Generated by docs/reliability.py from reliability.json: change those, not this. -->",
        "",
        "# Reliability",
        "",
        "What is promised, how it is tested, and what the last run of each test reached. A figure",
        "that falls short of its promise is listed as such; so is a promise that nobody measured.",
        "",
        "| | promise | tested by | reached |",
        "| --- | --- | --- | --- |",
    ]
    for name, (promise, test) in PROMISES.items():
        runs = data.get(name, {})
        state = "yes" if runs and all(run["reached"] for run in runs.values()) else "**no**"
        lines.append(f"| {name} | {promise} | {test} | {state if runs else 'not measured'} |")
    lines += ["", "## Figures"]
    for name in PROMISES:
        for what, run in data.get(name, {}).items():
            short = "" if run["reached"] else " **falls short of the promise**"
            lines += [
                "",
                f"### {name}: {what}",
                "",
                f"{run['figure']}.{short}",
                "",
                f"`{run['command']}`, {run['date']}, {run['machine']}",
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (HERE / "reliability.md").write_text(page(), encoding="utf-8")
