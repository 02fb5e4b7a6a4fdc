"""Compiled code reads and writes nothing beside its arrays: pages around them are forbidden."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import sys
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import testing

pytestmark = [
    pytest.mark.skipif(
        fastnn.dispatch.unavailable("cython") is not None, reason="needs the compiled extension"
    ),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as on Linux"),
]

PROT_NONE = 0


def guarded(a, place):
    """A copy of `a` between two pages that must not be touched; it touches one of them."""
    if not isinstance(a, np.ndarray):
        return tuple(guarded(one, place) for one in a) if isinstance(a, tuple) else a
    size = -(-max(a.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (start, start + mmap.PAGESIZE + size):
        assert protect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), PROT_NONE) == 0
    offset = mmap.PAGESIZE + (size - a.nbytes if place == "before the page" else 0)
    copy = np.frombuffer(memory, a.dtype, a.size, offset).reshape(a.shape)
    copy[...] = a
    return copy


def run_all(op, place):
    """Every core and edge case of `op` on every compiled implementation."""
    for case in op.cases():
        for dtype in ("float32", "float64"):
            arguments = testing.draw(op, case, dtype) if case.kind != "bench" else {}
            for name in op.impls if arguments else ():
                call = op.front(**arguments)[0]
                if not name.startswith("cython") or op.impl(name).supports(call) is not None:
                    continue
                inputs = {k: guarded(v, place) for k, v in arguments.items()}
                if "out" in op.__signature__.parameters and not op.outputs:
                    inputs["out"] = guarded(np.zeros(call.out, dtype), place)
                with fastnn.use(threads=2):
                    _, ctx = op.forward(**inputs, backend=name)
                    if op.has_gradient:
                        op.backward(ctx, guarded(testing.draw_dy(op, call), place))


def in_a_child(work, *arguments):
    """How a forked child that does `work` ends: 0 or the signal, for a crash must not end us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork with threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def touch(place):
    faulthandler.disable()  # this crash is meant
    a = guarded(np.zeros(5, np.float32), place)
    ctypes.string_at(a.ctypes.data + (20 if place == "before the page" else -4), 4)


@pytest.mark.parametrize("place", ["before the page", "after the page"])
def test_a_touch_of_the_guard_is_seen(place):
    assert in_a_child(touch, place) < 0


@pytest.mark.parametrize("place", ["before the page", "after the page"])
def test_nothing_beside_the_arrays_is_touched(op, place):
    assert in_a_child(run_all, op, place) == 0
