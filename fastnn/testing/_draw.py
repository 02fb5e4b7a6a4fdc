"""Data for a case: small integers, where sums are exact in any order, or normal numbers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fastnn._cases import Case
from fastnn._check import Array
from fastnn.dispatch import Op

Data = Literal["integer", "normal"]


def draw(
    op: Op[..., Any, Any], case: Case, dtype: str, *, seed: int = 0, kind: Data = "normal"
) -> dict[str, Any]:
    """Keyword arguments for a call of `op`: an array per shape of `case`, and its options.

    With ``kind="integer"`` entries are from -3 to 3: while a sum stays below 2**24 its float32
    result is exact, hence the same bits for every order of summation.
    """
    rng = np.random.default_rng(seed)
    element = np.dtype(dtype)
    arguments: dict[str, Any] = {}
    for name, shape in case.arrays.items():
        if name in op.draw:
            arguments[name] = op.draw[name](rng, case, element)
        else:
            arguments[name] = _numbers(rng, shape, element, kind)
    return arguments | dict(case.options)


def draw_dy(op: Op[..., Any, Any], call: Any, *, seed: int = 1, kind: Data = "normal") -> Any:
    """A random gradient of the result of `call`; all-ones would hide flips and swaps.

    An array, or a tuple of them if `op` has several differentiable results.
    """
    rng = np.random.default_rng(seed)
    shapes = call.out[: op.has_gradient] if op.outputs else (call.out,)
    dys = tuple(_numbers(rng, shape, np.dtype(call.dtype), kind) for shape in shapes)
    return dys if len(dys) > 1 else dys[0]


def _numbers(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], kind: Data
) -> Array:
    if kind == "integer":
        return np.asarray(rng.integers(-3, 4, shape)).astype(dtype)
    return np.asarray(rng.standard_normal(shape)).astype(dtype)
