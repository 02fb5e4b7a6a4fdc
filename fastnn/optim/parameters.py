"""What optimisers take: layers, triples of arrays, or groups of them with options of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from fastnn import _check
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.layers import Layer

Array = np.ndarray[Any, Any]
Triple: TypeAlias = tuple[str, Array, Array]

Parameters: TypeAlias = Layer | Iterable[Triple] | Iterable[Mapping[str, Any]]
"""A layer, or (name, parameter, gradient) triples as `Layer.parameters` yields them, or groups:
mappings with one of these under "params" and options that differ from the optimiser's."""


def grouped(what: str, given: Parameters) -> list[tuple[str, list[Triple], dict[str, Any]]]:
    """(prefix of the names, triples, options of its own) of each group; one group has no prefix."""
    items: list[Any] = [given] if isinstance(given, Layer) else list(given)
    if items and all(isinstance(item, Mapping) for item in items):
        groups = [_group(what, i, item) for i, item in enumerate(items)]
    else:
        groups = [("", collected(what, given if isinstance(given, Layer) else items), {})]
    arrays = [id(param) for _, triples, _ in groups for _, param, _ in triples]
    if len(set(arrays)) < len(arrays):
        raise OptionError(f"{what}: a parameter's array is there twice; it must be unique")
    return groups


def _group(what: str, i: int, group: Mapping[str, Any]) -> tuple[str, list[Triple], dict[str, Any]]:
    if "params" not in group:
        raise OptionError(f"{what}: group {i} has {list(group)}; it must have params")
    options = {name: value for name, value in group.items() if name != "params"}
    return f"group{i}.", collected(what, group["params"]), options


def collected(what: str, parameters: Any) -> list[Triple]:
    """The triples of a layer or of an iterable, once they are fit to be updated in place."""
    triples = list(parameters.parameters() if isinstance(parameters, Layer) else parameters)
    if not triples:
        raise OptionError(f"{what}: there are no parameters; it needs at least one")
    for triple in triples:
        if not isinstance(triple, tuple | list) or len(triple) != 3:
            raise DtypeError(
                f"{what}: a parameter is {type(triple).__name__}; it must be a layer's, or (name, "
                "parameter, gradient)"
            )
        _check_triple(what, *triple)
    names = [name for name, _, _ in triples]
    if len(set(names)) < len(names):
        raise OptionError(f"{what}: a parameter's name is there twice; it must be unique")
    return [(name, param, grad) for name, param, grad in triples]


def _check_triple(what: str, name: str, param: Any, grad: Any) -> None:
    for role, a in (("parameter", param), ("gradient", grad)):
        if not isinstance(a, np.ndarray) or a.dtype not in (_check.F4, _check.F8):
            found = getattr(a, "dtype", type(a).__name__)
            raise DtypeError(f"{what}: {role} {name} is {found}; it must be float32 or float64")
        if not a.flags.carray or not a.dtype.isnative:
            raise ShapeError(
                f"{what}: {role} {name} is strided or read-only; it must be writable and "
                "C-contiguous"
            )
    if param.shape != grad.shape or param.dtype != grad.dtype:
        raise ShapeError(
            f"{what}: {name} is {param.dtype} {param.shape} but its gradient {grad.dtype} "
            f"{grad.shape}; they must be the same"
        )
