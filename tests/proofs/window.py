"""A window of 127 x 127 on an image of 4222 x 4222: its im2col matrix would have 1,008 GB."""

from __future__ import annotations

import resource
import time

import numpy as np

import fastnn

IMAGE, WINDOW = 4222, 127


def peak():
    """The most memory that the process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def run():
    """(MB beside the results, seconds) of the result and of each gradient; all ones, so known."""
    x, w = np.ones((1, 1, IMAGE, IMAGE), np.float32), np.ones((1, 1, WINDOW, WINDOW), np.float32)
    fastnn.conv2d.forward(x[:, :, :9, :9], w[:, :, :3, :3])  # loads what is loaded once
    places = IMAGE - WINDOW + 1
    found = []

    def measured(what, call, right):
        before, start = peak(), time.perf_counter()
        made = call()
        seconds = time.perf_counter() - start
        a = made[0] if isinstance(made, tuple) else made
        grown = peak() - before
        found.append((what, max(0.0, grown - a.nbytes / 1e6), seconds, right(a)))
        return made

    whole = WINDOW**2
    y, ctx = measured("result", lambda: fastnn.conv2d.forward(x, w), lambda a: (a == whole).all())
    y[...] = 1
    middle = slice(WINDOW, -WINDOW)
    back = fastnn.conv2d.backward
    measured("dx", lambda: back(ctx, y, needs=("x",)).x,
             lambda a: (a[:, :, middle, middle] == whole).all())  # fmt: skip
    measured("dw", lambda: back(ctx, y, needs=("w",)).w, lambda a: (a == places**2).all())
    return found
