"""Whole epochs of training on real data, fastnn and PyTorch side by side.

    python benchmarks/epochs.py --data DIR                        # all nets, 1 and 2 threads
    python benchmarks/epochs.py --data DIR --only lstm,gru --threads 2
    python benchmarks/epochs.py --python /other/python --parts 3  # an interpreter that has torch

Both get the same initial weights and the same batches in the same order, so their losses follow
each other but for rounding. Each library has a process of its own; an epoch is cut into parts that
the libraries take by turns, so that a slow spell of the machine falls on both. Seconds per epoch
are the parts' median times their number; the first part, which warms up, is not counted. What is
timed is a training step as users write it: the batch cut and shifted with NumPy, forward, loss,
backward, the optimiser's step.

Data: CIFAR-10, har_watch.h5 and MNIST, see `fastnn.datasets`; --data or FASTNN_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

WARM = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
PAUSE = 0.05  # seconds between libraries: threads of the last one are still spinning


class Net(NamedTuple):
    """A net of the examples: its data, its batches, its optimiser."""

    data: str
    batch: int
    optimizer: str
    rate: float


NETS = {
    "challenge": Net("cifar10", 64, "adam", 1e-3),
    "convnet": Net("cifar10", 50, "adam", 1e-3),
    "lstm": Net("har_watch", 32, "adam", 1e-3),
    "gru": Net("har_watch", 32, "adam", 1e-3),
    "perceptron": Net("mnist", 32, "rmsprop", 1e-3),
}


# -- the libraries -------------------------------------------------------------------------------


def of_fastnn(name: str) -> Any:
    """The net as fastnn's layers."""
    from fastnn import layers as nn

    rng: Any = np.random.default_rng(0)
    if name == "challenge":
        parts: list[Any] = []
        for c, k, size in ((3, 16, 5), (16, 32, 3), (32, 64, 3)):
            parts += [nn.Conv2d(c, k, size, padding=size // 2, rng=rng), nn.BatchNorm2d(k)]
            parts += [nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*parts, nn.Flatten(), nn.Linear(1024, 10, rng=rng))
    if name == "convnet":
        return nn.Sequential(
            nn.Conv2d(3, 32, 7, padding=3, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(8192, 500, rng=rng), nn.ReLU(), nn.Linear(500, 10, rng=rng),
        )  # fmt: skip
    if name == "perceptron":
        parts = [nn.Linear(784, 100, rng=rng)]
        for _ in range(5):
            parts += [nn.Linear(100, 100, rng=rng), nn.Tanh()]
        return nn.Sequential(*parts, nn.Linear(100, 10, rng=rng))
    kind = nn.LSTM if name == "lstm" else nn.GRU
    return nn.Sequential(
        kind(3, 128, batch_first=True, last_only=True, rng=rng), nn.Linear(128, 6, rng=rng)
    )


def steps_of_fastnn(name: str, weights: dict[str, Array]) -> Callable[[Array, Array], float]:
    """What takes a step and gives its loss."""
    from fastnn import layers, optim
    from fastnn.train import Trainer

    net, model = NETS[name], of_fastnn(name)
    model.load_state_dict(weights)
    kind: Any = {"adam": optim.Adam, "rmsprop": optim.RMSprop}[net.optimizer]
    return Trainer(model, layers.CrossEntropyLoss(), kind(model, lr=net.rate)).step


def steps_of_torch(name: str, weights: dict[str, Array]) -> Callable[[Array, Array], float]:
    """The same with PyTorch."""
    import torch
    from torch import nn

    class Last(nn.Module):
        def __init__(self, kind: Any) -> None:
            super().__init__()
            self.layer = kind(3, 128, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.layer(x)[0][:, -1]

    parts: list[Any] = []
    if name == "challenge":
        for c, k, size in ((3, 16, 5), (16, 32, 3), (32, 64, 3)):
            parts += [nn.Conv2d(c, k, size, padding=size // 2), nn.BatchNorm2d(k)]
            parts += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        parts += [nn.Flatten(), nn.Linear(1024, 10)]
    elif name == "convnet":
        parts = [
            nn.Conv2d(3, 32, 7, padding=3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(8192, 500), nn.ReLU(inplace=True), nn.Linear(500, 10),
        ]  # fmt: skip
    elif name == "perceptron":
        parts = [nn.Linear(784, 100)]
        for _ in range(5):
            parts += [nn.Linear(100, 100), nn.Tanh()]
        parts.append(nn.Linear(100, 10))
    else:
        parts = [Last(nn.LSTM if name == "lstm" else nn.GRU), nn.Linear(128, 6)]
    model = nn.Sequential(*parts)
    own = model.state_dict()
    for key, value in own.items():
        found = weights.get(key.replace(".layer.", "."))
        if found is not None:
            value.copy_(torch.from_numpy(found))
        elif not key.endswith("num_batches_tracked"):
            raise KeyError(f"{key}: the weights have {', '.join(weights)}")
    net = NETS[name]
    kind: Any = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}[net.optimizer]
    optimizer = kind(model.parameters(), lr=net.rate)
    loss_of = nn.CrossEntropyLoss()

    def step(x: Array, y: Array) -> float:
        optimizer.zero_grad()
        loss = loss_of(model(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


# -- the process of a library --------------------------------------------------------------------


def work(library: str, threads: int, folder: Path) -> None:
    """Answer lines of JSON that name a net and a part of its epoch."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if library == "torch":
        import torch

        torch.set_num_threads(threads)
        version = torch.__version__
    else:
        import fastnn

        fastnn.set_num_threads(threads)
        version = fastnn.__version__
    print(json.dumps({"version": version}), file=answers, flush=True)
    current: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request["net"]
        if current.get("net") != name:
            weights = dict(np.load(folder / f"{name}.npz"))
            data = np.load(folder / f"{NETS[name].data}.npz")
            make = steps_of_torch if library == "torch" else steps_of_fastnn
            current = {"net": name, "step": make(name, weights)} | dict(data)
        losses = []
        begin = time.perf_counter()
        for rows in np.split(current["order"], request["cuts"])[1:-1]:
            x = current["x"].take(rows, axis=0).astype(np.float32)
            x -= current["shift"]
            x *= current["scale"]
            losses.append(current["step"](x, current["y"].take(rows)))
        seconds = time.perf_counter() - begin
        print(json.dumps({"seconds": seconds, "losses": losses}), file=answers, flush=True)


class Library:
    """A library in a process of its own."""

    def __init__(self, name: str, threads: int, python: str, folder: Path) -> None:
        environment = os.environ | WARM | {
            "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1",
        }  # fmt: skip
        command = [python, __file__, "--work", name, str(threads), str(folder)]
        self.process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.version = self._read()["version"]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("epochs: a library's process ended, see above; is it installed?")
        found: dict[str, Any] = json.loads(line)
        return found

    def part(self, net: str, cuts: list[int]) -> dict[str, Any]:
        """Train on the batches between the cuts."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"net": net, "cuts": cuts}) + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


# -- the parent ----------------------------------------------------------------------------------


def prepare(names: list[str], data: Path | None, folder: Path) -> dict[str, int]:
    """Write weights, data and the order of the epoch; the number of samples of each data set."""
    from fastnn import datasets, io

    counts = {}
    for kind in {NETS[name].data for name in names}:
        split = getattr(datasets, kind)(data)
        x, y = split.x_train, split.y_train
        if kind == "cifar10":
            x, y = x[:-1000], y[:-1000]
        if kind == "mnist":
            x = x.reshape(len(x), -1)
        some = x[::10].astype(np.float64)
        shift, scale = np.float32(some.mean()), np.float32(1 / some.std())
        order = np.random.default_rng(0).permutation(len(x))
        counts[kind] = len(x)
        np.savez(folder / f"{kind}.npz", x=x, y=y, order=order, shift=shift, scale=scale)
    for name in names:
        io.save(folder / f"{name}.npz", of_fastnn(name).state_dict())
    return counts


def race(name: str, samples: int, libraries: dict[str, Library], parts: int, only: int) -> Any:
    """Per library the seconds of an epoch and the losses of its steps."""
    batch = NETS[name].batch
    steps = samples // batch
    each = steps // parts
    times: dict[str, list[float]] = {library: [] for library in libraries}
    losses: dict[str, list[float]] = {library: [] for library in libraries}
    for part in range(only):
        cuts = [batch * (part * each + i) for i in range(each + 1)]
        for library, process in libraries.items():
            time.sleep(PAUSE)
            found = process.part(name, cuts)
            times[library].append(found["seconds"])
            losses[library] += found["losses"]
    return {
        library: {
            "seconds": statistics.median(times[library][1:]) * steps / each,
            "losses": losses[library],
        }
        for library in libraries
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    split = lambda text: [p for p in text.split(",") if p]  # noqa: E731
    parser.add_argument("--data", type=Path, help="folder of the data sets; FASTNN_DATA by default")
    parser.add_argument("--only", type=split, default=list(NETS), help=f"of {', '.join(NETS)}")
    parser.add_argument("--threads", type=lambda t: [int(p) for p in split(t)], default=[1, 2])
    parser.add_argument("--cut", type=int, default=20, help="parts of an epoch")
    parser.add_argument("--parts", type=int, default=20, help="how many of them are trained")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has torch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        library, threads, folder = arguments.work
        work(library, int(threads), Path(folder))
        return
    unknown = sorted(set(arguments.only) - set(NETS))
    if unknown or not 2 <= arguments.parts <= arguments.cut:
        parser.error(f"--only: known are {', '.join(NETS)}; --parts: 2 to {arguments.cut}")
    report: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = prepare(arguments.only, arguments.data, folder)
        print(f"{'net':12}{'threads':>8}{'fastnn':>10}{'torch':>10}{'ratio':>8}  last part's loss")
        for threads in arguments.threads:
            libraries = {
                "fastnn": Library("fastnn", threads, sys.executable, folder),
                "torch": Library("torch", threads, arguments.python, folder),
            }
            for net in arguments.only:
                found = race(net, counts[NETS[net].data], libraries, arguments.cut, arguments.parts)
                ours, theirs = (found[k]["seconds"] for k in ("fastnn", "torch"))
                tail = len(found["fastnn"]["losses"]) // arguments.parts
                ends = [statistics.fmean(found[k]["losses"][-tail:]) for k in ("fastnn", "torch")]
                apart = np.abs(np.subtract(*(found[k]["losses"][:tail] for k in found))).max()
                print(
                    f"{net:12}{threads:8}{ours:9.2f}s{theirs:9.2f}s{theirs / ours:7.2f}x  "
                    f"{ends[0]:.4f} {ends[1]:.4f}; in the first part at most {apart:.1e} apart",
                    flush=True,
                )
                report.append({"net": net, "threads": threads} | found)
            for library in libraries.values():
                library.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
