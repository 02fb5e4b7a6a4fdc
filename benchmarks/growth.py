"""Time of a convolution against N, C, K, H and the size of the window, beside its arithmetic.

    python benchmarks/growth.py --out growth.png     a picture (matplotlib)
    python benchmarks/growth.py --axis H             one curve, printed

From one shape a single axis is varied. Where a step grows as its arithmetic does, its rate is
level; a cliff is a jump of the rate.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastnn

BASE = {"N": 8, "C": 64, "K": 64, "H": 28, "R": 3}
SIZES: dict[str, list[int]] = {
    "N": [*range(1, 17), 20, 24, 28, 32],
    "C": [1, 2, 3, 4, 6, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 192],
    "K": [1, 2, 3, 4, 6, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 192],
    "H": [*range(3, 40), 44, 48, 52, 56, 60, 64, 65, 72, 80, 96, 112],
    "R": [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15],
}
STEPS = ("y", "dx", "dw")


def least(run: Callable[[], Any], seconds: float) -> float:
    """Seconds of the fastest run; of one thread, processor time: others disturb it less."""
    clock = time.thread_time if fastnn.get_num_threads() == 1 else time.perf_counter
    best, until = np.inf, clock() + seconds
    while True:
        start = clock()
        run()
        now = clock()
        best = min(best, now - start)
        if now > until:
            return best


def point(sizes: dict[str, int], dtype: str, seconds: float) -> tuple[str, float, list[float]]:
    """Who ran, the multiply-adds of a step and the seconds of each."""
    n, c, k, h, r = (sizes[axis] for axis in "NCKHR")
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(dtype) for s in ((n, c, h, h), (k, c, r, r)))
    op = fastnn.conv2d
    y, context = op.forward(x, w, padding=r // 2)
    runs = (
        lambda: op(x, w, padding=r // 2),
        lambda: op.backward(context, y, needs=("x",)),
        lambda: op.backward(context, y, needs=("w",)),
    )
    return context.impl.name, y.size * c * r * r, [least(run, seconds) for run in runs]


def draw(curves: dict[str, Any], dtype: str, out: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(curves), figsize=(4.2 * len(curves), 7), squeeze=False)
    for (axis, points), (times, rates) in zip(curves.items(), axes.T, strict=True):
        sizes = [size for size, *_ in points]
        work = np.array([products for _, _, products, _ in points])
        seconds = np.array([took for *_, took in points])
        for i, step in enumerate(STEPS):
            times.plot(sizes, 1e3 * seconds[:, i], ".-", label=step)
            rates.plot(sizes, 2e-9 * work / seconds[:, i], ".-", label=step)
        total = seconds.sum(1)
        middle = len(sizes) // 2
        times.plot(sizes, 1e3 * work * total[middle] / work[middle] / 3, "k:", label="arithmetic")
        times.set(title=f"{axis} varied", xscale="log", yscale="log", ylabel="ms")
        rates.set(xlabel=axis, xscale="log", ylabel="GF/s of the plain sum", ylim=(0, None))
        times.legend()
    fixed = " ".join(f"{axis}={size}" for axis, size in BASE.items())
    figure.suptitle(f"conv2d {dtype}, otherwise {fixed}, stride 1, same padding")
    figure.tight_layout()
    figure.savefig(out, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--axis", choices=tuple(BASE), action="append")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.02, help="of each step of each size")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    curves: dict[str, Any] = {}
    with fastnn.use(threads=arguments.threads):
        for axis in arguments.axis or BASE:
            curves[axis] = []
            for size in SIZES[axis]:
                name, products, seconds = point(
                    BASE | {axis: size}, arguments.dtype, arguments.seconds
                )
                curves[axis].append((size, name, products, seconds))
                times = "".join(f"{1e3 * s:9.4f}" for s in seconds)
                rates = "".join(f"{2e-9 * products / s:7.1f}" for s in seconds)
                print(f"{axis}={size:<5}{name:18}{times} ms {rates} GF/s")
    if arguments.out:
        draw(curves, arguments.dtype, arguments.out)


if __name__ == "__main__":
    main()
