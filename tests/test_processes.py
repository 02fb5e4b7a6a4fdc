"""Processes: fork at the worst moments, multiprocessing, joblib, executors; and BLAS beside us."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fastnn

COMPILED = fastnn.dispatch.unavailable("cython") is None
FORKS = hasattr(os, "fork")
pytestmark = pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 16, 24, 24)).astype(np.float32)
W = RNG.standard_normal((24, 16, 3, 3)).astype(np.float32)


def fresh(code, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FASTNN_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(code)],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def compute(seed: int) -> bytes:
    """A call that the pool shares, from data that any process can make again."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, 16, 24, 24)).astype(np.float32)
    with fastnn.use(threads=3):
        y, ctx = fastnn.conv2d.forward(x, W, padding=1)
        return y.tobytes() + fastnn.conv2d.backward(ctx, y).w.tobytes()


# What children are told to do when they are forked, and how long at most.
FORK = """
import os, signal, sys, threading, numpy as np, fastnn
fastnn.set_num_threads(3)
rng = np.random.default_rng(0)
x = rng.standard_normal((8, 16, 24, 24)).astype("f4")
w = rng.standard_normal((24, 16, 3, 3)).astype("f4")
def work(): return fastnn.conv2d(x, w)
def children(count):
    bad = 0
    for i in range(count):
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)  # a child that hangs is killed, and counted
            os._exit(0 if all(np.array_equal(work(), want) for _ in range(2)) else 1)
        bad += os.waitpid(pid, 0)[1] != 0
    return bad
"""


@pytest.mark.skipif(not FORKS, reason="this system cannot fork")
def test_fork_before_first_use():
    code = """
    want = None
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        want = work()
        os._exit(0 if np.array_equal(work(), want) else 1)
    print(os.waitpid(pid, 0)[1], work().shape)
    """
    assert fresh(FORK + textwrap.dedent(code)) == "0 (8, 24, 22, 22)"


@pytest.mark.skipif(not FORKS, reason="this system cannot fork")
def test_fork_after_use_from_a_thread_while_others_compute():
    """Grandchildren too; and the parent still computes."""
    code = """
    want = work()
    stop, bad = threading.Event(), []
    def busy():
        while not stop.is_set():
            if not np.array_equal(work(), want): bad.append("parent")
    others = [threading.Thread(target=busy) for _ in range(2)]
    for t in others: t.start()
    forker = threading.Thread(target=lambda: bad.append(children(40)))
    forker.start(); forker.join()
    bad.append(children(10))
    pid = os.fork()
    if pid == 0: os._exit(children(3))
    bad.append(os.waitpid(pid, 0)[1])
    stop.set()
    for t in others: t.join()
    print(bad)
    """
    assert fresh(FORK + textwrap.dedent(code)) == "[0, 0, 0]"


@pytest.mark.skipif(not FORKS, reason="this system cannot fork")
def test_a_fork_in_a_signal_handler_during_a_call():
    """The child has no workers to finish the call, which waited for them for ever."""
    code = """
    fastnn.set_num_threads(2)
    x = np.ones((64, 256, 56, 56), "f4"); w = np.ones((256, 256, 3, 3), "f4")
    def handler(*_):
        global pid
        pid = os.fork()
        if pid == 0: signal.alarm(20)
    pid = None
    signal.signal(signal.SIGUSR1, handler)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        y = fastnn.conv2d(x, w, backend="cython:direct")
        answer = 2 if pid == 0 else y[0, 0, 1, 1]
    except RuntimeError as error:
        answer = 0 if "forked the process during a call" in str(error) else 1
    if pid == 0:
        small = fastnn.conv2d(x[:1], w)
        os._exit(answer if small[0, 0, 1, 1] == 2304 else 3)
    print(os.waitpid(pid, 0)[1], answer)
    """
    assert fresh(FORK + textwrap.dedent(code)) == "0 2304.0"


@pytest.mark.skipif(not FORKS, reason="this system cannot fork")
@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_numba_in_forked_children(layer):
    """They compute, or say why they cannot; the default backend works whatever Numba does."""
    if fastnn.dispatch.unavailable("numba"):
        pytest.skip(f"numba: {fastnn.dispatch.unavailable('numba')}")
    code = """
    import numba
    from fastnn import dispatch
    want = fastnn.relu(x, backend="numba")
    stop = threading.Event()
    def busy():
        while not stop.is_set(): fastnn.relu(x, backend="numba")
    other = threading.Thread(target=busy); other.start()
    ends = []
    for i in range(10):
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            right = np.array_equal(fastnn.relu(x), want)
            if dispatch.unavailable("numba") is None:
                right = right and np.array_equal(fastnn.relu(x, backend="numba"), want)
            os._exit(0 if right else 1)
        ends.append(os.waitpid(pid, 0)[1])
    stop.set(); other.join()
    print(sum(map(bool, ends)), numba.threading_layer())
    """
    out = fresh(FORK + textwrap.dedent(code), NUMBA_THREADING_LAYER=layer)
    assert out == f"0 {layer}"


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_executors_of_processes(method):
    want = [compute(i) for i in range(4)]
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(compute, range(4), timeout=120)) == want


def test_an_executor_of_threads():
    want = [compute(i) for i in range(4)] * 10
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(compute, [*range(4)] * 10, timeout=120)) == want


def test_joblib():
    joblib = pytest.importorskip("joblib")
    want = [compute(i) for i in range(4)]
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(compute)(i) for i in range(4)) == want


def test_threadpoolctl_sees_and_limits_the_pool():
    pytest.importorskip("threadpoolctl")
    for order in (
        "import threadpoolctl, fastnn",
        "import fastnn.compat.threadpools, threadpoolctl",
    ):
        out = fresh(
            f"""
            {order}
            import fastnn
            fastnn.set_num_threads(3)
            seen = [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "fastnn"]
            print([(i["num_threads"], i["version"] == fastnn.__version__) for i in seen])
            with threadpoolctl.threadpool_limits(1):
                print(fastnn.get_num_threads())
            print(fastnn.get_num_threads())
            """
        )
        assert out == "[(3, True)]\n1\n3", order


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_no_more_threads_than_asked_for():
    """Calls from many Python threads share one pool of `threads` - 1 workers beside them."""
    out = fresh(
        """
        import os, threading, numpy as np, fastnn
        def count(): return len(os.listdir("/proc/self/task"))
        x = np.ones((8, 16, 24, 24), "f4"); w = np.ones((24, 16, 3, 3), "f4")
        before = count()
        fastnn.set_num_threads(3)
        for _ in range(5): fastnn.conv2d(x, w)
        alone = count() - before
        most = []
        def work():
            for _ in range(20): fastnn.conv2d(x, w); most.append(count())
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(alone, max(most) - before <= 4 + 2)
        """,
        OPENBLAS_NUM_THREADS="1",
    )
    assert out == "2 True"
