"""One library in a process of its own: reads rows, answers times. Started by compare.py.

    python -m peers.worker <library> <threads>

A line of JSON asks for a row and how long a round may take; a line of JSON answers with the median
milliseconds of a call, or says why there are none.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from peers.rows import Row, every

MODULES = {
    "fastnn": "peers.ours",
    "torch": "peers.torch_peer",
    "torch-cold": "peers.torch_peer",
    "torch-best": "peers.torch_best_peer",
    "onnxruntime": "peers.onnxruntime_peer",
    "jax": "peers.jax_peer",
}
CPUS: set[int] = set()  # that this process may use
MOST = 2000  # calls of a round: enough for a median, whatever the call costs


def run_round(action: Callable[[], object], seconds: float) -> dict[str, float]:
    """Median of as many calls as fit `seconds`, at least three; page faults per call."""
    times = []
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    end = perf_counter() + seconds
    while len(times) < 3 or (perf_counter() < end and len(times) < MOST):
        start = perf_counter()
        action()
        times.append(perf_counter() - start)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return {"ms": 1e3 * statistics.median(times), "faults": faults / len(times)}


def cpu_times() -> dict[int, int]:
    """Nanoseconds that each thread of this process has run, where the system tells."""
    times = {}
    for tid in os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ():
        with contextlib.suppress(OSError):  # the thread has ended, or there is no such file
            with open(f"/proc/self/task/{tid}/schedstat") as file:
                times[int(tid)] = int(file.read().split()[0])
    return times


def pin_busiest(threads: int, before: dict[int, int]) -> None:
    """Give the threads that have worked most since `before` a CPU each.

    A kernel that packs threads on few CPUs may keep two on one for seconds: each runs half of the
    time, and a library looks as if it had no threads.
    """
    now = cpu_times()
    worked = sorted(now, key=lambda tid: before.get(tid, 0) - now[tid])
    for tid, cpu in zip(worked[:threads], sorted(CPUS), strict=False):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(tid, {cpu})


def answer(library: Any, threads: int, request: dict[str, Any], state: dict[str, Any]) -> Any:
    if "limits" in request:
        return library.limits(threads, request["limits"])
    if state.get("row") != request["row"]:
        state.clear()
        row: Row = ROWS[request["row"]]
        state["row"], state["action"] = row.id, library.action(row)
        if state["action"] is not None:
            before = cpu_times()
            run_round(state["action"], 0.2 * request["seconds"])  # warm up
            pin_busiest(threads, before)
    if state["action"] is None:
        return {"none": True}
    for _ in range(2):  # the library's own threads fell asleep while another one ran
        state["action"]()
    return run_round(state["action"], request["seconds"])


ROWS = {row.id: row for row in every()}


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):
        CPUS.update(sorted(os.sched_getaffinity(0))[:threads])
        os.sched_setaffinity(0, CPUS)
    answers = os.fdopen(os.dup(1), "w")  # whatever a library prints must not be taken for a time
    os.dup2(2, 1)
    library = importlib.import_module(MODULES[name])
    print(json.dumps(library.setup(threads)), file=answers, flush=True)
    state: dict[str, Any] = {}
    for line in sys.stdin:
        try:
            reply = answer(library, threads, json.loads(line), state)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
            state.clear()
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
