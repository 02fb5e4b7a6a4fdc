"""Calls that fall off a cliff elsewhere, each against a neighbour that does not: one table.

    FASTNN_NUM_THREADS=1 python benchmarks/cliffs.py
    python benchmarks/cliffs.py --only threads

The cost model of a call is the larger of its FLOPs over the machine's peak and its bytes over the
bandwidth of a copy, both measured here. `x model` is the time in that unit; `ratio` is `x model`
of the call over that of its neighbour, so that more work does not count. A cliff is a ratio above
the limit.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn._cli import table
from fastnn._cli.timing import interleaved
from fastnn._ext import _core

RNG = np.random.default_rng(0)


class Call(NamedTuple):
    """A call and what the cost model needs to know of it."""

    name: str
    run: Callable[[], Any]
    flops: float
    bytes: float
    threads: int | None = None


class Pair(NamedTuple):
    """What is suspected, its neighbour, and the ratio that is allowed."""

    group: str
    call: Call
    neighbour: Call | None  # None: the model itself
    limit: float


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, np.float32)


def of(op: str, name: str, *arrays: Any, threads: int | None = None, **options: Any) -> Call:
    """A call of `op`, forward alone."""
    function = getattr(fastnn, op)
    call = function.front(*arrays, **options)[0]

    def run() -> object:
        if threads is None:
            return function(*arrays, **options)
        with fastnn.use(threads=threads):
            return function(*arrays, **options)

    return Call(name, run, call.flops, call.bytes, threads)


def conv(
    n: int, c: int, k: int, size: int, window: int = 3, groups: int = 1, **options: Any
) -> Call:
    name = f"conv2d {n}x{c}x{size}x{size}, {k} of {window}x{window}"
    if groups > 1:
        name += f", {groups} groups"
    if options.get("threads"):
        name += f", {options['threads']} threads"
    x, w = normal(n, c, size, size), normal(k, c // groups, window, window)
    return of("conv2d", name, x, w, padding=window // 2, groups=groups, **options)


def subnormal() -> Iterator[Pair]:
    """Numbers below 1.2e-38 may cost 100 cycles each, where flushing them is no way out."""
    x, w = normal(4, 64, 56, 56), normal(64, 64, 3, 3)
    a, b = normal(256, 1024), normal(512, 1024)
    tiny = np.float32(1e-40)
    gates = normal(512, 64), normal(512, 128)
    steps = normal(32, 16, 64)
    for name, arrays, options in [
        ("conv2d", (x, w), {"padding": 1}),
        ("linear", (a, b), {}),
        ("max_pool2d", (x, 2), {}),
        ("avg_pool2d", (x, 2), {}),
        ("relu", (x,), {}),
        ("tanh", (x,), {}),
        ("softmax", (a,), {}),
        ("layer_norm", (a, (1024,)), {}),
        ("lstm", (steps, *gates), {}),
    ]:
        first, *rest = arrays
        small = [first * tiny, *rest]
        yield Pair("subnormal", of(name, f"{name}, x subnormal", *small, **options),
                   of(name, f"{name}, x normal", *arrays, **options), 1.5)  # fmt: skip
        if name in ("conv2d", "linear"):
            weights = of(name, f"{name}, w subnormal", first, rest[0] * tiny, **options)
            plain = of(name, f"{name}, w normal", *arrays, **options)
            yield Pair("subnormal", weights, plain, 1.5)


def powers() -> Iterator[Pair]:
    """Lines 256 n apart share few sets of a cache."""
    for n in (256, 512, 1024, 2048):
        even = of("linear", f"linear {n}", normal(256, n), normal(n, n))
        odd = of("linear", f"linear {n + 1}", normal(256, n + 1), normal(n + 1, n + 1))
        yield Pair("256 n", even, odd, 1.3)
        yield Pair("256 n", odd, even, 1.3)
    for size in (64, 128):
        yield Pair("256 n", conv(2, 64, 64, size), conv(2, 64, 64, size + 1), 1.3)
        yield Pair("256 n", conv(2, 64, 64, size + 1), conv(2, 64, 64, size), 1.3)


def shapes() -> Iterator[Pair]:
    """Few images, few channels, many groups, sizes beside the tiles of kernels."""
    plain = conv(8, 64, 64, 56)
    yield Pair("few", conv(1, 64, 64, 56), plain, 1.5)
    yield Pair("few", conv(8, 1, 64, 56), plain, 4)
    yield Pair("few", conv(8, 64, 1, 56), plain, 6)
    yield Pair("few", conv(8, 64, 64, 7), plain, 2)
    yield Pair("groups", conv(8, 64, 64, 56, groups=4), plain, 2.5)
    for window in (3, 5, 7):
        yield Pair("depthwise", conv(8, 64, 64, 56, window, groups=64), None, 3)
    yield Pair("depthwise", conv(1, 512, 512, 7, 3, groups=512), None, 3)
    for k in (63, 65, 72, 80, 95, 97):
        yield Pair("tiles", conv(8, 64, k, 56), plain, 1.3)
    for size in (55, 57, 58):
        yield Pair("tiles", conv(8, 64, 64, size), plain, 1.3)
    for c in (63, 65, 71):
        yield Pair("tiles", conv(8, c, 64, 56), plain, 1.3)
    square = of("linear", "linear 240x512x512", normal(240, 512), normal(512, 512))
    for m in (239, 241, 250):
        yield Pair("tiles", of("linear", f"linear {m}x512x512", normal(m, 512), normal(512, 512)),
                   square, 1.3)  # fmt: skip


def threads() -> Iterator[Pair]:
    """More threads than CPUs."""
    two = conv(8, 64, 64, 56, threads=2)
    for count in (3, 4, 8, 16):
        yield Pair("threads", conv(8, 64, 64, 56, threads=count), two, 1.3)
    two = conv(1, 16, 16, 28, threads=2)
    for count in (4, 16):
        yield Pair("threads", conv(1, 16, 16, 28, threads=count), two, 2)


GROUPS = (subnormal, powers, shapes, threads)


def limits() -> tuple[float, float]:
    """FLOPs and bytes per second of this machine, by all threads that fastnn uses."""
    count = fastnn.get_num_threads()
    rounds, source = 20_000, np.ones(14 * 16, np.float32)
    a, b = np.ones((2, 1 << 24), np.float32)
    times = interleaved(
        {
            "flops": lambda: _core.multiply_add(source, np.zeros(256 * count, np.float32), rounds),
            "bytes": lambda: _core.copy(a, b),
        }
    )
    lanes = {"baseline": 4, "avx2": 8, "avx512": 16}[_core.isa]
    return 2 * lanes * 12 * 16 * count * rounds / times["flops"], 2 * a.nbytes / times["bytes"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=[g.__name__ for g in GROUPS])
    args = parser.parse_args()
    flops, bandwidth = limits()
    print(f"fastnn {fastnn.__version__}, {_core.isa}, {fastnn.get_num_threads()} threads: "
          f"{flops / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s")  # fmt: skip
    rows = []
    for group in GROUPS:
        if args.only not in (None, group.__name__):
            continue
        for pair in group():
            calls = {"call": pair.call, "neighbour": pair.neighbour or pair.call}
            seconds = interleaved({name: c.run for name, c in calls.items()})
            units = [
                seconds[name] / max(c.flops / flops, c.bytes / bandwidth)
                for name, c in calls.items()
            ]
            if pair.neighbour is None:
                units[1] = 1.0
            ratio = units[0] / units[1]
            rows.append((pair.group, pair.call.name, f"{1e3 * seconds['call']:.3f}",
                         f"{units[0]:.1f}", f"{units[1]:.1f}", f"{ratio:.2f}", f"{pair.limit}",
                         "CLIFF" if ratio > pair.limit else ""))  # fmt: skip
    header = ("", "call", "ms", "x model", "neighbour", "ratio", "limit", "")
    print(table.render(header, rows, right="  rrrrr "))
    print(f"{sum(bool(r[-1]) for r in rows)} of {len(rows)} above the limit")


if __name__ == "__main__":
    main()
