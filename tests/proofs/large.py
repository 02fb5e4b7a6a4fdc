"""Calls of more than 2**31 elements whose answers are known: nothing counts in 32 bits.

The array is 8.6 GB of zeros that the system never has to provide, for they are only read, with one
other number at its very end; results are small.
"""

from __future__ import annotations

import numpy as np

import fastnn

CELLS = 2**31 + 3


def calls():
    """(name, function of a backend, answer)."""
    x = np.zeros((1, 1, CELLS), np.float32)
    x[0, 0, -1] = 7
    zeros = np.zeros_like(x)
    w = np.array([[[1, 2, 3]]], np.float32)
    far = {"kernel_size": 3, "stride": 2**31}
    yield "global_max_pool", lambda b: fastnn.global_max_pool(x, backend=b), [[7]]
    yield "max_pool1d", lambda b: fastnn.max_pool1d(x, **far, backend=b), [[[0, 7]]]
    yield "avg_pool1d", lambda b: 3 * fastnn.avg_pool1d(x, **far, backend=b), [[[0, 7]]]
    yield "conv1d", lambda b: fastnn.conv1d(x, w, stride=2**31, backend=b), [[[0, 21]]]
    yield "mse_loss", lambda b: fastnn.mse_loss(x, zeros, reduction="sum", backend=b), 49
    yield "l1_loss", lambda b: fastnn.l1_loss(zeros, x, reduction="sum", backend=b), 7


def run(backends=("cython", "numba")):
    """(calls, failures)."""
    failures = []
    count = 0
    for name, call, want in calls():
        for backend in backends:
            if fastnn.dispatch.unavailable(backend) is None:
                count += 1
                got = call(backend)
                if not np.array_equal(got, want):
                    failures.append(f"{name} on {backend}: {got}, must be {want}")
    return count, failures
