"""Many Python threads that call everything at once must get the bits of one thread alone.

    python tests/stress.py --threads 8 --calls 100000

Each thread makes `calls` calls, forward and often backward, of operations, backends and numbers of
threads chosen by its own seed. The suite runs a short one; the sanitizers' script one under TSAN.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import threading
import time

import numpy as np

import fastnn
from fastnn import dispatch, testing

OPS = (
    "conv2d", "conv_transpose2d", "linear", "max_pool2d", "avg_pool2d", "batch_norm", "layer_norm",
    "lstm", "gru", "softmax_cross_entropy", "mse_loss", "relu", "gelu", "embedding",
)  # fmt: skip
FAMILIES = ("cython", "numba", "naive")


class Work:
    """One call with everything drawn beforehand, and the hash of what it must give."""

    def __init__(self, op, case, dtype, impl):
        self.op, self.impl, self.case = op, impl, case
        self.arguments = testing.draw(op, case, dtype)
        self.call = op.front(**self.arguments)[0]
        self.dy = testing.draw_dy(op, self.call) if op.has_gradient else None
        self.want = self.run()

    def run(self) -> str:
        own = {k: v.copy() if k in self.op.updates and isinstance(v, np.ndarray) else v
               for k, v in self.arguments.items()}  # fmt: skip
        y, ctx = self.op.forward(**own, backend=self.impl)
        grads = self.op.backward(ctx, self.dy) if self.op.has_gradient else ()
        digest = hashlib.blake2b(digest_size=16)
        outputs = y if isinstance(y, tuple) else (y,)
        for a in (*outputs, *grads, *(own[k] for k in self.op.updates if k in own)):
            if isinstance(a, np.ndarray):
                digest.update(a.tobytes())
        return digest.hexdigest()


def draw_work(backends, ops=OPS, most_naive_flops=3000, seed=0):
    """Small cases of every implementation, and some that are shared among threads."""
    dispatch.every()
    rng = np.random.default_rng(seed)
    work = []
    for name in ops:
        op = dispatch.OPS[name]
        cases = [c for c in op.cases() if c.kind == "core"][:6]
        for impl in op.impls:
            if op.impl(impl).backend not in backends or dispatch.unavailable(op.impl(impl).backend):
                continue
            for case in cases:
                dtype = ("float32", "float64")[int(rng.integers(2))]
                call = op.front(**testing.draw(op, case, dtype))[0]
                if op.impl(impl).supports(call) is not None:
                    continue
                if impl == "naive" and call.flops > most_naive_flops:
                    continue
                work.append(Work(op, case, dtype, impl))
    return work


def large_work():
    """Calls of about a millisecond, which the pool shares among threads."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 16, 28, 28)).astype(np.float32)
    w = rng.standard_normal((24, 16, 3, 3)).astype(np.float32)
    a, b = rng.standard_normal((2, 160, 200)).astype(np.float32)
    gates = rng.standard_normal((4 * 32, 16)).astype(np.float32)
    again = rng.standard_normal((4 * 32, 32)).astype(np.float32)
    steps = rng.standard_normal((12, 16, 16)).astype(np.float32)
    calls = [
        lambda: fastnn.conv2d(x, w, padding=1),
        lambda: fastnn.max_pool2d(x, 2),
        lambda: fastnn.linear(a, b),
        lambda: fastnn.relu(x),
        lambda: fastnn.lstm(steps, gates, again)[0],
        lambda: fastnn.softmax(a),
    ]
    return [(call, call().tobytes()) for call in calls]


def stress(threads, calls, backends=FAMILIES, *, ops=OPS, seconds=1e9):
    """Let `threads` threads make `calls` calls each; calls made, and what went wrong."""
    small, large = draw_work(backends, ops), large_work()
    wrong: list[str] = []
    made = [0] * threads
    end = time.monotonic() + seconds
    start = threading.Barrier(threads)

    def one(number: int) -> None:
        rng = np.random.default_rng(number)
        start.wait()
        for count in range(calls):
            if time.monotonic() > end:
                break
            made[number] = count + 1
            with fastnn.use(threads=int(rng.integers(1, 5))):
                if rng.random() < 0.1:
                    which = int(rng.integers(len(large)))
                    call, want = large[which]
                    if call().tobytes() != want:
                        wrong.append(f"thread {number}: large call {which}")
                else:
                    work = small[int(rng.integers(len(small)))]
                    if work.run() != work.want:
                        wrong.append(f"thread {number}: {work.op.name} {work.impl} {work.case}")

    def guarded(number: int) -> None:
        try:
            one(number)
        except BaseException as error:
            wrong.append(f"thread {number}: {type(error).__name__}: {error}")

    workers = [threading.Thread(target=guarded, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(made), wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1000, help="per thread")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after this time")
    parser.add_argument("--backends", default=",".join(FAMILIES))
    args = parser.parse_args()
    began = time.monotonic()
    made, wrong = stress(args.threads, args.calls, args.backends.split(","), seconds=args.seconds)
    print("\n".join(wrong[:20]))
    took = time.monotonic() - began
    print(f"{made} calls by {args.threads} threads in {took:.0f} s, {len(wrong)} wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
