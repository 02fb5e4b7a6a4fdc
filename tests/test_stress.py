"""A few hundred calls of `stress.py`, and Ctrl-C where it used to be late or to do harm."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
import stress

import fastnn

COMPILED = fastnn.dispatch.unavailable("cython") is None


@pytest.mark.parametrize("backends", [("cython",), stress.FAMILIES])
def test_threads_get_the_bits_of_one_alone(backends):
    made, wrong = stress.stress(8, 60, backends)
    assert not wrong
    assert made == 8 * 60


def test_the_stress_finds_a_call_that_is_not_safe_for_threads():
    """Scratch that threads share: it is right in one thread alone."""
    right = fastnn.relu.impl("naive")
    shared = {}

    def forward(call, x, *, out, save):
        shared["y"], saved = right.forward(call, x, out=out, save=save)
        for _ in range(2000):
            pass
        return shared["y"], saved

    planted = fastnn.Impl("planted:shared", op="relu", forward=forward, backward=right.backward)
    fastnn.relu.register(planted)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        _, wrong = stress.stress(8, 400, ("planted",), ops=("relu",))
    finally:
        sys.setswitchinterval(before)
        fastnn.relu.unregister("planted:shared")
    assert wrong


def interrupted(code):
    prelude = """
    import os, signal, threading, time, numpy as np, fastnn
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    def later(seconds): threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(code)],
        env={k: v for k, v in os.environ.items() if not k.startswith("FASTNN_")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


posix = pytest.mark.skipif(os.name != "posix" or not COMPILED, reason="SIGINT to compiled code")


@posix
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_the_only_task_of_a_call(threads):
    """It was seen between tasks alone, and one sequence is one task: minutes for this one."""
    out = interrupted(
        f"""
        fastnn.set_num_threads({threads})
        x = np.zeros((2_000_000, 1, 8), "f4"); w = np.zeros((256, 8), "f4")
        again = np.zeros((256, 64), "f4")
        later(0.3)
        try:
            fastnn.lstm(x, w, again)
            print("finished")
        except KeyboardInterrupt:
            print("stopped")
        print(fastnn.relu(np.ones(3)).sum())
        """
    )
    assert out == "stopped\n3.0"


@posix
def test_ctrl_c_stops_a_call_of_many_short_regions():
    """Each region began to count its 50 ms anew, so that nobody ever looked."""
    out = interrupted(
        """
        from fastnn._ext import _linear
        fastnn.set_num_threads(1)
        k = 4_000_000
        a, b, c = np.ones((32, k), "f4"), np.ones((k, 32), "f4"), np.zeros((32, 32), "f4")
        later(0.03)
        try:
            _linear.gemm(a, b, None, c)  # every 256 or so of k are a region
        except KeyboardInterrupt:
            print("stopped", bool(c[0, 0] < k))
        """
    )
    assert out == "stopped True"


@posix
def test_ctrl_c_leaves_an_optimizer_s_step_whole():
    """Compiled steps stopped between two blocks of the parameters."""
    out = interrupted(
        """
        from fastnn.optim import Adam
        fastnn.set_num_threads(2)
        size = 30_000_000
        p, g = np.zeros(size, "f4"), np.ones(size, "f4")
        adam = Adam([("p", p, g)], lr=0.125)
        for wait in (0.06, 0.1, 0.15, 0.3):
            later(wait)
            try:
                for _ in range(200): adam.step()
                print("finished")
            except KeyboardInterrupt:
                pass
            assert (p == p[0]).all(), (p[0], p[-1])
        print(p[0] == p[-1], adam.state_dict()["step"] > 0)
        """
    )
    assert out == "True True"
