"""How far every implementation is from the definition on normal data.

Calls are drawn near the operations' cases, as the fuzzer does. An error counts in units of the
bound, 4 ceil(log2 K) eps of the sum of magnitudes, twice that backward.
"""

from __future__ import annotations

import sys

import numpy as np

from fastnn.dispatch import every
from fastnn.testing import _fuzz
from fastnn.testing._compare import held, magnitudes, run, wide
from fastnn.testing._draw import draw_dy

EDGES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, np.inf)
MOST_FLOPS = 20_000


def one(seed):
    """(operation, [(implementation, forward, backward)]) of a seed, or None if it is too large."""
    rng = np.random.default_rng([seed, 4])
    names = sorted(every())
    op = every()[names[seed % len(names)]]
    arguments = _fuzz._mixed(op, rng, ("float32", "float64")[int(rng.integers(2))], "normal")
    call = op.front(**arguments).call
    if call.empty or call.flops > MOST_FLOPS:
        return None
    dy = draw_dy(op, call, seed=seed)
    exact = {k: wide(v) for k, v in arguments.items()}
    want = run(op, op.impl("naive"), exact, wide(dy))
    scale = magnitudes(op, exact, dy, want)
    if not op.exact:
        scale = scale._replace(outputs=tuple(np.maximum(s, 1.0) for s in scale.outputs))
    rows = []
    for impl in map(op.impl, op.impls[:-1]):
        if impl.supports(call) is None:
            got = run(op, impl, arguments, dy)
            found = held(op, impl, call, got, want, scale, bitwise=False)
            rows.append((impl.name, found.forward, found.backward))
    return op.name, rows


def run_all(count, seed=0):
    """Figures of `count` random calls."""
    calls = 0
    histograms = {"forward": [0] * (len(EDGES) - 1), "backward": [0] * (len(EDGES) - 1)}
    worst: dict[str, tuple[float, str]] = {}
    for s in range(seed, seed + count):
        name, rows = one(s) or ("", ())
        calls += bool(rows)
        for impl, forward, backward in rows:
            for what, units in (("forward", forward), ("backward", backward)):
                histograms[what][min(int(np.searchsorted(EDGES[1:], units)), 5)] += 1
                if units > worst.get(f"{name} {what}", (0.0, ""))[0]:
                    worst[f"{name} {what}"] = (units, f"{impl}, seed {s}")
        if (s + 1 - seed) % 5000 == 0:
            print(f"{s + 1 - seed:,} calls", file=sys.stderr)
    return {
        "calls": calls, "histogram": histograms, "edges": EDGES[1:-1],
        "worst": dict(sorted(worst.items(), key=lambda item: -item[1][0])[:20]),
    }  # fmt: skip
