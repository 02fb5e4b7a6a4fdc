"""fastnn demo: real training, speed-ups and pictures within about a minute."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from timeit import default_timer
from typing import TYPE_CHECKING

import numpy as np

from fastnn._cli import bench
from fastnn._cli.extras import need, progress
from fastnn._cli.files import folder
from fastnn.dispatch import unavailable
from fastnn.errors import OptionError

if TYPE_CHECKING:
    from fastnn._cli.training import Epoch

GOAL = 0.97
EPOCHS = 30


# What the network is made of; `fastnn bench` shows the rest.
SHOWN = ("conv2d", "max_pool2d", "batch_norm", "relu", "linear", "softmax_cross_entropy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("fastnn-demo"), help="folder for pictures")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default {EPOCHS}")
    parser.add_argument("--seed", type=int, default=0, help="of the initial weights and the order")


def run(args: argparse.Namespace) -> int:
    """Train, time, draw; 1 if the goal is missed or implementations disagree."""
    if args.epochs < 1 or args.seed < 0:
        raise OptionError(
            f"demo: --epochs={args.epochs} --seed={args.seed}; at least 1 epoch and seed 0"
        )
    if unavailable("cython") and unavailable("numba"):
        raise OptionError("demo needs compiled code or Numba; naive code would train for an hour")
    need("sklearn.datasets", "scikit-learn", "demo")
    need("matplotlib", "matplotlib", "demo")
    out = folder(args.out)
    reached = _learn(args.epochs, args.seed, out)
    agreed = _compare(out)
    print(f"\npictures are in {out.resolve()}")
    if not reached:
        print(f"FAILED: fewer than {GOAL:.0%} of the held-out digits are read rightly")
    return int(not (reached and agreed))


def _learn(epochs: int, seed: int, out: Path) -> bool:
    """Train and draw what was learned; whether the goal is reached."""
    from fastnn._cli import pictures, training

    digits = training.load_digits()
    rng = np.random.default_rng(seed)
    net = training.three_layer_net(rng)
    print(
        f"training a three-layer ConvNet on {len(digits.x)} handwritten digits, "
        f"{len(digits.x_held)} held out"
    )
    start = default_timer()
    history = list(
        _told(progress(training.train(net, digits, epochs, rng), "demo", epochs), epochs)
    )
    took = default_timer() - start
    last = history[-1].accuracy_held
    print(f"trained {epochs} epochs in {took:.1f} s: {last:.1%} of the held-out digits are right")
    pictures.learning_curves(history, GOAL, out / "learning-curves.png")
    pictures.filters(net.state_dict()["0.weight"], out / "filters.png")
    scores = training.predict(net, digits.x_held)
    pictures.confusion(scores, digits.labels_held, digits.x_held, out / "confusion.png")
    return last >= GOAL


def _told(history: Iterable[Epoch], epochs: int) -> Iterator[Epoch]:
    """`history`, with about eight lines printed on the way where no progress bar is seen."""
    every = max(1, epochs // 8)
    for number, epoch in enumerate(history, start=1):
        if not sys.stderr.isatty() and (number % every == 0 or number in (1, epochs)):
            print(
                f"epoch {number:3d}  loss {epoch.loss:.4f}  held out: loss {epoch.loss_held:.4f}, "
                f"{epoch.accuracy_held:.1%} right"
            )
        yield epoch


def _compare(out: Path) -> bool:
    """Time a handful of calls and draw their speed-ups; whether implementations agree."""
    from fastnn._cli import pictures

    chosen = [next(bench.select(name)) for name in SHOWN]
    print("\n" + bench.caption("float32"))
    rows = bench.measure_all(chosen, "float32", quick=True)
    print(bench.render(rows))
    pictures.speedups(rows, bench.caption("float32"), out / "speedups.png")
    return not any(row.failed for row in rows)
