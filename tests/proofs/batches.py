"""A sample alone, in a batch of 2 to 64 and in any position: the same bits of y and dx."""

from __future__ import annotations

import numpy as np
from test_properties import BIG, PER_SAMPLE

from fastnn import _cases, testing
from fastnn.dispatch import every

MOST = 64


def specs(name):
    """Arrays and options of the properties' large calls, with as many samples."""
    for spec in BIG[name]:
        arrays = {k: v for k, v in spec.items() if k in every()[name].array_names}
        options = {k: v for k, v in spec.items() if k not in arrays}
        yield (
            {k: (MOST, *v[1:]) if k in PER_SAMPLE[name] else v for k, v in arrays.items()},
            options,
        )


def check(name, dtype, batches, rng):
    """(calls, failures) of an operation: each size first, last and at a random place."""
    op = every()[name]
    failures, calls = [], 0
    for arrays, options in specs(name):
        if "reduction" in op.__signature__.parameters:
            options["reduction"] = "none"
        arguments = testing.draw(op, _cases.Case("core", arrays, options), dtype)
        y, ctx = op.forward(**arguments)
        dy = testing.draw_dy(op, ctx.call)
        own = [f for f in op.grads._fields if f in PER_SAMPLE[name]]
        whole = op.backward(ctx, dy, needs=own)
        batched = {k: arguments.pop(k) for k in PER_SAMPLE[name] if k in arguments}
        for n in batches:
            for start in sorted({0, MOST - n, int(rng.integers(MOST - n + 1))}):
                part = slice(start, start + n)
                got, ctx = op.forward(**{k: v[part] for k, v in batched.items()}, **arguments)
                gradients = op.backward(ctx, dy[part], needs=own)
                calls += 1
                same = np.array_equal(got, y[part]) and all(
                    np.array_equal(getattr(gradients, f), getattr(whole, f)[part]) for f in own
                )
                if not same:
                    failures.append(f"{name} {dtype} {arrays} {options}: samples {part}")
    return calls, failures


def run(batches=range(1, MOST + 1), dtypes=("float32", "float64")):
    """(calls, failures)."""
    rng = np.random.default_rng(0)
    calls, failures = 0, []
    for name in PER_SAMPLE:
        for dtype in dtypes:
            made, wrong = check(name, dtype, batches, rng)
            calls += made
            failures += wrong
    return calls, failures
