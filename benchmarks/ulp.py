"""Worst errors of the compiled vector functions, in units of the last place.

    python benchmarks/ulp.py                      every float32 number, 10^7 float64 numbers
    python benchmarks/ulp.py exp --step 11        every 11th float32 number
    python benchmarks/ulp.py --random 1000000000  10^9 float64 numbers

float32 results are held against the C library in float64, float64 ones against it in long double,
half of those on random bits and half on a range where the function is neither constant nor linear.
A unit is the distance of the neighbours of the right result, rounded, in its own type.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn._ext import _activation, _core

Array = np.ndarray[Any, Any]
CHUNK = 1 << 20


def sigmoid(x: Array) -> Array:
    """From the side on which nothing overflows or cancels."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


# The reference and, for float64, the range that half of the numbers are from.
FUNCTIONS: dict[str, tuple[Callable[[Array], Array], float, float]] = {
    "exp": (np.exp, -746, 710),
    "expm1": (np.expm1, -40, 710),
    "tanh": (np.tanh, -20, 20),
    "sigmoid": (sigmoid, -746, 40),
    "log": (np.log, 0, 4),
    "log1p": (np.log1p, -1, 4),
}


def compiled(name: str, x: Array) -> Array:
    """The function itself, through the door of the activations."""
    y = np.empty_like(x)
    _activation.pointwise_forward(name, (1.0, 0.0), x, y)
    return y


def every_float32(step: int) -> Iterator[Array]:
    """All numbers, NaN and infinities too, or every `step`-th, in chunks."""
    for start in range(0, 2**32, CHUNK * step):
        stop = min(2**32, start + CHUNK * step)
        yield np.arange(start, stop, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def random_float64(count: int, low: float, high: float) -> Iterator[Array]:
    """Random bits and numbers from a range, by turns."""
    rng = np.random.default_rng(0)
    for i, start in enumerate(range(0, count, CHUNK)):
        size = min(CHUNK, count - start)
        if i % 2:
            yield rng.uniform(low, high, size)
        else:
            yield rng.integers(0, 2**64, size, dtype=np.uint64).view(np.float64)


def worst(name: str, chunks: Iterator[Array], wide: Any) -> tuple[float, float]:
    """The largest error and where it is; infinite where NaN or infinity are not right."""
    error, place = 0.0, math.nan
    for x in chunks:
        want = FUNCTIONS[name][0](x.astype(wide))
        got, rounded = compiled(name, x), want.astype(x.dtype)
        finite = np.isfinite(rounded)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        if not same[~finite].all():
            return math.inf, float(x[~finite & ~same][0])
        # A finite result where the rounded one is infinite, or the other way, is not finite here.
        unit = np.spacing(np.abs(rounded[finite])).astype(wide)
        ulp = np.abs(got[finite].astype(wide) - want[finite]) / unit
        if ulp.size and not ulp.max() <= error:
            error, place = float(ulp.max()), float(x[finite][np.argmax(ulp)])
    return error, place


def main() -> None:
    """Print a line per function and type."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=list(FUNCTIONS), metavar="FUNCTION")
    parser.add_argument("--step", type=int, default=1, help="take every STEP-th float32 number")
    parser.add_argument("--random", type=int, default=10**7, help="how many float64 numbers")
    arguments = parser.parse_args()
    print(f"instruction set {_core.isa}, errors in ULP")
    with np.errstate(all="ignore"):
        for name in arguments.names:
            error, place = worst(name, every_float32(arguments.step), np.float64)
            print(f"{name:8} float32 {error:6.3f} at {place!r}", flush=True)
            chunks = random_float64(arguments.random, *FUNCTIONS[name][1:])
            error, place = worst(name, chunks, np.longdouble)
            print(f"{name:8} float64 {error:6.3f} at {place!r}", flush=True)


if __name__ == "__main__":
    main()
