"""The same bits for 1 to 16 threads, 100 times over, of calls that the pool shares."""

from __future__ import annotations

from test_properties import big_cases, digest, results

import fastnn
from fastnn.dispatch import every

THREADS = range(1, 17)


def run(times, dtypes=("float32", "float64")):
    """(calls, failures): each large call of each operation `times` times on 1 to 16 threads."""
    every()
    calls, failures = 0, []
    for parameters in big_cases():
        op, case = parameters.values
        for dtype in dtypes:
            seen = set()
            for threads in [*THREADS] * times:
                with fastnn.use(threads=threads):
                    seen.add(digest(results(op, case, dtype)))
                calls += 1
            if len(seen) > 1:
                failures.append(f"{op.name} {case.id} {dtype}: {len(seen)} different results")
    return calls, failures
