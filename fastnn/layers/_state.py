"""What layers and optimisers have besides their functions: states that are taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.errors import DtypeError, ShapeError, StateError

Array = np.ndarray[Any, Any]


def fitted(what: str, own: Mapping[str, Array], state: Any) -> dict[str, Array]:
    """The arrays of `state` under the names of `own`, once every name, shape and dtype fits."""
    if not isinstance(state, Mapping):
        raise DtypeError(f"{what}: state is {type(state).__name__}; it must map names to arrays")
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    if missing or unexpected:
        raise StateError(
            f"{what}: state lacks {missing} and has {unexpected} too many; names must be the same"
        )
    arrays = {name: np.asarray(state[name]) for name in own}
    for name, target in own.items():
        _check_one(what, name, target, arrays[name])
    return arrays


def _check_one(what: str, name: str, target: Array, value: Array) -> None:
    if value.shape != target.shape:
        raise ShapeError(
            f"{what}: state has {name} of shape {value.shape}; it must be {target.shape}"
        )
    if value.dtype.newbyteorder("=") != target.dtype:
        raise DtypeError(
            f"{what}: state has {name} of dtype {value.dtype}; it must be {target.dtype}"
        )


def generators(model: Any) -> list[np.random.Generator]:
    """The random generators of a layer and all its children, each once."""
    found: dict[int, np.random.Generator] = {}
    for _, layer in model._walk():
        source = getattr(layer, "_rng", None)
        if isinstance(source, np.random.Generator):
            found[id(source)] = source
    return list(found.values())
