"""Small integers: every implementation gives naive's bits, for sums, products and comparisons.

Calls are drawn near the operations' cases, as the fuzzer does, and kept so small that a million of
them take minutes: naive code makes a million FLOP a second. Sums stay below 2^24, so that every
order of summation is exact in float32.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from fastnn.dispatch import every
from fastnn.testing import _fuzz
from fastnn.testing._compare import run as called
from fastnn.testing._draw import draw_dy

FEW, MANY = 300, 20_000  # FLOP, and numbers of arrays
LARGE = 1 / 64  # share of calls that may have many


def one(seed):
    """None if the call was too large, else the implementations held and what differed."""
    rng = np.random.default_rng([seed, 5])
    names = sorted(name for name, op in every().items() if op.exact)
    op = every()[names[seed % len(names)]]
    dtype = ("float32", "float64")[int(rng.integers(2))]
    arguments = _fuzz._mixed(op, rng, dtype, "integer")
    call = op.front(**arguments).call
    numbers = sum(a.size for a in arguments.values() if isinstance(a, np.ndarray))
    shapes = call.out if op.outputs else (call.out,)
    numbers += sum(math.prod(shape) for shape in shapes)
    if max(call.flops, numbers) > (MANY if rng.random() < LARGE else FEW):
        return None
    dy = draw_dy(op, call, seed=seed, kind="integer")
    want = called(op, op.impl("naive"), arguments, dy)
    held, wrong = [], []
    for impl in map(op.impl, op.impls[:-1]):
        if impl.supports(call) or not all(b.integers for b in impl.bounds(call).values()):
            continue
        held.append(impl.name)
        what = different(called(op, impl, arguments, dy), want)
        if what:
            wrong.append(f"{op.name} {impl.name}: {what}, seed {seed}")
    return held, wrong


def different(got, want):
    """The first result, gradient or running array that is not the same numbers, or None."""
    pairs = [
        (f"output {i}", *pair) for i, pair in enumerate(zip(got.outputs, want.outputs, strict=True))
    ]
    pairs += [(f"d{k}", got.grads[k], g) for k, g in want.grads.items()]
    pairs += [(k, got.updated[k], v) for k, v in want.updated.items()]
    for name, a, b in pairs:
        if not (a is b or (a is not None and b is not None and np.array_equal(a, b))):
            return name
    return None


def run(count, seed=0):
    """Results held against naive's by backend, and failures, of `count` calls small enough."""
    compared: dict[str, int] = {}
    failures: list[str] = []
    calls = 0
    while calls < count:
        held, wrong = one(seed) or ((), ())
        seed += 1
        calls += bool(held)
        for name in held:
            backend = name.partition(":")[0]
            compared[backend] = compared.get(backend, 0) + 1
        failures += wrong
        if calls % 20_000 == 0 and held:
            print(f"{calls:,} calls, {len(failures)} differ", file=sys.stderr)
    return compared, failures
