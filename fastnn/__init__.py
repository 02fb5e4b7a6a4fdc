"""Fast neural-network layers, forward and backward, on plain NumPy arrays, on the CPU.

An operation is an object: ``fastnn.conv2d(x, w)`` computes, ``fastnn.conv2d.forward`` and
``.backward`` train, ``fastnn.conv2d.explain`` says what runs and why.
"""

from __future__ import annotations

import importlib
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
from fastnn._info import show_config
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
from fastnn.ops import (
    batch_norm,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    fold,
    linear,
    max_pool2d,
    relu,
    softmax_cross_entropy,
    unfold,
)

if TYPE_CHECKING:
    from fastnn import io, layers, optim, testing

__version__ = "0.1.0"

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
    "batch_norm",
    "clear_workspace",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "dispatch",
    "errors",
    "fold",
    "get_num_threads",
    "get_workspace",
    "io",
    "layers",
    "linear",
    "max_pool2d",
    "ops",
    "optim",
    "relu",
    "set_num_threads",
    "show_config",
    "softmax_cross_entropy",
    "testing",
    "unfold",
    "use",
]

_LAZY = ("io", "layers", "optim", "testing")

if environment.backend is not None:  # known only now that the operations are there
    dispatch.check_backend(environment.backend, "environment: FASTNN_BACKEND")


def __getattr__(name: str) -> Any:
    """Import what training and tests need when it is first asked for."""
    if name in _LAZY:
        return importlib.import_module(f"fastnn.{name}")
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_LAZY))
