"""The one Numba policy: when Numba can be used, how kernels are compiled and how they are run."""

from __future__ import annotations

import functools
import importlib.util
import os
import stat
import threading
from collections.abc import Callable
from typing import Any

from fastnn import _config

OLDEST = (0, 61)

_lock = threading.RLock()
_started = False  # a parallel kernel ran in this process or in one that it was forked from
_forked: str | None = None  # why it cannot run in this child


def missing() -> str | None:
    """Why Numba code cannot run in this process, as a clause that fits after a colon, or None."""
    return _forked or _unusable()


@functools.cache
def _unusable() -> str | None:
    """Import Numba and try what can fail: its version and a place for its cache."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed"
    try:
        import numba
    except Exception as error:  # an import of Numba against a wrong NumPy raises what it likes
        return f"numba does not import ({error})"
    version = tuple(int(v) for v in numba.__version__.split(".")[:2])
    if version < OLDEST:
        return f"numba {numba.__version__} is too old, it must be {'.'.join(map(str, OLDEST))}"
    return _cache_trouble()


def _cache_trouble() -> str | None:
    from numba import njit

    def probe() -> int:
        return 0

    try:
        folder = njit(cache=True)(probe).stats.cache_path
    except RuntimeError as error:
        return f"numba has no writable cache folder ({error}), NUMBA_CACHE_DIR can name one"
    for path in (folder, os.path.dirname(folder)):
        if _open_to_others(path):
            return (
                f"numba's cache folder {path} can be written by other users, and what is in it "
                "is run: NUMBA_CACHE_DIR can name one of your own"
            )
    return None


def _open_to_others(path: str) -> bool:
    """Whether somebody else but root could put a file there; Numba's cache holds pickles."""
    if not hasattr(os, "getuid") or not os.path.exists(path):
        return False
    found = os.stat(path)
    return bool(found.st_mode & stat.S_IWOTH) or found.st_uid not in (0, os.getuid())


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` on first use as a parallel kernel, cached on disk.

    Only contraction to FMA is allowed besides what IEEE 754 says: NaN and Inf stay defined. The
    result is a Numba dispatcher, so a user's own ``@njit`` code can call it. From Python, call it
    through `launch`.
    """
    from numba import njit

    return njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})(function)


def helper(function: Callable[..., Any]) -> Any:
    """Compile `function` for use inside kernels."""
    from numba import njit

    return njit(cache=True, error_model="numpy", fastmath={"contract"})(function)


def reduction(function: Callable[..., Any]) -> Any:
    """Compile a helper whose sums may be added up in another order: else they stay scalar code.

    The order is fixed when it is compiled. NaN and Inf stay defined.
    """
    from numba import njit

    return njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})(function)


def launch(compiled: Any, *args: Any) -> Any:
    """Run a kernel with fastnn's number of threads.

    One at a time: Numba's workqueue layer aborts the process when two Python threads enter it.
    """
    import numba

    global _started
    with _lock:
        _started = True
        before = numba.get_num_threads()
        numba.set_num_threads(min(_config.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        try:
            return compiled(*args)
        finally:
            numba.set_num_threads(before)


def _after_fork_in_child() -> None:
    """GNU OpenMP kills a forked child that uses it after its parent did: refuse instead."""
    global _lock, _forked
    _lock = threading.RLock()
    if not _started:
        return
    import numba

    if numba.threading_layer() == "omp":
        _forked = (
            "this process was forked after Numba's OpenMP threads started, "
            "NUMBA_THREADING_LAYER=workqueue avoids it"
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
