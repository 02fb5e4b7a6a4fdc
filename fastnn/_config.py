"""Every setting: environment variables, parsed once and strictly, and the policy of a scope."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from fastnn.errors import OptionError

DEFAULT_WORKSPACE = 64 << 20
DEFAULT_CACHE = 256 << 20
MAX_THREADS = 256
PRECISIONS = ("exact", "default", "fast")

KNOWN = {
    "FASTNN_BACKEND": "backend or implementation to prefer, e.g. numba or cython:im2col",
    "FASTNN_CACHE": "bound on memory kept between calls for reuse, like FASTNN_WORKSPACE; 0: none",
    "FASTNN_DATA": "folder with data sets for examples and tests",
    "FASTNN_DEBUG_CYTHON": "build only: 1 compiles Cython with bounds checks",
    "FASTNN_ISA": "highest instruction set to use: baseline, avx2 or avx512",
    "FASTNN_NO_EXT": "build only: 1 installs without compiled extensions",
    "FASTNN_NUM_THREADS": f"threads for compiled and Numba code, 1 to {MAX_THREADS}",
    "FASTNN_PRECISION": "how far fast algorithms may go: exact, default or fast",
    "FASTNN_REQUIRE": "tests only: backends that must be there, comma separated",
    "FASTNN_SANITIZE": "build only: sanitizers to compile in, address,undefined or thread",
    "FASTNN_WORKSPACE": "bound on scratch memory in bytes, with an optional suffix K, M or G",
}


class Environment(NamedTuple):
    """The environment's settings, checked; None where nothing was set."""

    backend: str | None
    isa: str | None
    threads: int | None
    workspace: int | None
    cache: int
    precision: str | None


class Policy(NamedTuple):
    """What a scope prefers; None leaves the choice to fastnn."""

    backend: str | None = None
    threads: int | None = None
    workspace: int | None = None
    precision: str | None = None
    fuse: bool | None = None
    stand_in: Callable[[Any, Any], Any] | None = None  # (op, call) -> Impl, see dispatch.dry_run


def parse_environment(environ: Mapping[str, str]) -> Environment:
    """Read the FASTNN_ variables of `environ`; an unknown name or value is an error."""
    unknown = sorted(k for k in environ if k.startswith("FASTNN_") and k not in KNOWN)
    if unknown:
        raise OptionError(
            f"environment: {', '.join(unknown)} is not a setting; known are {', '.join(KNOWN)}"
        )
    isa = environ.get("FASTNN_ISA") or None
    if isa not in (None, "baseline", "avx2", "avx512"):
        raise OptionError(f"environment: FASTNN_ISA={isa}; it must be baseline, avx2 or avx512")
    threads = environ.get("FASTNN_NUM_THREADS") or None
    if threads is not None and not threads.isdecimal():
        raise OptionError(f"environment: FASTNN_NUM_THREADS={threads}; it must be a whole number")
    precision = environ.get("FASTNN_PRECISION") or None
    return Environment(
        backend=environ.get("FASTNN_BACKEND") or None,
        isa=isa,
        threads=None if threads is None else check_threads(int(threads), "FASTNN_NUM_THREADS"),
        workspace=_parse_workspace(environ.get("FASTNN_WORKSPACE") or None),
        cache=_parse_bytes("FASTNN_CACHE", environ.get("FASTNN_CACHE") or str(DEFAULT_CACHE)),
        precision=None if precision is None else check_precision(precision, "FASTNN_PRECISION"),
    )


def _parse_workspace(text: str | None) -> int | None:
    if text is None:
        return None
    return check_workspace(_parse_bytes("FASTNN_WORKSPACE", text), "FASTNN_WORKSPACE")


def _parse_bytes(name: str, text: str) -> int:
    match = re.fullmatch(r"(\d{1,18})([KMG]?)", text)
    size = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]] if match else -1
    if not 0 <= size < 1 << 48:
        raise OptionError(f"environment: {name}={text}; it must be like 67108864 or 64M")
    return size


def check_threads(n: int, name: str = "threads") -> int:
    """`n` if it is a possible number of threads, else an error that names `name`."""
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MAX_THREADS:
        raise OptionError(f"{name}={n!r}; it must be a whole number from 1 to {MAX_THREADS}")
    return n


def check_workspace(size: int, name: str = "workspace") -> int:
    """`size` in bytes if kernels can work within it, else an error that names `name`."""
    least = 1 << 20
    if isinstance(size, bool) or not isinstance(size, int) or not least <= size < 1 << 48:
        raise OptionError(f"{name}={size!r}; it must be a number of bytes, at least {least}")
    return size


def check_precision(precision: str, name: str = "precision") -> str:
    """`precision` if it is a level of precision, else an error that names `name`."""
    if precision not in PRECISIONS:
        raise OptionError(f"{name}={precision!r}; it must be one of {', '.join(PRECISIONS)}")
    return precision


environment = parse_environment(os.environ)

USUAL = Policy()
"""What holds outside of any scope."""

policy: ContextVar[Policy] = ContextVar("fastnn_policy", default=USUAL)
"""The policy in force. A ContextVar, so that it is right in threads and in async code."""


def _usable_cpus() -> int:
    """CPUs that this process may use: the affinity mask, cut by the cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cpus, MAX_THREADS, quota if quota is not None else cpus))


def _cgroup_quota() -> int | None:
    """Whole CPUs that the cgroup (version 2, then 1) grants, rounded up; None without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        folder = Path("/sys/fs/cgroup/cpu")
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not (quota.isdecimal() and period.isdecimal() and int(period) > 0):
        return None
    return max(1, -(-int(quota) // int(period)))


_threads = environment.threads if environment.threads is not None else _usable_cpus()


def set_num_threads(n: int) -> None:
    """Set how many threads a call may use, for the whole process.

    Results are the same bits for every number. `fastnn.use(threads=...)` does it for a scope.

    Raises
    ------
    OptionError
        If `n` is not a whole number from 1 to 256.

    Examples
    --------
    >>> import fastnn
    >>> before = fastnn.get_num_threads()
    >>> fastnn.set_num_threads(2)
    >>> fastnn.get_num_threads()
    2
    >>> fastnn.set_num_threads(before)
    """
    global _threads
    _threads = check_threads(n)


def get_num_threads() -> int:
    """The number of threads that a call made here and now may use.

    The scope's `fastnn.use(threads=...)` if there is one, else the last `set_num_threads`, else
    `FASTNN_NUM_THREADS`, else the CPUs that affinity mask and cgroup quota leave to the process.
    """
    return policy.get().threads or _threads


def get_workspace() -> int:
    """The bound on scratch memory in bytes that holds here and now."""
    return policy.get().workspace or environment.workspace or DEFAULT_WORKSPACE


def get_precision() -> str:
    """The level of precision that holds here and now, see `fastnn.use`."""
    return policy.get().precision or environment.precision or "default"


def clear_workspace() -> int:
    """Free the memory that is kept between calls to be used again; returns the number of bytes.

    Kept is scratch memory of kernels and that of results which are no longer referenced, at most
    `FASTNN_CACHE` bytes in all.

    Examples
    --------
    >>> import fastnn
    >>> freed = fastnn.clear_workspace()
    >>> fastnn.clear_workspace()
    0
    """
    from fastnn import _ext

    if _ext.missing is not None:
        return 0
    from fastnn._ext import _core

    return int(_core.clear_blocks())


@contextmanager
def scope(changes: Policy) -> Iterator[None]:
    """Let what `changes` sets override the policy in force until the block ends."""
    set_here = {k: v for k, v in changes._asdict().items() if v is not None}
    token = policy.set(policy.get()._replace(**set_here))
    try:
        yield
    finally:
        policy.reset(token)
