"""The rows on fastnn, through its public API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastnn
from fastnn import _info, layers, optim
from fastnn._ext import _core
from peers.data import draw, labels, like
from peers.rows import Row

Action = Callable[[], object]


def setup(threads: int) -> dict[str, Any]:
    """Pin the threads; what the report should say about this library."""
    fastnn.set_num_threads(threads)
    config = _info.config()
    return {"version": fastnn.__version__, "isa": config["compiled"]["isa"], "cpu": config["cpu"]}


def action(row: Row) -> Action | None:
    """A call without arguments that does the row once; None if this library cannot."""
    if row.op in ("sgd", "adam"):
        return _step(row)
    if row.op == "sandwich":
        return _sandwich(row)
    arrays, op = draw(row), getattr(fastnn, row.op)
    given = {k: v for k, v in row.options.items() if k != "p"}
    if row.op in fastnn_recurrent:
        return _recurrent(row, op, arrays)
    if row.op == "softmax_cross_entropy":
        return _both(op, (arrays["x"], labels(row)), {}, np.ones((), row.dtype), ("x",))
    if row.op == "batch_norm":
        w = row.arrays["w"]
        state = {"running_mean": np.zeros(w, row.dtype), "running_var": np.ones(w, row.dtype)}
        given |= state | {"training": row.what != "forward"}
    if row.op == "dropout":
        given |= {"p": row.options["p"], "rng": np.random.default_rng(0)}
        return _both(op, (arrays["x"],), given, like(arrays["x"]), ("x",))
    call = partial(op, **arrays, **given)
    if row.what == "forward":
        return call
    if row.what == "train":
        return partial(op.forward, **arrays, **given)
    y, ctx = op.forward(**arrays, **given)
    needs = {"dx": ("x",), "dw": ("w",)}.get(row.what)
    return partial(op.backward, ctx, like(y), needs=needs)


fastnn_recurrent = ("rnn", "lstm", "gru")


def _both(op: Any, arrays: Any, options: Any, dy: Any, needs: Any) -> Action:
    def run() -> object:
        _, ctx = op.forward(*arrays, **options)
        return op.backward(ctx, dy, needs=needs)

    return run


def _recurrent(row: Row, op: Any, arrays: Any) -> Action:
    if row.what == "forward":
        return partial(op, **arrays)
    results = op(**arrays)
    dy = like(results[0])
    dys = (dy, *(None for _ in results[1:]))

    def run() -> object:
        _, ctx = op.forward(**arrays)
        return op.backward(ctx, dys)

    return run


def _sandwich(row: Row) -> Action:
    o, (k, c, r, s) = row.options, row.arrays["w"]
    window = {"stride": o["stride"], "padding": o["padding"]}
    parts: list[layers.Layer] = [layers.Conv2d(c, k, (r, s), **window, dtype=row.dtype, rng=0)]
    if o["norm"]:
        parts.append(layers.BatchNorm2d(k, dtype=row.dtype))
    parts.append(layers.ReLU())
    if o["pool"]:
        taps, stride, padding = o["pool"]
        parts.append(layers.MaxPool2d(taps, stride=stride, padding=padding))
    model, x = layers.Sequential(*parts), draw(row)["x"]
    if row.what == "forward":
        return partial(model.eval(), x)
    dy = like(model(x))

    def run() -> object:
        model(x)
        return model.backward(dy)

    return run


def _step(row: Row) -> Action:
    arrays = draw(row)
    triples = [(name, p, like(p)) for name, p in arrays.items()]
    if row.op == "sgd":
        return optim.SGD(triples, lr=1e-6, momentum=0.9).step
    return optim.Adam(triples, lr=1e-6).step


def limits(threads: int, dtype: str) -> dict[str, float]:
    """FLOP a second of a loop of multiply-adds, bytes a second of copies of three sizes."""
    from timeit import Timer

    lanes = {"avx512": 64, "avx2": 32}.get(_core.isa, 16) // np.dtype(dtype).itemsize
    source, target = np.full(14 * 16, 0.5, dtype), np.empty(16 * 16 * threads, dtype)
    rounds = 20_000
    best = min(Timer(partial(_core.multiply_add, source, target, rounds)).repeat(15, 1))
    found = {"flops": 2 * 12 * 16 * threads * rounds * lanes / best}
    for name, size in (("1MB", 1 << 20), ("8MB", 1 << 23), ("256MB", 1 << 28)):
        x = np.ones(size // 2 // np.dtype(dtype).itemsize, dtype)
        y = np.ones_like(x)
        best = min(Timer(partial(_core.copy, x, y)).repeat(15, max(1, (1 << 25) // size)))
        found[name] = size * max(1, (1 << 25) // size) / best
    return found
