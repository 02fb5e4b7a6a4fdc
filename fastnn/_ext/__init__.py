"""The door to compiled code: loads it all, or says why it is not there. Never a part of it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

_activation: Any
_conv: Any
_core: Any
_embedding: Any
_linear: Any
_loss: Any
_norm: Any
_optim: Any
_pool: Any
_rownorm: Any
_recurrent: Any
_resample: Any

missing: str | None = None
"""Why compiled code cannot run, as a clause that fits after a colon; None if it can."""

try:
    for _name in tuple(__annotations__):
        if _name.startswith("_"):
            importlib.import_module(f"fastnn._ext.{_name}")
except ImportError as error:
    missing = f"the compiled extension is not there ({error})"
    if (Path(__file__).parents[2] / "setup.py").exists():
        print(
            f"fastnn: {Path(__file__).parents[1]} is an uncompiled checkout, so only naive and "
            "Numba code runs; `python -m pip install -e .` compiles it in place",
            file=sys.stderr,
        )
