"""What an operation ships so that tests and benchmarks can be generated: its cases.

A case names shapes and options, never data; `fastnn.testing` draws the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

Kind = Literal["core", "edge", "bench"]

# (numpy.random.Generator, Case, dtype) -> array; naming the class would import numpy.random,
# which is half of what `import fastnn` may cost.
Draw = Callable[[Any, "Case", Any], Any]


class Case(NamedTuple):
    """One call without its data.

    `core` calls may not be refused by any implementation, `edge` calls may, `bench` calls are
    what benchmarks time, with a name and the place where the shape comes from.
    """

    kind: Kind
    arrays: Mapping[str, tuple[int, ...]]
    options: Mapping[str, Any]
    name: str = ""
    source: str = ""

    @property
    def id(self) -> str:
        """Short text for test and benchmark ids, without blanks."""
        shapes = [f"{k}{'x'.join(map(str, v))}" for k, v in self.arrays.items()]
        options = [f"{k}={v}" for k, v in self.options.items()]
        return "-".join([self.name, *shapes, *options] if self.name else shapes + options).replace(
            " ", ""
        )


class Bad(NamedTuple):
    """One call that must fail: keyword arguments, the error and a pattern that its text has."""

    arguments: Mapping[str, Any]
    error: type[Exception]
    match: str


def case(kind: Kind, *, name: str = "", source: str = "", **arguments: Any) -> Case:
    """A case from keywords: a `shape(...)` is an array of that shape, the rest are options."""
    arrays = {k: tuple(v) for k, v in arguments.items() if isinstance(v, shape)}
    options = {k: v for k, v in arguments.items() if not isinstance(v, shape)}
    return Case(kind, arrays, options, name, source)


class shape(tuple[int, ...]):
    """Marks an argument of `case` as an array: `shape(2, 3)`."""

    __slots__ = ()

    def __new__(cls, *sizes: int) -> shape:
        return super().__new__(cls, sizes)
