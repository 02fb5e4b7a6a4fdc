"""Optional packages, imported when first needed, and one sentence when one is missing."""

from __future__ import annotations

import importlib
from typing import Any

from fastnn.errors import OptionError


def need(what: str, module: str, distribution: str, extra: str) -> Any:
    """Import `module`, or say which package `what` lacks and which extra of ours brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise OptionError(
            f'{what} needs {distribution}; install it with: pip install "fastnn-layers[{extra}]"'
        ) from error
