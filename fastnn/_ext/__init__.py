"""The door to compiled code: loads it all, or says why it is not there. Never a part of it."""

from __future__ import annotations

import sys
from pathlib import Path

missing: str | None = None
"""Why compiled implementations cannot run, as a clause that fits after a colon; None if they can."""

try:
    from fastnn._ext import _activation, _conv, _core, _linear, _loss, _norm, _pool  # noqa: F401
except ImportError as error:
    missing = f"the compiled extension is not there ({error})"
    if (Path(__file__).parents[2] / "setup.py").exists():
        print(
            f"fastnn: {Path(__file__).parents[1]} is an uncompiled checkout, so only naive and Numba "
            "code runs; `python -m pip install -e .` compiles it in place",
            file=sys.stderr,
        )
