"""What all examples share: the command line, the report, and the closing checks.

An example is a module with a docstring, whose first line says what it is, and a function ``run``
that takes an `Example`. It ends with::

    if __name__ == "__main__":
        sys.exit(main(run))

A module's ``SEED`` is the default of ``--seed``, else 0. Importing an example runs nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect as introspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from timeit import default_timer
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastnn import inspect, plot
from fastnn._cli import extras, files
from fastnn._table import render
from fastnn.errors import FastnnError
from fastnn.layers import Layer

T = TypeVar("T")

Value = float | str
"""What a figure is: a number, or a text such as "2.1 ms"."""


class Figure(NamedTuple):
    """One line of the table that an example prints."""

    value: Value
    report: Value | None
    goal: str
    met: bool


class Example:
    """One run of an example: its options, and what it reports.

    Parameters
    ----------
    data
        The folder of the data sets, for the loaders of `fastnn.datasets`; None for FASTNN_DATA.
    quick
        Whether to do less, within a minute: fewer epochs, samples or repetitions.
    out
        The folder for pictures.
    seed
        Of all that is random.

    Attributes
    ----------
    figures
        What `figure` was told, by name.
    pictures
        The files that `picture` wrote.
    digest
        The hash of all that `weights` was given.
    checked
        Whether there was a `check`.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        quick: bool = False,
        out: Path | None = None,
        seed: int = 0,
    ) -> None:
        self.data, self.quick, self.seed = data, quick, seed
        self.out = Path("out") if out is None else out
        self.figures: dict[str, Figure] = {}
        self.pictures: list[Path] = []
        self.checked = False
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Sixteen digits; equal if and only if all weights have the same bits."""
        return self._hash.hexdigest()[:16]

    @property
    def met(self) -> bool:
        """Whether every figure meets its goal."""
        return all(figure.met for figure in self.figures.values())

    def rng(self, *key: int) -> np.random.Generator:
        """A generator for one purpose, which `key` tells from others of the same seed."""
        return np.random.default_rng([self.seed, *key])

    def say(self, text: str) -> None:
        """Print a line at once."""
        print(text, flush=True)

    def progress(self, items: Iterable[T], text: str, total: int | None = None) -> Iterable[T]:
        """`items` under a progress bar, if tqdm is there and standard error is a terminal."""
        return extras.progress(items, text, total)

    def figure(
        self,
        name: str,
        value: Value,
        *,
        report: Value | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Add a line to the table: our figure, the report's, and what ours has to be."""
        goals = [f">= {at_least:.5g}"] if at_least is not None else []
        goals += [f"<= {at_most:.5g}"] if at_most is not None else []
        met = True
        if goals:
            low, high = at_least, at_most
            number = float(value)
            met = (-math.inf if low is None else low) <= number
            met = met and number <= (math.inf if high is None else high)
        self.figures[name] = Figure(value, report, ", ".join(goals), met)

    def picture(self, drawn: Any, name: str) -> None:
        """Write a picture of `fastnn.plot` to the folder."""
        path = self.out / f"{name}.png"
        plot.save(drawn, path)
        self.pictures.append(path)

    def weights(self, model: Layer | Mapping[str, Any]) -> None:
        """Take the bits of a trained model, or of arrays by name, into the digest."""
        state = model.state_dict() if isinstance(model, Layer) else model
        for name, array in state.items():
            whole = np.ascontiguousarray(array)
            self._hash.update(f"{name} {whole.dtype.str} {np.shape(array)} ".encode())
            self._hash.update(whole.tobytes())

    def check(self, model: Layer, loss: Any, x: Any, y: Any, **options: Any) -> None:
        """Check the gradients of a model, see `fastnn.inspect.check_model`."""
        found = inspect.check_model(model, loss, x, y, **options)
        self.checked = True
        name = "gradient check: worst error beyond rounding"
        before = self.figures.get(name)
        worst = max(found.error, 0.0 if before is None else float(before.value))
        self.figure(name, worst, at_most=options.get("tolerance", 1e-5))
        if not found.ok:
            self.say(str(found))

    def __str__(self) -> str:
        rows = [
            [name, _text(value), "" if report is None else _text(report), goal,
             "" if met else "MISSED"]
            for name, (value, report, goal, met) in self.figures.items()
        ]  # fmt: skip
        return render(["", "here", "report", "goal", ""], rows, right="lrr")


def main(run: Callable[[Example], None], argv: Sequence[str] | None = None) -> int:
    """Run an example from the command line.

    Parameters
    ----------
    run
        The example's function.
    argv
        Arguments, those of the process by default.

    Returns
    -------
    int
        The exit code: 0, 1 if a goal was missed, 2 if something is missing, 130 after Ctrl-C.
    """
    module = run.__globals__
    name = Path(module["__file__"]).stem
    args = _parser(name, introspect.cleandoc(module["__doc__"]), module.get("SEED", 0)).parse_args(
        argv
    )
    example = Example(args.data, quick=args.quick, out=args.out, seed=args.seed)
    start = default_timer()
    try:
        files.folder(example.out)
        run(example)
    except FastnnError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    took = default_timer() - start
    print(f"\n{example}\n")
    print(f"weights: {example.digest}, the same for any number of threads")
    print(f"time: {took:.1f} s{_memory()}")
    if example.pictures:
        print(f"pictures: {', '.join(p.name for p in example.pictures)} in {example.out.resolve()}")
    return int(not example.met)


def _parser(name: str, text: str, seed: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=name, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the data sets; FASTNN_DATA by default")
    parser.add_argument("--quick", action="store_true", help="do less, within a minute")
    parser.add_argument(
        "--out", type=Path, default=Path(f"out-{name}"), help="folder for pictures, out-NAME"
    )
    parser.add_argument("--seed", type=int, default=seed, help=f"of all that is random, {seed}")
    return parser


def _memory() -> str:
    """The most memory that was in use, with that of the largest child process."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    unit = 1 if sys.platform == "darwin" else 1024
    parts = []
    for who, text in ((resource.RUSAGE_SELF, "peak memory"), (resource.RUSAGE_CHILDREN, "child")):
        size = resource.getrusage(who).ru_maxrss * unit
        if size:
            parts.append(f"{text}: {size / 2**20:.0f} MiB")
    return "".join(f", {part}" for part in parts)


def _text(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.5g}"
