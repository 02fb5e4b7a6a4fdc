"""Fast neural-network layers, forward and backward, on plain NumPy arrays, on the CPU.

An operation is an object: ``fastnn.conv2d(x, w)`` computes, ``fastnn.conv2d.forward`` and
``.backward`` train, ``fastnn.conv2d.explain`` says what runs and why. A family of operations is
imported when one of them is first named.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from fastnn import _ext as _ext  # compiled code is there from the start, or says that it is not
from fastnn import dispatch, errors, ops
from fastnn._config import (
    clear_workspace,
    environment,
    get_num_threads,
    get_workspace,
    set_num_threads,
)
from fastnn.dispatch import Context, Impl, Op, use
from fastnn.errors import (
    DtypeError,
    FastnnError,
    FileError,
    OptionError,
    ShapeError,
    StateError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from fastnn import datasets as datasets
    from fastnn import init as init
    from fastnn import inspect as inspect
    from fastnn import io as io
    from fastnn import layers as layers
    from fastnn import metrics as metrics
    from fastnn import optim as optim
    from fastnn import plot as plot
    from fastnn import testing as testing
    from fastnn import train as train
    from fastnn._info import show_config as show_config
    from fastnn.ops import *  # noqa: F403

__version__ = "0.1.0"

_LAZY_MODULES = (
    "datasets", "init", "inspect", "io", "layers", "metrics", "optim", "plot", "testing", "train",
)  # fmt: skip

__all__ = [
    "Context",
    "DtypeError",
    "FastnnError",
    "FileError",
    "Impl",
    "Op",
    "OptionError",
    "ShapeError",
    "StateError",
    "UnsupportedError",
    "clear_workspace",
    "dispatch",
    "errors",
    "get_num_threads",
    "get_workspace",
    "ops",
    "set_num_threads",
    "use",
]
__all__ += ["show_config", *_LAZY_MODULES, *ops.FAMILY, *ops.FUNCTIONS]

if "threadpoolctl" in sys.modules:  # it was here first, so somebody limits threads
    from fastnn.compat import threadpools as threadpools

if environment.backend is not None:
    dispatch.check_backend(environment.backend, "environment: FASTNN_BACKEND")


def __getattr__(name: str) -> Any:
    """Import what is named for the first time."""
    value: Any
    if name in ops.FAMILY or name in ops.FUNCTIONS:
        value = getattr(ops, name)
    elif name in _LAZY_MODULES:
        value = importlib.import_module(f"fastnn.{name}")
    elif name == "show_config":
        value = importlib.import_module("fastnn._info").show_config
    else:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
