"""What a region of the thread pool costs: empty, with work, at once and after the workers slept.

    python benchmarks/pool.py               2 threads
    python benchmarks/pool.py --threads 4

Microseconds. A region is one task per thread. `serial`: the calling thread alone runs all of them;
`at once`: one region after the other, so that the workers are awake; `idle`: after a millisecond of
sleep. What a call from Python costs, one task by one thread, is taken off all figures.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from statistics import median

import numpy as np

import fastnn
from fastnn._ext import _core

SIZES = (0, 1, 3, 10, 30, 100, 300)  # microseconds of a task
IDLE = 1e-3
ROUNDS = 100_000  # of the loop, to know how long one takes


def samples(run: Callable[[], object], count: int, idle: float) -> list[float]:
    """Microseconds of each of `count` calls, in order of size."""
    took = []
    for _ in range(count):
        if idle:
            time.sleep(idle)
        start = time.perf_counter_ns()
        run()
        took.append((time.perf_counter_ns() - start) / 1e3)
    return sorted(took)


def region(threads: int, tasks: int, rounds: int) -> Callable[[], object]:
    """A call of `tasks` tasks of `rounds` turns of a loop."""
    source, target = np.full(14 * 16, 0.5, np.float32), np.empty(16 * tasks, np.float32)

    def run() -> None:
        fastnn.set_num_threads(threads)
        _core.multiply_add(source, target, rounds)

    return run


def main() -> None:
    """Print a line per size of a task."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each figure")
    arguments = parser.parse_args()
    threads: int = arguments.threads
    turn = median(samples(region(1, 1, ROUNDS), 30, 0)) / ROUNDS
    call = median(samples(region(1, 1, 0), 3000, 0))
    print(f"isa {_core.isa}, {threads} threads, a call {call:.2f} us")
    heads = ("serial", "at once", "idle serial", "idle")
    print(f"{'task':>6}" + "".join(f"{head:>12}{'p99':>8}" for head in heads))
    for size in SIZES:
        rounds = round(size / turn)
        most = max(size * threads, 1)
        line = f"{size:6}"
        for idle in (0.0, IDLE):
            count = min(20_000, math.ceil(arguments.seconds * 1e6 / (most + 1e6 * idle)))
            for among in (1, threads):
                took = samples(region(among, threads, rounds), count, idle)
                line += f"{median(took) - call:12.2f}{took[len(took) * 99 // 100] - call:8.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
