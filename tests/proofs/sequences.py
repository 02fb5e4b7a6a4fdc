"""Sequences of unequal length: what is beyond an end counts for nothing, whatever it is.

Each sequence of a batch must have the bits that it has alone, cut to its length; beyond its end
results and gradients are 0 and inputs and dy are NaN, so that one that was read shows.
"""

from __future__ import annotations

import numpy as np

import fastnn

GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def lengths_of(seed):
    """What differs for the lengths of a seed, or None."""
    rng = np.random.default_rng([seed, 13])
    name = [*GATES][seed % 3]
    op = getattr(fastnn, name)
    t, n, i, h = (int(k) for k in rng.integers(1, (7, 6, 5, 9)))
    dtype = ("float32", "float64")[int(rng.integers(2))]

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    weights = normal(GATES[name] * h, i), normal(GATES[name] * h, h), normal(GATES[name] * h)
    states = {k: normal(n, h) for k in ("h0", "c0")[: len(op.outputs) - 1]}
    options = {"reverse": bool(rng.integers(2))}
    lengths = rng.integers(0, t + 1, n)
    x, dy, ends = normal(t, n, i), normal(t, n, h), [normal(n, h) for _ in states]
    for k, last in enumerate(lengths):
        x[last:, k] = dy[last:, k] = np.nan
    y, ctx = op.forward(x, *weights, **states, lengths=lengths, **options)
    g = op.backward(ctx, (dy, *ends))
    where = f"{name} {dtype} lengths {lengths.tolist()} of {t}, seed {seed}"
    if not all(np.isfinite(a).all() for a in (*y, *g) if a is not None):
        return f"{where}: what is beyond an end was read"
    for k, last in enumerate(lengths):
        if y[0][last:, k].any() or g.x[last:, k].any():
            return f"{where}: results beyond an end are not 0"
        if not last:
            continue
        one = slice(k, k + 1)
        own = {name: a[one] for name, a in states.items()}
        y1, ctx = op.forward(x[:last, one], *weights, **own, **options)
        g1 = op.backward(ctx, (dy[:last, one], *(e[one] for e in ends)), needs=("x", *states))
        pairs = [(y[0][:last, one], y1[0]), (g.x[:last, one], g1.x)]
        pairs += [(a[one], b) for a, b in zip(y[1:], y1[1:], strict=True)]
        pairs += [(getattr(g, name)[one], getattr(g1, name)) for name in states]
        if not all(np.array_equal(a, b) for a, b in pairs):
            return f"{where}: sequence {k} differs from itself alone"
    return None


def run(count, seed=0):
    """Failures of `count` sets of lengths."""
    return [found for found in map(lengths_of, range(seed, seed + count)) if found]
