"""`out` and an input in the same bytes: the result is right, or the call is refused.

One input and `out` are views of one buffer, with random offsets, steps and orders of axes, as NumPy
tests its own ufuncs. What comes back must be the bits of the call without `out`; a refusal must
leave every byte as it was.
"""

from __future__ import annotations

import math

import numpy as np

import fastnn
from fastnn.dispatch import every
from fastnn.testing import _fuzz

MANY = 400  # numbers of arrays, and FLOP, of a call


def view(rng, buffer, shape):
    """A random view of `buffer`, which is large enough for any of them; it may overlap itself."""
    order = rng.permutation(len(shape))
    strides, step = [0] * len(shape), buffer.itemsize
    for axis in order:
        step *= int(rng.choice([1, 1, 1, 2]))
        strides[axis] = step * int(rng.choice([1, 1, -1]))
        step *= max(1, shape[axis])
    if strides and rng.random() < 0.05:  # elements that share memory
        strides[int(rng.integers(len(shape)))] = int(rng.choice([0, buffer.itemsize]))
    low = sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if s < 0 and n)
    start = -low + int(rng.integers(8)) * buffer.itemsize
    return np.ndarray(shape, buffer.dtype, buffer, start, strides)


def itself(a):
    """Whether an array has an element that is the memory of another one."""
    offsets = np.zeros(a.shape, np.int64)
    for axis, stride in enumerate(a.strides):
        line = np.arange(a.shape[axis]) * stride
        offsets += line.reshape([-1 if k == axis else 1 for k in range(a.ndim)])
    return np.unique(offsets).size < a.size


def one(seed):
    """None if the call is too large, else whether it was right ("right", "refused", or what)."""
    rng = np.random.default_rng([seed, 11])
    names = sorted(n for n, op in every().items() if not op.outputs and not op.updates)
    op = every()[names[seed % len(names)]]
    dtype = ("float32", "float64")[int(rng.integers(2))]
    arguments = _fuzz._mixed(op, rng, dtype, "normal")
    call = op.front(**arguments).call
    arrays = {k: a for k, a in arguments.items() if isinstance(a, np.ndarray) and a.dtype == dtype}
    shapes = [call.out, *(a.shape for a in arrays.values())]
    numbers = sum(math.prod(max(1, n) for n in shape) for shape in shapes)
    if max(call.flops, numbers) > MANY:
        return None
    want = op(**arguments)
    buffer = np.zeros(64 + 2 ** max(map(len, shapes)) * 2 * numbers, dtype)
    name = [*arrays][int(rng.integers(len(arrays)))]
    given = view(rng, buffer, arguments[name].shape)
    if not itself(given):
        given[...] = arguments[name]
        arguments[name] = given
    out = given if given.shape == call.out and rng.random() < 0.2 else view(rng, buffer, call.out)
    before = buffer.tobytes()
    try:
        got = op(**arguments, out=out)
    except fastnn.FastnnError as error:
        if buffer.tobytes() != before:
            return f"{op.name}: refused, but something was written, seed {seed}"
        return "refused" if op.name in str(error) else f"{op.name}: {error}, seed {seed}"
    if got is not out or not np.array_equal(out, want, equal_nan=True):
        return f"{op.name}: {out.shape} {out.strides} beside {name}, seed {seed}"
    return "right"


def run(count, seed=0):
    """Calls that were right and that were refused, and failures, of `count` small calls."""
    right = refused = 0
    failures = []
    while right + refused + len(failures) < count:
        found = one(seed)
        seed += 1
        if found == "right":
            right += 1
        elif found == "refused":
            refused += 1
        elif found is not None:
            failures.append(found)
    return right, refused, failures
