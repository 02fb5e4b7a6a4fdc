"""Time of an operation against each of its sizes, beside its work.

    python benchmarks/growth.py --out growth.png          convolution, a picture (matplotlib)
    python benchmarks/growth.py --family recurrent        LSTM, GRU and RNN, printed
    python benchmarks/growth.py --op lstm --axis B        one curve

From one shape a single axis is varied. Where a step grows as its arithmetic does (or, of the
family `memory`, as the bytes that it must move), its rate is level; a cliff is a jump of the rate.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastnn

Sizes = Mapping[str, int]
Run = Callable[[], Any]

# Around the widths of vectors, of tiles and of caches' lines.
NARROW = [1, 2, 3, 4, 6, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 192]
WIDE = [*NARROW, 255, 256, 257, 384]
FEW = [*range(1, 18), 20, 24, 25, 28, 31, 32, 33]


class Subject(NamedTuple):
    """An operation, the shape that is varied, and what is timed of it."""

    base: Sizes
    axes: Mapping[str, list[int]]
    steps: Mapping[str, int]  # each step's work, in forward passes
    unit: str
    make: Callable[[str, Sizes, str], tuple[Any, list[Run]]]  # a context and the steps


# -- calls of the steps --------------------------------------------------------------------------


def draw_array(shape: tuple[int, ...], dtype: str) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def conv(op: str, s: Sizes, dtype: str) -> tuple[Any, list[Run]]:
    call: Any = getattr(fastnn, op)
    x = draw_array((s["N"], s["C"], s["H"], s["H"]), dtype)
    w = draw_array((s["K"], s["C"], s["R"], s["R"]), dtype)
    y, context = call.forward(x, w, padding=s["R"] // 2)
    return context, [
        lambda: call(x, w, padding=s["R"] // 2),
        lambda: call.backward(context, y, needs=("x",)),
        lambda: call.backward(context, y, needs=("w",)),
    ]


def recurrent(op: str, s: Sizes, dtype: str) -> tuple[Any, list[Run]]:
    rows = {"lstm": 4, "gru": 3, "rnn": 1}[op] * s["H"]
    x = draw_array((s["T"], s["B"], s["D"]), dtype)
    shapes = ((rows, s["D"]), (rows, s["H"]), (rows,), (rows,))
    weights = [draw_array(shape, dtype) / np.sqrt(s["H"], dtype=dtype) for shape in shapes]
    return forward_and_backward(getattr(fastnn, op), x, *weights)


def batch_norm(op: str, s: Sizes, dtype: str) -> tuple[Any, list[Run]]:
    x, w = draw_array((s["N"], s["C"], s["H"], s["H"]), dtype), draw_array((s["C"],), dtype)
    return forward_and_backward(getattr(fastnn, op), x, w, w, training=True)


def pool(op: str, s: Sizes, dtype: str) -> tuple[Any, list[Run]]:
    x = draw_array((s["N"], s["C"], s["H"], s["H"]), dtype)
    return forward_and_backward(getattr(fastnn, op), x, 2)


def loss(op: str, s: Sizes, dtype: str) -> tuple[Any, list[Run]]:
    x = draw_array((s["N"], s["C"]), dtype)
    return forward_and_backward(getattr(fastnn, op), x, np.arange(s["N"]) % s["C"])


def forward_and_backward(op: Any, *arguments: Any, **options: Any) -> tuple[Any, list[Run]]:
    y, context = op.forward(*arguments, **options)
    dy = (y[0], *(None for _ in y[1:])) if op.outputs else y
    return context, [partial(op.forward, *arguments, **options), partial(op.backward, context, dy)]


# -- the table -----------------------------------------------------------------------------------

CONV = Subject(
    {"N": 8, "C": 64, "K": 64, "H": 28, "R": 3},
    {
        "N": [*range(1, 17), 20, 24, 28, 32],
        "C": NARROW,
        "K": NARROW,
        "H": [*range(3, 40), 44, 48, 52, 56, 60, 64, 65, 72, 80, 96, 112],
        "R": [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15],
    },
    {"y": 1, "dx": 1, "dw": 1},
    "GF/s",
    conv,
)
RECURRENT = Subject(
    {"T": 50, "B": 32, "D": 3, "H": 128},
    {
        "T": [*range(1, 17), 24, 32, 50, 64, 100, 128, 150, 151],
        "B": [*FEW, 40, 47, 48, 49, 63, 64, 65, 96, 128],
        "D": WIDE,
        "H": WIDE,
    },
    {"forward": 1, "backward": 2},
    "GF/s",
    recurrent,
)
IMAGES = {"N": FEW, "C": NARROW, "H": [*range(2, 34), 48, 56, 63, 64, 65, 96, 112]}
NORM = Subject(
    {"N": 16, "C": 64, "H": 28}, IMAGES, {"forward": 1, "backward": 1}, "GB/s", batch_norm
)
FAMILIES = {
    "conv": {"conv2d": CONV},
    "recurrent": dict.fromkeys(("lstm", "gru", "rnn"), RECURRENT),
    "memory": {
        "batch_norm": NORM,
        "max_pool2d": NORM._replace(make=pool),
        "softmax_cross_entropy": Subject(
            {"N": 128, "C": 100},
            {"N": [*FEW, 63, 64, 65, 127, 128, 129, 1000], "C": [*WIDE, 1000, 1001, 4096, 10000]},
            {"forward": 1, "backward": 1},
            "GB/s",
            loss,
        ),
    },
}


# -- measuring and drawing -----------------------------------------------------------------------


def least(run: Run, seconds: float) -> float:
    """Seconds of the fastest run; of one thread, processor time: others disturb it less."""
    clock = time.thread_time if fastnn.get_num_threads() == 1 else time.perf_counter
    best, until, runs = np.inf, clock() + seconds, 0
    while True:
        start = clock()
        run()
        now = clock()
        best, runs = min(best, now - start), runs + 1
        if now > until and runs >= 3:  # the first ones fault new pages
            return best


def point(op: str, of: Subject, sizes: Sizes, dtype: str, seconds: float) -> tuple[Any, ...]:
    """Who ran, the work of a forward pass and the seconds of each step."""
    context, runs = of.make(op, sizes, dtype)
    work = context.call.flops if of.unit == "GF/s" else context.call.bytes
    return context.impl.name, work, [least(run, seconds) for run in runs]


def draw(curves: dict[tuple[str, str], list[Any]], dtype: str, out: Path) -> None:
    """For each operation times and rates, a column for each axis."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    ops = list(dict.fromkeys(op for op, _ in curves))
    columns = max(sum(o == op for o, _ in curves) for op in ops)
    figure, grid = plt.subplots(
        2 * len(ops),
        columns,
        figsize=(4.2 * columns, 6.6 * len(ops)),
        squeeze=False,
        layout="constrained",
    )
    places = {op: iter(grid[2 * i : 2 * i + 2].T) for i, op in enumerate(ops)}
    for (op, axis), points in curves.items():
        times, rates = next(places[op])
        of = FAMILY_OF[op]
        sizes = [size for size, *_ in points]
        work = np.array([amount for _, _, amount, _ in points])
        seconds = np.array([took for *_, took in points])
        for i, (step, passes) in enumerate(of.steps.items()):
            times.plot(sizes, 1e3 * seconds[:, i], ".-", label=step)
            rates.plot(sizes, 1e-9 * passes * work / seconds[:, i], ".-", label=step)
        mean = seconds.mean(1)
        middle = len(sizes) // 2
        times.plot(sizes, 1e3 * work * mean[middle] / work[middle], "k:", label="as the work")
        others = " ".join(f"{a}={n}" for a, n in of.base.items() if a != axis)
        times.set(title=f"{op}, {others}", xscale="log", yscale="log", ylabel="ms")
        rates.set(xlabel=axis, xscale="log", ylabel=of.unit, ylim=(0, None))
        times.legend()
    for rest in places.values():
        for pair in rest:
            for unused in pair:
                unused.remove()
    figure.suptitle(dtype)
    figure.savefig(out, dpi=80)


FAMILY_OF = {op: of for family in FAMILIES.values() for op, of in family.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--family", choices=tuple(FAMILIES), default="conv")
    parser.add_argument("--op", choices=tuple(FAMILY_OF), action="append", help="instead of all")
    parser.add_argument("--axis", action="append", help="instead of all")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.02, help="of each step of each size")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    curves: dict[tuple[str, str], Any] = {}
    with fastnn.use(threads=arguments.threads):
        for op in arguments.op or FAMILIES[arguments.family]:
            of = FAMILY_OF[op]
            for axis in arguments.axis or of.axes:
                curve = curves[op, axis] = []
                for size in of.axes[axis]:
                    found = point(
                        op, of, {**of.base, axis: size}, arguments.dtype, arguments.seconds
                    )
                    curve.append((size, *found))
                    name, work, seconds = found
                    times = "".join(f"{1e3 * s:9.4f}" for s in seconds)
                    rates = "".join(
                        f"{1e-9 * passes * work / s:7.1f}"
                        for passes, s in zip(of.steps.values(), seconds, strict=True)
                    )
                    print(f"{op} {axis}={size:<6}{name:18}{times} ms {rates} {of.unit}", flush=True)
    if arguments.out:
        draw(curves, arguments.dtype, arguments.out)


if __name__ == "__main__":
    main()
