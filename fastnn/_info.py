"""What this installation is and what is in force: the text to put into a bug report."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fastnn import _config

__all__ = ["config", "show_config"]


def config() -> dict[str, Any]:
    """Versions, compiled code, threads and settings as values that JSON can hold.

    Numba is not imported for it: what is said of Numba comes from its installed metadata, unless
    it is loaded already.

    Returns
    -------
    dict
        Keys ``fastnn``, ``python``, ``numpy``, ``platform``, ``cpu``, ``compiled``, ``numba``,
        ``threads``, ``threads_from``, ``workspace``, ``workspace_from``, ``precision``,
        ``precision_from``, ``backend``, ``backend_from``, ``environment`` and ``cache``.

    Examples
    --------
    >>> from fastnn import _info
    >>> _info.config()["threads"] >= 1
    True
    """
    import platform

    import fastnn  # here: fastnn imports this module

    threads, threads_from = _threads()
    workspace, workspace_from = _workspace()
    precision, precision_from = _precision()
    backend, backend_from = _backend()
    return {
        "fastnn": fastnn.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "compiled": _compiled(),
        "numba": _numba(),
        "threads": threads,
        "threads_from": threads_from,
        "workspace": workspace,
        "workspace_from": workspace_from,
        "precision": precision,
        "precision_from": precision_from,
        "backend": backend,
        "backend_from": backend_from,
        "environment": {k: v for k, v in sorted(os.environ.items()) if k in _config.KNOWN},
        "cache": os.environ.get("NUMBA_CACHE_DIR") or str(Path(__file__).parent),
    }


def show_config(file: TextIO | None = None) -> None:
    """Print `config` for people.

    Parameters
    ----------
    file
        Where to print, standard output by default.

    Examples
    --------
    >>> from fastnn import _info
    >>> _info.show_config()  # doctest: +ELLIPSIS
    fastnn    ...
    """
    print("\n".join(_lines(config())), file=file or sys.stdout)


def _lines(c: dict[str, Any]) -> list[str]:
    compiled, numba = c["compiled"], c["numba"]
    if compiled["missing"]:
        ext = f"!!! MISSING: {compiled['missing']}; every call runs on slower code !!!"
    else:
        ext = (
            f"{compiled['isa']} (available: {', '.join(compiled['isas'])}), "
            f"compiler {compiled['compiler']}"
        )
    jit = numba["missing"] or f"{numba['version']}, threading layer {numba['threading_layer']}"
    rows = {
        "fastnn": f"{c['fastnn']} in {Path(__file__).parent}",
        "Python": c["python"],
        "NumPy": c["numpy"],
        "platform": c["platform"],
        "CPU": c["cpu"],
        "compiled": ext,
        "Numba": jit,
        "threads": f"{c['threads']}, from {c['threads_from']}",
        "workspace": f"{c['workspace'] / 2**20:.4g} MiB, from {c['workspace_from']}",
        "precision": f"{c['precision']}, from {c['precision_from']}",
        "backend": f"{c['backend'] or 'the best rank'}, from {c['backend_from']}",
        "settings": " ".join(f"{k}={v}" for k, v in c["environment"].items()) or "none",
        "cache": f"{c['cache']} (Numba's compiled kernels)",
    }
    return [f"{name:<9} {text}" for name, text in rows.items()]


def cpu_model() -> str:
    """The processor's name with its number of logical CPUs."""
    import platform

    name = ""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() in ("model name", "Model", "cpu model"):
                    name = value.strip()
                    break
    except OSError:
        pass
    return f"{name or platform.processor() or platform.machine()}, {os.cpu_count()} CPUs"


def _version(distribution: str) -> str | None:
    from importlib import metadata  # here, as platform is: slow to import, and fastnn imports this

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _compiled() -> dict[str, Any]:
    from fastnn import _ext

    if _ext.missing is not None:
        return {"missing": _ext.missing, "isa": None, "isas": [], "compiler": None}
    core = importlib.import_module("fastnn._ext._core")

    return {
        "missing": None,
        "isa": core.isa,
        "isas": list(core.available_isas),
        "compiler": core.compiler,
    }


def _numba() -> dict[str, Any]:
    from fastnn import _jit

    version = _version("numba")
    if "numba" in sys.modules:
        missing = _jit.missing()
    elif version is None:
        missing = "numba is not installed"
    elif tuple(int(v) for v in version.split(".")[:2]) < _jit.OLDEST:
        oldest = ".".join(map(str, _jit.OLDEST))
        missing = f"numba {version} is too old, it must be {oldest} or newer"
    else:
        missing = None
    return {"missing": missing, "version": version, "threading_layer": _threading_layer()}


def _threading_layer() -> str:
    """The layer in use; before the first parallel kernel, the one that was asked for."""
    numba = sys.modules.get("numba")
    try:
        if numba is not None:
            return str(numba.threading_layer())
    except (AttributeError, ValueError):  # no parallel kernel has run yet
        pass
    return os.environ.get("NUMBA_THREADING_LAYER", "default") + ", not started"


def _threads() -> tuple[int, str]:
    n = _config.get_num_threads()
    if _config.policy.get().threads is not None:
        return n, "fastnn.use"
    if n == _config.environment.threads:
        return n, "FASTNN_NUM_THREADS"
    if n == _config._usable_cpus():
        return n, "the CPUs that affinity mask and cgroup quota leave"
    return n, "fastnn.set_num_threads"


def _workspace() -> tuple[int, str]:
    size = _config.get_workspace()
    if _config.policy.get().workspace is not None:
        return size, "fastnn.use"
    return size, "the default" if _config.environment.workspace is None else "FASTNN_WORKSPACE"


def _precision() -> tuple[str, str]:
    level = _config.get_precision()
    if _config.policy.get().precision is not None:
        return level, "fastnn.use"
    return level, "the default" if _config.environment.precision is None else "FASTNN_PRECISION"


def _backend() -> tuple[str | None, str]:
    scope, environment = _config.policy.get().backend, _config.environment.backend
    if scope is not None:
        return scope, "fastnn.use"
    if environment is not None:
        return environment, "FASTNN_BACKEND"
    return None, "the default"
