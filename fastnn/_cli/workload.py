"""One benchmark case with its data drawn: what is checked and timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastnn import testing
from fastnn._cases import Case
from fastnn.dispatch import BACKENDS, Op, unavailable
from fastnn.errors import ShapeError, UnsupportedError
from fastnn.testing._compare import Results, bound

Array = np.ndarray[Any, Any]

DIRECTIONS = ("forward", "backward")


class Workload:
    """An operation, the arguments of one call and a gradient for its result."""

    def __init__(
        self,
        op: Op[..., Any, Any],
        arguments: dict[str, Any],
        dy: Array | tuple[Array, ...] | None = None,
    ) -> None:
        self.op = op
        self.arguments = arguments
        self.call = op.front(**arguments).call
        self.dy = testing.draw_dy(op, self.call) if dy is None else dy

    @classmethod
    def of(cls, op: Op[..., Any, Any], case: Case, dtype: str) -> Workload:
        """The workload of `case` with normal data."""
        return cls(op, testing.draw(op, case, dtype))

    @property
    def samples(self) -> int:
        """Size of the batch."""
        return len(self.arguments[self.op.array_names[0]])

    def first(self, n: int) -> Workload:
        """The same for the first `n` samples alone.

        Which arrays have a batch axis, only the operation knows: x has one, and if that does not
        fit, every array as long as x.
        """
        if n >= self.samples:
            return self
        x = self.op.array_names[0]
        arrays = {k: v for k, v in self.arguments.items() if isinstance(v, np.ndarray)}
        batched = {k: v for k, v in arrays.items() if v.ndim and len(v) == self.samples}
        try:
            return Workload(self.op, {**self.arguments, x: arrays[x][:n]})
        except ShapeError:
            return Workload(self.op, self.arguments | {k: v[:n] for k, v in batched.items()})

    def action(self, impl: str, direction: str) -> Callable[[], object]:
        """A call without arguments that runs one direction, as a user would call it."""
        if direction == "forward":
            return partial(self.op, **self.arguments, backend=impl)
        _, ctx = self.op.forward(**self.arguments, backend=impl)
        return partial(self.op.backward, ctx, self.dy)

    def run(self, impl: str) -> Results:
        """Results of forward and backward, on copies of the arguments."""
        return testing.run(self.op, self.op.impl(impl), self.arguments, self.dy)

    def difference(self, got: Results, want: Results) -> float:
        """Worst absolute difference of any result, relative to that result's largest entry."""
        pairs = [
            *zip(got.outputs, want.outputs, strict=True),
            *((got.grads[k], want.grads[k]) for k in want.grads),
        ]
        return float(np.max([_distance(a, b) for a, b in pairs]))

    @property
    def tolerance(self) -> float:
        """How large `difference` may be: both sides may be off by the bound of a backward pass."""
        return 4 * bound(self.op, self.call)


def _distance(got: Array | None, want: Array | None) -> float:
    if got is None or want is None:
        return 0.0 if got is want else np.inf
    if got.shape != want.shape:
        return np.inf
    size = float(np.abs(want).max(initial=0.0))
    return float(np.abs(got - want).max(initial=0.0)) / (size or 1.0)


def best_of(op: Op[..., Any, Any], call: Any, backend: str) -> tuple[str | None, str]:
    """The implementation of `backend` that would run `call`, or None, and why there is none."""
    if not any(name.partition(":")[0] == backend for name in op.impls):
        return None, f"{op.name} has no {backend} implementation"
    missing = unavailable(backend)
    if missing is not None:
        return None, missing
    try:
        return op.select(call, backend).name, ""
    except UnsupportedError as error:
        return None, str(error)


def describe(op: Op[..., Any, Any], case: Case, dtype: str) -> Any:
    """The call of `case` without the cost of random numbers for its arrays."""
    rng, element = np.random.default_rng(0), np.dtype(dtype)
    arrays = {
        name: op.draw[name](rng, case, element) if name in op.draw else np.zeros(sizes, element)
        for name, sizes in case.arrays.items()
    }
    return op.front(**arrays, **case.options).call


def implementations(op: Op[..., Any, Any], call: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Per backend the implementation that would run `call`; per backend without one the reason."""
    found, missing = {}, {}
    for backend in BACKENDS:
        name, why = best_of(op, call, backend)
        if name is None:
            missing[backend] = why
        else:
            found[backend] = name
    return found, missing
