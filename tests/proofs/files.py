"""Changed, cut and lying files: a result or FileError, little time and memory, no other file.

Each trial spoils a good file in a few places: flipped bits, lengths that are huge, pieces cut out,
doubled or exchanged. An audit hook sees every file that Python opens meanwhile.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fastnn
from fastnn.errors import FileError

STATE = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.bias": np.ones(3),
    "count": np.int64(3),
    "mask": np.array([True, False]),
}
HUGE = [0, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]
LIMIT = 1 << 20
NEEDS = {"npz": "numpy", "npz packed": "numpy", "safetensors": "numpy", "h5": "h5py"}


def good(folder, kind):
    """A whole file of a kind."""
    path = Path(folder, f"state.{kind.partition(' ')[0]}")
    if kind == "npz packed":
        np.savez_compressed(path, **STATE)
    else:
        fastnn.io.save(path, STATE)
    return path


def spoiled(whole, rng):
    """The bytes with one to four things wrong."""
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data) + 1))
        size = int(rng.integers(1, 1 + max(1, len(data) // 8)))
        way = int(rng.integers(6))
        if way == 0:
            data[at:] = b""
        elif way == 1:
            data[at : at + 1] = bytes([data[at] ^ 1 << int(rng.integers(8))]) if data[at:] else b""
        elif way == 2:
            width = int(rng.choice([2, 4, 8]))
            lie = HUGE[int(rng.integers(len(HUGE)))] % 256**width
            data[at : at + width] = lie.to_bytes(width, "little")
        elif way == 3:
            del data[at : at + size]
        elif way == 4:
            data[at:at] = data[at : at + size]
        else:
            data[at : at + size] = rng.bytes(size)
    return bytes(data)


class Watch:
    """Files that are opened while it is on."""

    def __init__(self, path):
        self.path, self.on, self.others = str(path), False, set()
        sys.addaudithook(self.saw)

    def saw(self, event, given):
        if self.on and event == "open" and isinstance(given[0], str | bytes | os.PathLike):
            name = os.fsdecode(given[0])
            if name != self.path and not name.endswith((".py", ".pyc", ".so")):
                self.others.add(name)


def run(kind, count, seed=0):
    """(slowest in seconds, growth in MB, read, refused, failures) of `count` spoiled files."""
    failures, slowest, read = [], 0.0, 0
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        path = good(folder, kind)
        whole = path.read_bytes()
        fastnn.io.load(path)
        watch = Watch(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(seed, seed + count):
            path.write_bytes(spoiled(whole, np.random.default_rng([number, 17])))
            start = time.process_time()
            watch.on = True
            try:
                state = fastnn.io.load(path, limit=LIMIT)
                read += 1
                if sum(a.nbytes for a in state.values()) > LIMIT:
                    failures.append(f"{kind} {number}: more than the limit")
            except FileError as error:
                if str(path) not in str(error) or len(str(error)) > 3000:
                    failures.append(f"{kind} {number}: {error}")
            except Exception as error:  # whatever it is: it is what is looked for
                failures.append(f"{kind} {number}: {type(error).__name__}: {error}")
            watch.on = False
            slowest = max(slowest, time.process_time() - start)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6
        failures += [f"{kind}: {name} was opened" for name in watch.others]
    return slowest, grown, read, count - read, failures


def kinds():
    """Formats whose libraries are there."""
    return [kind for kind, library in NEEDS.items() if importlib.util.find_spec(library)]
