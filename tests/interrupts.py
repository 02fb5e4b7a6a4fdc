"""Ctrl-C at random moments of long calls: how soon it is raised, and what it leaves behind.

    python tests/interrupts.py --times 50

For each kind of call a thread sends SIGINT to the process some time after the call began. Printed
are the times from signal to KeyboardInterrupt; an error is an input or a parameter that changed, a
later call that is wrong, or memory that was not given back.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import signal
import sys
import threading
import time

import numpy as np

import fastnn
from fastnn.optim import Adam


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]  # fmt: skip  # noqa: E501


def in_use() -> int:
    """Bytes that malloc has given out."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo
    info = libc.mallinfo2()
    return info.uordblks + info.hblkhd


def kinds(scale: float):
    """Name and a function that takes about half a second on one core, if `scale` is 1."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape, np.float32)

    n = max(1, round(24 * scale))
    x, w = normal(n, 128, 56, 56), normal(256, 128, 3, 3)
    strided = normal(256, 128, 5, 5)
    big, wide = normal(1, 1, 1200, 1200), normal(1, 1, 63, 63)
    a, b = normal(round(4000 * scale) + 1, 3000), normal(2000, 3000)
    steps = round(600 * scale) + 1
    s, w_ih, w_hh = normal(steps, 64, 256), normal(1024, 256), normal(1024, 256)
    one = normal(round(200_000 * scale) + 1, 1, 16)
    one_ih, one_hh = normal(64, 16), normal(64, 16)
    channels = normal(round(32 * scale) + 1, 64, 224, 224)
    column = normal(round(1_000_000 * scale) + 1, 64)
    rows = normal(round(40_000 * scale) + 1, 1000)
    y, conv = fastnn.conv2d.forward(x, w)
    z, linear = fastnn.linear.forward(a, b)
    states = fastnn.lstm.forward(s, w_ih, w_hh)
    few = normal(2, 4, round(500 * scale) + 100, 500)
    means, pool = fastnn.avg_pool2d.forward(few, 65, stride=1)
    dstates = states[0][0] if isinstance(states[0], tuple) else states[0]
    gamma, beta = np.ones(64, np.float32), np.zeros(64, np.float32)
    yield "conv2d direct", lambda: fastnn.conv2d(x, w, backend="cython:direct")
    yield "conv2d winograd", lambda: fastnn.conv2d(x, w, backend="cython:winograd")
    yield "conv2d im2col", lambda: fastnn.conv2d(x, strided, stride=2, backend="cython:im2col")
    yield "conv2d backward", lambda: fastnn.conv2d.backward(conv, y)
    yield "conv2d 63x63", lambda: fastnn.conv2d(big, wide)
    yield "linear", lambda: fastnn.linear(a, b)
    yield "linear backward", lambda: fastnn.linear.backward(linear, z)
    yield "lstm", lambda: fastnn.lstm(s, w_ih, w_hh)
    yield "lstm of one sequence", lambda: fastnn.lstm(one, one_ih, one_hh)
    yield "lstm backward", lambda: fastnn.lstm.backward(states[1], (dstates, None, None))
    yield (
        "batch_norm",
        lambda: [fastnn.batch_norm(channels, gamma, beta, training=True) for _ in range(8)],
    )
    yield "batch_norm of columns", lambda: [fastnn.batch_norm(column, gamma, beta, training=True)
                                            for _ in range(8)]  # fmt: skip
    yield "softmax", lambda: [fastnn.softmax(rows) for _ in range(10)]
    yield "avg_pool2d backward", lambda: fastnn.avg_pool2d.backward(pool, means)
    yield "max_pool2d 65x65", lambda: fastnn.max_pool2d(few, 65, stride=1)


def digest(*arrays) -> bytes:
    return hashlib.blake2b(b"".join(a.tobytes() for a in arrays)).digest()


def interrupt(call, after: float) -> float | None:
    """Seconds from a signal `after` the start of the call to its exception; None if it was over."""
    sent = [0.0]
    over = threading.Event()

    def send():
        time.sleep(after)
        if not over.is_set():
            sent[0] = time.perf_counter()
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    try:
        sender.start()
        call()
        over.set()
        sender.join()  # a signal that is on its way comes here
    except KeyboardInterrupt:
        late = time.perf_counter() - sent[0]
        over.set()
        sender.join()
        return late
    return None


def interrupted_adam(times: int, rng) -> list[str]:
    """Steps under fire: the parameters are always those of a whole number of steps."""
    wrong = []
    size = 3_000_000
    grad = np.ones(size, np.float32)

    def fresh():
        pairs = [(f"p{i}", np.zeros(size, np.float32), grad) for i in range(3)]
        return pairs, Adam(pairs, lr=0.1)

    pairs, adam = fresh()
    for _ in range(times):
        interrupt(lambda a=adam: [a.step() for _ in range(20)], rng.uniform(0, 0.2))
    steps = int(adam.state_dict()["step"])
    plain, other = fresh()
    for _ in range(steps):
        other.step()
    for (name, got, _), (_, want, _) in zip(pairs, plain, strict=True):
        if not np.array_equal(got, want):
            wrong.append(f"adam: {name} is not that of {steps} whole steps")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=20, help="interrupts per kind of call")
    parser.add_argument("--scale", type=float, default=1.0, help="of the work of a call")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    fastnn.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    wrong, all_late = [], []
    x, w = rng.standard_normal((2, 8, 20, 20)), rng.standard_normal((8, 8, 3, 3))
    want = fastnn.conv2d(x, w)
    for name, call in kinds(args.scale):
        inputs = [cell.cell_contents for cell in call.__closure__ or ()]
        arrays = [a for a in inputs if isinstance(a, np.ndarray)]
        before = digest(*arrays)
        began = time.perf_counter()
        call()
        took = time.perf_counter() - began
        fastnn.clear_workspace()
        memory = in_use()
        late = [interrupt(call, rng.uniform(0.0, took)) for _ in range(args.times)]
        late = [t for t in late if t is not None]
        fastnn.clear_workspace()
        grown = in_use() - memory
        all_late += late
        if grown > 200_000:
            wrong.append(f"{name}: {grown} bytes were not given back")
        if digest(*arrays) != before:
            wrong.append(f"{name}: an input changed")
        if not np.array_equal(fastnn.conv2d(x, w), want):
            wrong.append(f"{name}: a later call is wrong")
        worst = max(late, default=0)
        print(f"{name:24} {took:6.2f} s a call, {len(late):4} interrupts, worst "
              f"{1000 * worst:6.0f} ms", flush=True)  # fmt: skip
    wrong += interrupted_adam(args.times, rng)
    if all_late:
        print(f"all: {len(all_late)} interrupts, median {1000 * np.median(all_late):.0f} ms, "
              f"p99 {1000 * np.quantile(all_late, 0.99):.0f} ms")  # fmt: skip
    print("\n".join(wrong) or "nothing changed, nothing lost")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
