"""Whether convolution's choice of an implementation is the best one, on random shapes.

    python benchmarks/choice.py                      500 shapes, float32 and float64, 1 thread
    python benchmarks/choice.py --shapes 50 --seed 7
    python benchmarks/choice.py --json times.json    every measured time, to fit a cost model to
    python benchmarks/choice.py --load times.json    judge today's model by earlier times

Of every shape and compiled implementation y, dx and dw are timed, implementations by turns. A time
is the least of the rounds, and processor time, for that other programs disturb least. A choice is
good if it takes at most a tenth longer than the best.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn.ops.conv.spec import ConvCall, conv_call

MOST_FLOPS, MOST_CELLS = 4e8, 1 << 22  # of a shape: a round of all is a matter of seconds
ALLOWED = 1.1
STEPS = ("y", "dx", "dw")
TAPS = ((1, 1), (1, 1), (3, 3), (3, 3), (3, 3), (3, 3), (5, 5), (7, 7), (1, 7), (3, 1))


def draw(rng: np.random.Generator) -> ConvCall:
    """A shape as networks have them, and every option that they use."""

    def spread(low: int, high: int) -> int:
        return round(np.exp(rng.uniform(np.log(low), np.log(high))))

    while True:
        taps = TAPS[rng.integers(len(TAPS))]
        stride = int(rng.choice([1, 1, 1, 2, 2, 4]))
        dilation = int(rng.choice([1, 1, 1, 1, 2, 4])) if stride == 1 and max(taps) > 1 else 1
        channels, filters, groups = spread(8, 512), spread(8, 512), 1
        kind = rng.integers(8)
        if kind == 0:  # the first layer
            channels = int(rng.choice([1, 3, 4]))
        elif kind == 1:  # depthwise
            groups = channels
            filters = channels * int(rng.choice([1, 1, 2, 4]))
        elif kind == 2:
            groups = int(rng.choice([2, 4, 8]))
            channels, filters = groups * spread(2, 64), groups * spread(2, 64)
        size = spread(4, 112)
        other = max(3, size + int(rng.integers(-3, 4)))
        sizes = (size, other if rng.integers(3) == 0 else size)
        padding = tuple((dilation * (t // 2),) * 2 for t in taps)
        axes = zip(sizes, padding, taps, strict=True)
        if any(n + sum(p) < dilation * (t - 1) + 1 for n, p, t in axes):
            continue
        call = conv_call(
            "float32" if rng.integers(3) else "float64",
            (spread(1, 64), channels, *sizes),
            (filters, channels // groups, *taps),
            True,
            (stride,) * 2,
            padding,
            (dilation,) * 2,
            groups,
        )
        if call.flops < MOST_FLOPS and max(prod(call.x), prod(call.out)) < MOST_CELLS:
            return call


def draw_arrays(call: ConvCall) -> tuple[Any, ...]:
    """x, w, b and dy."""
    rng = np.random.default_rng(0)
    shapes = call.x, call.w, call.w[:1], call.out
    return tuple(rng.standard_normal(s, np.float32).astype(call.dtype) for s in shapes)


def steps(call: ConvCall, impl: str, arrays: tuple[Any, ...]) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    x, w, b, dy = arrays
    options = {"stride": call.stride, "padding": call.padding, "dilation": call.dilation,
               "groups": call.groups, "backend": impl}  # fmt: skip
    op = fastnn.conv2d
    _, context = op.forward(x, w, b, **options)
    return {
        "y": lambda: op(x, w, b, **options),
        "dx": lambda: op.backward(context, dy, needs=("x",)),
        "dw": lambda: op.backward(context, dy, needs=("w",)),
    }


def once(run: Callable[[], Any], seconds: float) -> float:
    """Seconds of a run, the mean of as many as fill `seconds`."""
    start = time.thread_time()
    run()
    took = time.thread_time() - start
    count = min(1000, int(seconds / took))
    if count < 2:
        return took
    start = time.thread_time()
    for _ in range(count):
        run()
    return (time.thread_time() - start) / count


def measure(call: ConvCall, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each step by implementation."""
    op = fastnn.conv2d
    names = [n for n in op.impls if n.startswith("cython") and op.impl(n).supports(call) is None]
    arrays = draw_arrays(call)  # of all: pages of one copy may be larger than another's
    runs = {name: steps(call, name, arrays) for name in names}
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for _ in range(rounds):
        for step in STEPS:
            for name in names:
                took = once(runs[name][step], 4e-4)
                found[name][step] = min(took, found[name].get(step, took))
    return found


def describe(call: ConvCall) -> str:
    text = f"{call.dtype} {'x'.join(map(str, call.x))} * {'x'.join(map(str, call.w))}"
    options = {"stride": call.stride[0], "dilation": call.dilation[0], "groups": call.groups}
    return text + "".join(f" {name}{value}" for name, value in options.items() if value > 1)


def judge(
    title: str, rows: list[tuple[ConvCall, dict[str, dict[str, float]]]], over: tuple[str, ...]
) -> None:
    """Print how many choices are good, and the others."""
    misses, regret = [], []
    for call, times in rows:
        totals = {name: sum(t[s] for s in over) for name, t in times.items()}
        chosen = fastnn.conv2d.explain_call(call).chosen
        best = min(totals, key=lambda n: totals[n])
        ratio = totals[chosen] / totals[best]
        regret.append(ratio)
        if ratio > ALLOWED:
            took = (f"{name} {1e3 * totals[name]:.3g} ms" for name in (chosen, best))
            misses.append((ratio, f"{describe(call)}: {', '.join(took)}"))
    good, mean = len(rows) - len(misses), np.exp(np.mean(np.log(regret)))
    print(
        f"{title}: {good} of {len(rows)} ({good / len(rows):.1%}) take at most {ALLOWED} times the "
        f"best, in the geometric mean {mean:.3f} times"
    )
    for ratio, text in sorted(misses, reverse=True):
        print(f"  {ratio:5.2f}  {text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shapes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--load", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    calls = [draw(rng) for _ in range(arguments.shapes)]
    if arguments.load:
        stored = json.loads(arguments.load.read_text())
        rows = [(call, times) for call, times in zip(calls, stored, strict=False)]
    else:
        with fastnn.use(threads=1):
            rows = [(call, measure(call, arguments.rounds)) for call in calls]
    if arguments.json:
        arguments.json.write_text(json.dumps([times for _, times in rows]))
    judge("y", rows, ("y",))
    judge("y, dx and dw", rows, STEPS)


if __name__ == "__main__":
    main()
