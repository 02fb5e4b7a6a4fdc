"""Memory: every allocation that fails, the workspace's limit, growth, and arrays that live on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import fastnn

COMPILED = fastnn.dispatch.unavailable("cython") is None
pytestmark = [
    pytest.mark.skipif(not COMPILED, reason="needs the compiled extension"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc and /proc of Linux"),
]

# Before every allocation of the thread that armed it: count, and refuse the one that was named.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
static __thread long armed, seen, least, live;
void shim_arm(long number, long size) { seen = 0; least = size; armed = number; }
long shim_disarm(void) { armed = 0; return seen; }
long shim_live(void) { return live; }
static int refused(size_t n) { return armed && (long)n >= least && ++seen == armed; }
#define REAL(name, result, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
void *malloc(size_t n) {
    REAL("malloc", void *, size_t);
    if (refused(n)) return NULL;
    ++live;
    return real(n);
}
void *realloc(void *p, size_t n) {
    REAL("realloc", void *, void *, size_t);
    if (refused(n)) return NULL;
    if (!p) ++live;
    return real(p, n);
}
void *calloc(size_t a, size_t b) {
    extern void *__libc_calloc(size_t, size_t);
    if (refused(a * b)) return NULL;
    ++live;
    return __libc_calloc(a, b);
}
int posix_memalign(void **p, size_t a, size_t n) {
    REAL("posix_memalign", int, void **, size_t, size_t);
    if (refused(n)) return ENOMEM;
    ++live;
    return real(p, a, n);
}
void free(void *p) {
    REAL("free", void, void *);
    if (p) --live;
    real(p);
}
"""

# One call per implementation: each of its allocations fails once. `least` leaves out what is
# smaller: CPython's own small objects are not ours to test.
INJECT = """
import ctypes, sys, numpy as np, fastnn
from fastnn import dispatch, testing
shim = ctypes.CDLL(None)
for f in (shim.shim_disarm, shim.shim_live): f.restype = ctypes.c_long
shim.shim_arm.argtypes = [ctypes.c_long, ctypes.c_long]
def attempt(number, call):
    shim.shim_arm(number, 64)
    try: return call()
    finally: attempt.seen = shim.shim_disarm()
def numpys(error):  # whose reductions lose the error of an iterator that was not allocated
    at = error.__traceback__
    while at.tb_next: at = at.tb_next
    return "/numpy/" in at.tb_frame.f_code.co_filename
def same(a, b): return all(np.array_equal(x, y) for x, y in zip(a, b))
def arrays(results): return [a for a in results if isinstance(a, np.ndarray)]
dispatch.every(); tried = refused = 0; wrong = []
def inject(op, name, call):
    global tried, refused
    want = arrays(call()); attempt(10**9, call); sites = attempt.seen
    live = []
    for again in range(3):
        before = shim.shim_live()
        for number in range(1, sites + 1):
            tried += 1
            try: got = arrays(attempt(number, call))
            except MemoryError: refused += 1
            except SystemError as e:
                if not numpys(e): wrong.append(f"{op.name} {name}: site {number}: {e!r}")
            except BaseException as e: wrong.append(f"{op.name} {name}: site {number}: {e!r}")
            else:
                if not same(got, want): wrong.append(f"{op.name} {name}: site {number} is wrong")
            got = None
            if not same(arrays(call()), want): wrong.append(f"{op.name} {name}: after {number}")
        live.append(shim.shim_live() - before)
    if sites and live[-1] >= sites: wrong.append(f"{op.name} {name}: {live} blocks were lost")
for op in dispatch.OPS.values():
    for name in op.impls:
        if op.impl(name).backend != "cython": continue
        done = 0
        for case in op.cases():
            if case.kind != "core": continue
            given = testing.draw(op, case, "float32")
            call = op.front(**given)[0]
            if op.impl(name).supports(call) is not None: continue
            dy = testing.draw_dy(op, call)
            def run(op=op, name=name, given=given, dy=dy):
                own = {k: v.copy() if k in op.updates else v for k, v in given.items()}
                y, ctx = op.forward(**own, backend=name)
                outs = y if isinstance(y, tuple) else (y,)
                return (*outs, *(op.backward(ctx, dy) if op.has_gradient else ()))
            inject(op, name, run)
            done += 1
            if done == 2: break
print(tried, refused, len(wrong)); print("\\n".join(wrong[:10]), file=sys.stderr)
"""


def fresh(code, timeout=280, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FASTNN_")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_every_allocation_that_fails_is_a_memory_error(tmp_path):
    """Nothing is lost, and the next call is right."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler for the allocator that fails")
    source, shim = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", source, "-o", shim, "-ldl"], check=True)
    out, err = fresh(INJECT, LD_PRELOAD=str(shim), FASTNN_CACHE="0", FASTNN_NUM_THREADS="1")
    tried, refused, wrong = map(int, out.split())
    assert wrong == 0, err
    assert refused > tried // 4 > 100  # the others are retried, by malloc's callers or by us


def test_little_address_space_is_a_memory_error():
    """Limits from just above what is in use on: an error or the right answer, and no crash."""
    out, _ = fresh(
        """
        import resource, numpy as np, fastnn
        fastnn.set_num_threads(2)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((8, 64, 56, 56), dtype="f4")
        w = rng.standard_normal((64, 64, 3, 3), dtype="f4")
        want, ctx = fastnn.conv2d.forward(x, w); fastnn.conv2d.backward(ctx, want)
        del ctx
        fastnn.clear_workspace()
        now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        outcomes = set()
        for more in range(0, 120, 6):
            resource.setrlimit(resource.RLIMIT_AS, (now + (more << 20), -1))
            try:
                y, ctx = fastnn.conv2d.forward(x, w)
                fastnn.conv2d.backward(ctx, y)
                outcomes.add(bool(np.array_equal(y, want)))
            except MemoryError:
                outcomes.add("MemoryError")
            y = ctx = None
            fastnn.clear_workspace()
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
        print(sorted(map(str, outcomes)), np.array_equal(fastnn.conv2d(x, w), want))
        """
    )
    assert out == "['MemoryError', 'True'] True"


# Extra memory over inputs and results of a call, in MiB, by the child's high-water mark.
PEAK = """
    import resource, sys, numpy as np, fastnn
    def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fastnn.set_num_threads(2)
    def extra(call, *made):
        small = fastnn.conv2d(np.ones((1, 1, 9, 9), "f4"), np.ones((1, 1, 3, 3), "f4"))
        before = peak()
        result = call()
        return peak() - before - sum(a.nbytes for a in result) / 2**20
"""


@pytest.mark.parametrize(("rows", "stride"), [(4222, 96), (134, 1)])
def test_a_large_window_on_a_large_image_needs_little_memory(rows, stride):
    """Its im2col matrix would have 1,008 GB; here every 96th window, then a strip of eight rows.

    The whole of it is `python -m proofs window`.
    """
    out, _ = fresh(
        PEAK
        + f"""
    x = np.ones((1, 1, {rows}, 4222), "f4"); w = np.ones((1, 1, 127, 127), "f4")
    y, ctx = fastnn.conv2d.forward(x, w, stride={stride})
    fastnn.clear_workspace()
    print(extra(lambda: (fastnn.conv2d(x, w, stride={stride}),)))
    print(extra(lambda: [g for g in fastnn.conv2d.backward(ctx, y) if g is not None]))
    """,
        FASTNN_CACHE="0",
    )
    forward, backward = map(float, out.split())
    assert forward < 80 and backward < 80


@pytest.mark.parametrize("limit", [4, 16, 64])
def test_scratch_stays_within_the_workspace(limit):
    """Whatever the convolution, for the implementation that is chosen."""
    out, _ = fresh(
        PEAK
        + f"""
    worst = 0
    for n, c, k, size, window, groups in [(8, 256, 512, 28, 3, 1), (16, 64, 64, 56, 3, 1),
        (2, 512, 512, 14, 5, 1), (4, 64, 128, 56, 1, 1), (8, 96, 96, 56, 7, 96), (1, 3, 64, 224, 7, 1)]:
        x = np.ones((n, c, size, size), "f4"); w = np.ones((k, c // groups, window, window), "f4")
        with fastnn.use(workspace={limit} << 20):
            y, ctx = fastnn.conv2d.forward(x, w, padding=window // 2, groups=groups)
            dy = np.ones_like(y)
            del y
            worst = max(worst, extra(lambda: [fastnn.conv2d(x, w, padding=window // 2, groups=groups)]))
            worst = max(worst, extra(lambda: [g for g in fastnn.conv2d.backward(ctx, dy) if g is not None]))
    print(worst)
    """,  # noqa: E501
        FASTNN_CACHE="0",
    )
    assert float(out) < limit + 4  # MiB; pages of stacks and Python's own


def test_scratch_stays_within_the_workspace_for_every_compiled_implementation():
    """First layers, large windows, depthwise planes: shapes with ways of their own."""
    out, _ = fresh(
        PEAK
        + """
    for n, c, k, size, window, groups in [(16, 3, 32, 96, 3, 1), (4, 3, 64, 224, 11, 1), (8, 20, 300, 24, 5, 1),
        (8, 96, 96, 56, 7, 96), (32, 64, 64, 28, 3, 64), (8, 64, 1, 56, 3, 1)]:
        x = np.ones((n, c, size, size), "f4"); w = np.ones((k, c // groups, window, window), "f4")
        options = {"padding": window // 2, "groups": groups}
        for name in fastnn.conv2d.impls:
            call = fastnn.conv2d.front(x, w, **options)[0]
            if not name.startswith("cython") or fastnn.conv2d.impl(name).supports(call) is not None:
                continue
            with fastnn.use(workspace=8 << 20):
                y, ctx = fastnn.conv2d.forward(x, w, **options, backend=name)
                dy = np.ones_like(y)
                del y
                y_extra = extra(lambda: [fastnn.conv2d(x, w, **options, backend=name)])
                needed = extra(lambda: [g for g in fastnn.conv2d.backward(ctx, dy) if g is not None])
                print(max(y_extra, needed), name)
    """,  # noqa: E501
        FASTNN_CACHE="0",
    )
    over = [line for line in out.splitlines() if float(line.split()[0]) > 8 + 4]
    assert out and not over


def test_memory_does_not_grow():
    """A tenth of the million calls of the long run."""
    out, _ = fresh(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from proofs import memory
        print(memory.run(100_000)[1])
        """
    )
    assert int(out) < 1_000_000


@pytest.mark.parametrize("model", ["convolutions", "recurrent"])
def test_steps_of_training_take_no_fresh_pages(model):
    """What a step releases serves the next, at once: cycles would hold it until they are found."""
    out, _ = fresh(
        """
        import gc, resource, sys, numpy as np, fastnn
        from fastnn import layers, optim
        fastnn.set_num_threads(2)
        def convolutions():
            parts, channels = [], 3
            for filters in (16, 32, 64):
                parts += [layers.Conv2d(channels, filters, 3, padding=1), layers.BatchNorm2d(filters)]
                parts += [layers.ReLU(), layers.MaxPool2d(2)]
                channels = filters
            return layers.Sequential(*parts, layers.Flatten(), layers.Linear(1024, 10)), (64, 3, 32, 32)
        def recurrent():
            return layers.LSTM(3, 128), (150, 32, 3)
        model, shape = MODEL()
        x = np.ones(shape, "f4")
        step = optim.Adam(model).step
        def train():
            y = model(x)
            model.backward(np.ones_like(y)) if isinstance(y, np.ndarray) else model.backward(y[0])
            step()
        def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5): train()
        gc.collect(); gc.disable()
        for _ in range(5): train()
        before = faults()
        for _ in range(20): train()
        print((faults() - before) / 20)
        """.replace("MODEL", model)  # noqa: E501
    )
    assert float(out) < 20  # of 4 KiB; one result of the first layer has 1024


def test_the_memory_of_results_is_not_used_again_while_they_live():
    """Views keep it alive too, whatever else is computed and freed meanwhile."""
    x = np.random.default_rng(0).standard_normal((4, 8, 64, 64))
    want = fastnn.tanh(x)
    kept = [(fastnn.tanh(x)[1:, ::2].T, want[1:, ::2].T) for _ in range(4)]
    kept += [(fastnn.tanh(x).reshape(-1)[7:], want.reshape(-1)[7:]) for _ in range(4)]
    kept += [(memoryview(fastnn.tanh(x)), memoryview(want)) for _ in range(2)]
    for _ in range(30):
        fastnn.relu(-np.abs(x) - 1)
        fastnn.clear_workspace()
        fastnn.sigmoid(x + 100)
    for got, right in kept:
        assert np.array_equal(np.asarray(got), np.asarray(right))


def test_the_cache_is_bounded_whatever_threads_do():
    """Threads allocate and free arrays of many sizes; what is kept fits the bound."""
    out, _ = fresh(
        """
        import threading, numpy as np, fastnn
        bad = []
        def work(seed):
            rng = np.random.default_rng(seed)
            held = []
            for i in range(300):
                x = np.full(int(rng.integers(9000, 400000)), float(seed + i), "f4")
                held.append((fastnn.relu(x), seed + i))
                if len(held) > 5:
                    y, value = held.pop(int(rng.integers(6)))
                    if not (y == value).all(): bad.append(value)
        threads = [threading.Thread(target=work, args=(1000 * i + 1,)) for i in range(6)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(len(bad), 0 < fastnn.clear_workspace() <= 8 << 20, fastnn.clear_workspace())
        """,
        FASTNN_CACHE="8M",
    )
    assert out == "0 True 0"


def test_the_cache_of_a_forked_child_is_its_own():
    out, _ = fresh(
        """
        import os, numpy as np, fastnn
        x = np.ones(1 << 18, "f4")
        kept = fastnn.relu(x); fastnn.relu(2 * x)
        pid = os.fork()
        ys = [fastnn.relu(x * i) for i in range(1, 6)]
        right = all((y == i).all() for i, y in enumerate(ys, 1)) and (kept == 1).all()
        if pid == 0: os._exit(0 if right else 1)
        print(os.waitpid(pid, 0)[1], right)
        """
    )
    assert out == "0 True"


# The control words of SSE (or of AArch64), through a few bytes of C.
FLOATS = r"""
#include <stdint.h>
uint64_t control(void) {
#if defined(__x86_64__)
    uint32_t mxcsr; uint16_t x87;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (uint64_t)x87 << 32 | (mxcsr & ~0x3fu); /* without the flags of exceptions */
#elif defined(__aarch64__)
    uint64_t fpcr; __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr)); return fpcr;
#else
    return 0;
#endif
}
"""


def test_floating_point_modes_stay_as_they_were(tmp_path):
    """Of the calling thread, by import and by a call of every compiled implementation."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler to read the control registers")
    source, library = tmp_path / "floats.c", tmp_path / "floats.so"
    source.write_text(FLOATS)
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", library], check=True)
    out, _ = fresh(
        f"""
        import ctypes, numpy as np
        control = ctypes.CDLL({str(library)!r}).control
        control.restype = ctypes.c_uint64
        before = control()
        import fastnn
        from fastnn import dispatch, testing
        changed = ["import"] if control() != before else []
        dispatch.every()
        calls = 0
        for op in dispatch.OPS.values():
            for name in op.impls:
                for case in [c for c in op.cases() if c.kind == "core"][:3]:
                    given = testing.draw(op, case, "float32")
                    call = op.front(**given)[0]
                    if not name.startswith("cython") or op.impl(name).supports(call) is not None:
                        continue
                    with fastnn.use(threads=2):
                        y, ctx = op.forward(**given, backend=name)
                        if op.has_gradient: op.backward(ctx, testing.draw_dy(op, call))
                    calls += 1
                    if control() != before: changed.append(name)
        print(calls > 100, changed, np.float32(1e-45) * np.float32(1) > 0)
        """
    )
    assert out == "True [] True"


def test_subnormal_numbers_are_kept():
    """On workers as well: they inherit no flush-to-zero from anywhere."""
    tiny = np.full(1 << 20, 1e-40, np.float32)
    with fastnn.use(threads=2):
        assert (fastnn.relu(tiny) == tiny).all()
        assert (fastnn.tanh(tiny) > 0).all()
