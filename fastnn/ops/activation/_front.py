"""What the fronts of all activations share: the checks and the call."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described
from fastnn.errors import OptionError
from fastnn.ops.activation.spec import ActivationCall


def finite(op: str, name: str, value: Any) -> float:
    """`value` as a finite float."""
    number = _check.real(op, name, value)
    if not math.isfinite(number):
        raise OptionError(f"{op}: {name}={number}; it must be finite")
    return number


def describe(
    op: str,
    x: Array,
    function: str,
    parameters: tuple[float, float],
    out: Array | None,
    backend: str | None,
) -> Described:
    """The call of `function` on x: there are no rules about sizes."""
    x = _check.array(op, "x", x)
    return Described(_call(_check.dtype_name(x), x.shape, function, parameters), (x,), out, backend)


_call = lru_cache(4096)(ActivationCall)
