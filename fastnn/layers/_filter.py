"""Which parameters of a model something is for."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

Filter = str | Callable[[str, Array], bool] | None
"""A pattern for names such as "0.weight", a function of name and array, or None: two and more axes.

None leaves out biases and the weights of norms.
"""


def takes(wanted: Filter, name: str, array: Array) -> bool:
    """Whether the parameter is among those that are wanted."""
    if wanted is None:
        return array.ndim > 1
    return fnmatchcase(name, wanted) if isinstance(wanted, str) else bool(wanted(name, array))
