"""Caches that unpack as the course's do and still know the call that they are of."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops
from fastnn.dispatch import Context, Op
from fastnn.errors import UnsupportedError

Array = np.ndarray[Any, Any]
Param = dict[str, Any]


class Cache(tuple[Any, ...]):
    """The course's tuple of arrays and dictionaries, with the context of the forward call."""

    context: Context[Any]

    def __new__(cls, context: Context[Any], *parts: Any) -> Cache:
        self = super().__new__(cls, parts)
        self.context = context
        return self


def floats(*arrays: Any) -> list[Array]:
    """The arrays in float32 if all of them are, else in float64: the course converts in silence."""
    found = [np.asarray(a) for a in arrays]
    single = all(a.dtype == np.float32 for a in found)
    return [a.astype(np.float32 if single else np.float64, copy=False) for a in found]


def gradients(context: Context[Any], dout: Any) -> Any:
    """What the operation's backward gives for `dout` in the dtype of its forward call."""
    return context.op.backward(context, np.asarray(dout).astype(context.call.dtype, copy=False))


def operation(name: str) -> Op[..., Any, Any]:
    """The operation `name`, or an error that says which one this release lacks."""
    found: Op[..., Any, Any] | None = getattr(ops, name, None)
    if found is None:
        raise UnsupportedError(f"cs231n: operation {name} is not there; it needs a later fastnn")
    return found
