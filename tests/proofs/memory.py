"""Resident memory while small calls of every operation are repeated, forward and backward."""

from __future__ import annotations

import time

from fastnn import testing
from fastnn.dispatch import every

FEW_FLOPS = 20_000


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def run(count, warm=20_000):
    """(calls made, bytes by which the process grew, seconds), after `warm` calls."""
    work = []
    for op in every().values():
        for case in [c for c in op.cases() if c.kind == "core"][:2]:
            given = testing.draw(op, case, "float32")
            call = op.front(**given).call
            if call.flops <= FEW_FLOPS and op.select(call).backend == "cython":
                work.append((op, given, testing.draw_dy(op, call)))

    def calls(most):
        made = 0
        while made < most:
            for op, given, dy in work:
                _, ctx = op.forward(**given)
                op.backward(ctx, dy)
                made += 2
        return made

    calls(warm)
    before, start = resident(), time.perf_counter()
    made = calls(count)
    return made, resident() - before, time.perf_counter() - start
