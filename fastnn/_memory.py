"""Memory of results: `empty` as NumPy's, from memory that released results have left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _ext

Array = np.ndarray[Any, Any]

empty: Callable[[Any, str], Array] = np.empty if _ext.missing else _ext._core.empty
"""(shape, dtype) -> an uninitialised array; dtype by its name."""
