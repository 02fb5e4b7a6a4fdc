"""What a hyper-parameter may be: each rule gives the plain number, or raises."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from fastnn import _check
from fastnn.errors import OptionError

Rule: TypeAlias = Callable[[str, str, Any], float | bool]
"""From the optimiser's name, the option's name and its value to the value."""

flag = _check.flag


def at_least_zero(what: str, name: str, value: Any) -> float:
    """A finite number from 0."""
    number = _check.real(what, name, value)
    if not 0 <= number < math.inf:
        raise OptionError(f"{what}: {name}={number}; it must be at least 0 and finite")
    return number


def below_one(what: str, name: str, value: Any) -> float:
    """A number from 0 to below 1."""
    number = _check.real(what, name, value)
    if not 0 <= number < 1:
        raise OptionError(f"{what}: {name}={number}; it must be from 0 to below 1")
    return number


def above_zero(what: str, name: str, value: Any) -> float:
    """A finite number above 0."""
    number = _check.real(what, name, value)
    if not 0 < number < math.inf:
        raise OptionError(f"{what}: {name}={number}; it must be above 0 and finite")
    return number


def limit(what: str, name: str, value: Any) -> float:
    """A number above 0; infinity is no limit."""
    number = _check.real(what, name, value)
    if not number > 0:
        raise OptionError(f"{what}: {name}={number}; it must be above 0")
    return number
