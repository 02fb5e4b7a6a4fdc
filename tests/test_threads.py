"""The pool: fork, many Python threads, interrupts, instruction sets."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import fastnn

COMPILED = fastnn.dispatch.unavailable("cython") is None
pytestmark = pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 16, 24, 24)).astype(np.float32)
W = RNG.standard_normal((24, 16, 3, 3)).astype(np.float32)


def fresh(code, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FASTNN_")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_python_threads_share_the_pool():
    want = fastnn.conv2d(X, W)
    wrong = []

    def work():
        for _ in range(30):
            if not np.array_equal(fastnn.conv2d(X, W), want):
                wrong.append(1)

    with fastnn.use(threads=4):
        workers = [threading.Thread(target=work) for _ in range(8)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_children_compute():
    """Fork with the pool hot, from several threads in use: every child finishes and is right."""
    out = fresh(
        """
        import os, threading, numpy as np, fastnn
        fastnn.set_num_threads(3)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((8, 16, 24, 24)).astype("f4")
        w = rng.standard_normal((24, 16, 3, 3)).astype("f4")
        want = fastnn.conv2d(x, w)
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                fastnn.conv2d(x, w)
        t = threading.Thread(target=busy); t.start()
        bad = 0
        for i in range(50):
            pid = os.fork()
            if pid == 0:
                ok = all(np.array_equal(fastnn.conv2d(x, w), want) for _ in range(3))
                os._exit(0 if ok else 1)
            bad += os.waitpid(pid, 0)[1] != 0
        stop.set(); t.join()
        print(bad, np.array_equal(fastnn.conv2d(x, w), want))
        """
    )
    assert out == "0 True"


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_stops_a_long_call():
    """The handler runs while a call of several seconds is under way, not after it."""
    out = fresh(
        """
        import os, signal, threading, numpy as np, fastnn
        signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
        fastnn.set_num_threads(2)
        x = np.ones((256, 256, 56, 56), "f4"); w = np.ones((256, 256, 3, 3), "f4")
        y = np.zeros((256, 256, 54, 54), "f4")
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            fastnn.conv2d(x, w, out=y)
            print("finished")
        except KeyboardInterrupt:
            print("stopped", bool((y[-1, -1, -1] == 0).any()))
        print(fastnn.conv2d(x[:1], w)[0, 0, 1, 1])
        """
    )
    assert out.splitlines() == ["stopped True", "2304.0"]


def test_a_failing_signal_handler_reaches_the_caller():
    """Any exception of a handler is raised by the call that it interrupted."""
    out = fresh(
        """
        import os, signal, threading, numpy as np, fastnn
        def handler(*_): raise RuntimeError("from the handler")
        signal.signal(signal.SIGUSR1, handler)
        fastnn.set_num_threads(1)
        x = np.ones((256, 256, 56, 56), "f4"); w = np.ones((256, 256, 3, 3), "f4")
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        try:
            fastnn.conv2d(x, w)
        except RuntimeError as error:
            print(error)
        """
    )
    assert out == "from the handler"


def test_every_instruction_set_agrees_on_integers():
    from fastnn._ext import _core

    code = """
    import hashlib, numpy as np, fastnn
    rng = np.random.default_rng(0)
    h = hashlib.sha256()
    for dt in ("f4", "f8"):
        x = rng.integers(-3, 4, (3, 10, 13, 14)).astype(dt)
        w = rng.integers(-3, 4, (9, 10, 3, 3)).astype(dt)
        y, ctx = fastnn.conv2d.forward(x, w, padding=1)
        dy = rng.integers(-3, 4, y.shape).astype(dt)
        for a in (y, *fastnn.conv2d.backward(ctx, dy)[:2]): h.update(a.tobytes())
        y, ctx = fastnn.max_pool2d.forward(x, 3, stride=2, padding=1)
        h.update(y.tobytes())
        h.update(fastnn.max_pool2d.backward(ctx, y).x.tobytes())
    print(h.hexdigest())
    """
    assert len({fresh(code, FASTNN_ISA=isa) for isa in _core.available_isas}) == 1


def test_an_instruction_set_that_is_not_there_is_an_error():
    from fastnn._ext import _core

    if "avx512" in _core.available_isas:
        pytest.skip("this CPU has every instruction set that is built")
    with pytest.raises(AssertionError, match="FASTNN_ISA=avx512; this build on this CPU has"):
        fresh("import fastnn", FASTNN_ISA="avx512")


def test_signals_reach_python_not_the_workers():
    """Workers block signals, so a handler always finds Python's main thread."""
    fastnn.conv2d(X, W)
    caught = []
    before = signal.signal(signal.SIGUSR1, lambda *_: caught.append(threading.current_thread()))
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        fastnn.conv2d(X, W)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught == [threading.main_thread()]


REGIONS = """
import ctypes, threading
from collections import Counter
from fastnn._ext import _core

run = ctypes.CDLL(_core.__file__).fastnn_parallel_for
Task = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
run.argtypes = [ctypes.c_ssize_t, Task, ctypes.c_void_p, ctypes.c_int, ctypes.c_double]
"""


def test_every_task_runs_once():
    """Shares differ in size, there may be more threads than shares, and threads help each other."""
    out = fresh(
        REGIONS
        + textwrap.dedent(
            """
            for threads in (2, 3, 16, 17, 40):
                for ntasks in (1, 2, 7, 16, 33, 100):
                    slots, tasks = set(), Counter()
                    def task(ctx, number, slot):
                        slots.add(slot)
                        tasks[number] += 1
                    assert run(ntasks, Task(task), None, threads, 1e9) == 0
                    assert tasks == Counter(range(ntasks)), (threads, ntasks, tasks)
                    assert slots <= set(range(threads))
            print("done")
            """
        )
    )
    assert out == "done"


def test_a_thread_begins_with_its_own_share():
    """And helps when it is done: the caller is held in the first of its two tasks."""
    out = fresh(
        REGIONS
        + textwrap.dedent(
            """
            order, helped = {0: [], 1: []}, threading.Event()
            def task(ctx, number, slot):
                order[slot].append(number)
                if number == 0:
                    helped.wait(60)
                if number == 1:
                    helped.set()
            assert run(4, Task(task), None, 2, 1e9) == 0
            print(order)
            """
        )
    )
    assert out == "{0: [0], 1: [2, 3, 1]}"
