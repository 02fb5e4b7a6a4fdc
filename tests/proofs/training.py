"""One hash per element type and instruction set for a training run, on any number of threads.

Three small nets, 200 steps each: the hash is of all parameters, buffers and losses. A run that
stops at a checkpoint and goes on in a new model must end in the same one.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers
from fastnn.optim import SGD, Adam
from fastnn.train import Checkpoint, Trainer

BATCH = 20


def convolutional(dtype):
    rng = np.random.default_rng(1)
    model = layers.Sequential(
        layers.Conv2d(2, 12, 3, padding=1, rng=rng, dtype=dtype),
        layers.BatchNorm2d(12, dtype=dtype),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Conv2d(12, 12, 3, groups=12, rng=rng, dtype=dtype),
        layers.Conv2d(12, 20, 1, rng=rng, dtype=dtype),
        layers.ReLU(),
        layers.Flatten(),
        layers.Linear(20 * 4 * 4, 5, rng=rng, dtype=dtype),
    )
    x = rng.standard_normal((8 * BATCH, 2, 12, 12)).astype(dtype)
    y = (x.mean(axis=(1, 2, 3)) * 30).round().clip(-2, 2).astype(np.int64) + 2
    return model, layers.CrossEntropyLoss(), SGD(model, lr=0.05, momentum=0.9), (x, y)


def dense(dtype):
    rng = np.random.default_rng(2)
    model = layers.Sequential(
        layers.Linear(30, 70, rng=rng, dtype=dtype),
        layers.GELU(),
        layers.Dropout(0.2, rng=4),
        layers.Linear(70, 9, rng=rng, dtype=dtype),
    )
    x = rng.standard_normal((8 * BATCH, 30)).astype(dtype)
    return model, layers.MSELoss(), Adam(model, lr=0.01), (x, np.sin(x[:, :9]))


def recurrent(dtype):
    rng = np.random.default_rng(3)
    model = layers.Sequential(
        layers.LSTM(6, 33, batch_first=True, rng=rng, dtype=dtype),
        layers.TimeDistributed(layers.Linear(33, 4, rng=rng, dtype=dtype)),
    )
    x = rng.standard_normal((8 * BATCH, 11, 6)).astype(dtype)
    return model, layers.MSELoss(), Adam(model, lr=0.005), (x, np.cumsum(x[..., :4], axis=1) / 3)


NETS = {"convolutional": convolutional, "dense": dense, "recurrent": recurrent}


def train(net, dtype, steps=200, stop=None):
    """Bytes of the trained state; with `stop`, interrupted after so many steps and resumed."""
    epochs = steps // 8
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.npz")
        for until, resume in ([] if stop is None else [(stop // 8, None)]) + [(epochs, path)]:
            model, loss, optimizer, data = NETS[net](dtype)
            trainer = Trainer(model, loss, optimizer, rng=5)
            history = trainer.fit(
                data, epochs=until, batch_size=BATCH, callbacks=[Checkpoint(path)],
                resume=resume if stop is not None else None,
            )  # fmt: skip
    state = model.state_dict() | optimizer.state_dict()
    parts = [np.asarray(state[k]).tobytes() for k in sorted(state)]
    return b"".join([*parts, np.array(history["loss"]).tobytes()])


def digest(dtype, threads, steps=200, resumed=False):
    """One hash of all nets."""
    with fastnn.use(threads=threads):
        runs = [train(net, dtype, steps, steps // 2 if resumed else None) for net in NETS]
    return hashlib.sha256(b"".join(runs)).hexdigest()


def hashes(steps=200):
    """{dtype: hashes seen} for 1, 2, 3 and 8 threads and a resumed run, on this instruction set."""
    return {
        dtype: {
            *(digest(dtype, threads, steps) for threads in (1, 2, 3, 8)),
            digest(dtype, 2, steps, resumed=True),
        }
        for dtype in ("float32", "float64")
    }


def run(steps=200):
    """{(instruction set, dtype): hashes seen}, each instruction set in a process of its own."""
    from fastnn._ext import _core

    found = {}
    code = f"from proofs import training; print(training.hashes({steps}))"
    for isa in _core.available_isas:
        env = os.environ | {"FASTNN_ISA": isa}
        text = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout
        for dtype, seen in eval(text).items():  # what `hashes` printed
            found[isa, dtype] = sorted(seen)
    return found
