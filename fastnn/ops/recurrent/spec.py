"""What recurrent layers mean: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, Draw, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3, "gru_classic": 3}
"""Gates per cell, G."""


class RecurrentCall(NamedTuple):
    """One recurrent layer in one direction, without its numbers."""

    dtype: str
    cell: str  # a key of GATES
    x: tuple[int, ...]  # T N I, or N T I if batch_first
    hidden: int
    bias_ih: bool
    bias_hh: bool
    h0: bool
    c0: bool
    lengths: bool
    reverse: bool
    batch_first: bool

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """T N I H."""
        first, second, inputs = self.x
        if self.batch_first:
            return second, first, inputs, self.hidden
        return first, second, inputs, self.hidden

    @property
    def gates(self) -> int:
        """G."""
        return GATES[self.cell]

    @property
    def out(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of y and of every state."""
        state = (self.sizes[1], self.hidden)
        return ((*self.x[:2], self.hidden), state) + (state,) * (self.cell == "lstm")

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.sizes[1] == 0

    @property
    def flops(self) -> int:
        """Two per multiply-add and eight per gate's value, all steps counted as if full."""
        t, n, i, h = self.sizes
        return t * n * self.gates * h * (2 * (i + h) + 8)

    @property
    def bytes(self) -> int:
        """x, weights and initial states read once, y and final states written once."""
        _, n, i, h = self.sizes
        weights = self.gates * h * (i + h + self.bias_ih + self.bias_hh)
        states = n * h * (self.h0 + self.c0)
        results = sum(math.prod(sizes) for sizes in self.out)
        return np.dtype(self.dtype).itemsize * (math.prod(self.x) + weights + states + results)


class RecurrentResult(NamedTuple):
    """The states after all steps, and the last one."""

    y: Array
    h: Array


class LstmResult(NamedTuple):
    """The hidden states after all steps, the last one, and the last cell state."""

    y: Array
    h: Array
    c: Array


class RecurrentGrads(NamedTuple):
    """Gradients of a recurrent layer; None where not needed or not there."""

    x: Array | None
    w_ih: Array | None
    w_hh: Array | None
    b_ih: Array | None
    b_hh: Array | None
    h0: Array | None


class LstmGrads(NamedTuple):
    """Gradients of a recurrent layer with a cell state; None where not needed or not there."""

    x: Array | None
    w_ih: Array | None
    w_hh: Array | None
    b_ih: Array | None
    b_hh: Array | None
    h0: Array | None
    c0: Array | None


def given(call: RecurrentCall, needs: tuple[str, ...]) -> set[str]:
    """The names in `needs` of arrays that the call had."""
    absent = {
        name
        for name, there in (
            ("b_ih", call.bias_ih),
            ("b_hh", call.bias_hh),
            ("h0", call.h0),
            ("c0", call.c0),
        )
        if not there
    }
    return set(needs) - absent


def time_major(call: RecurrentCall, a: Array) -> Array:
    """A contiguous T N ... array from one in the call's layout, and the other way round."""
    return np.ascontiguousarray(a.swapaxes(0, 1)) if call.batch_first else a


def terms(call: RecurrentCall) -> int:
    """The longest sum, over I, G H or N, through all steps."""
    t, n, i, h = call.sizes
    return t * max(n, i + call.gates * h)


def _draw_weights(name: str, bound: float) -> Draw:
    """Uniform on +-bound/sqrt(columns): sums near 1, and errors do not grow from step to step."""

    def draw(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
        sizes = case.arrays[name]
        return (rng.uniform(-bound, bound, sizes) / math.sqrt(sizes[1])).astype(dtype)

    return draw


def draw_lengths(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Lengths from 1 to T: the first full, the last 1."""
    steps = case.arrays["x"][1 if case.options.get("batch_first") else 0]
    lengths = rng.integers(1, steps + 1, case.arrays["lengths"])
    lengths[:1] = steps
    lengths[1:][-1:] = 1
    return lengths


DRAW: Mapping[str, Draw] = {
    "w_ih": _draw_weights("w_ih", 2),
    "w_hh": _draw_weights("w_hh", 1),
    "lengths": draw_lengths,
}


def rnn_cases() -> Iterator[Case]:
    """Cases of rnn."""
    yield from _cases(1, ({"nonlinearity": "relu"}, {"nonlinearity": "tanh"}), "h")


def lstm_cases() -> Iterator[Case]:
    """Cases of lstm."""
    yield from _cases(4, ({},), "hc")


def gru_cases() -> Iterator[Case]:
    """Cases of gru."""
    yield from _cases(3, ({"reset_after": False}, {"reset_after": True}), "h")


def _cases(gates: int, variants: tuple[dict[str, Any], ...], states: str) -> Iterator[Case]:
    """What every cell is tried on; T N I H differ, each variant of the cell several times."""

    def one(kind: Any, t: int, n: int, i: int, h: int, present: str = "", **options: Any) -> Case:
        arrays: dict[str, Any] = {"w_ih": shape(gates * h, i), "w_hh": shape(gates * h, h)}
        if "b" in present:
            arrays["b_ih"] = shape(gates * h)
        if "B" in present:
            arrays["b_hh"] = shape(gates * h)
        if "s" in present:
            arrays |= {f"{letter}0": shape(n, h) for letter in states}
        if "l" in present:
            arrays["lengths"] = shape(n)
        x = (n, t, i) if options.get("batch_first") else (t, n, i)
        return case(kind, x=shape(*x), **arrays, **options)

    for variant in variants:
        yield one("core", 5, 3, 4, 6, "bBsl", **variant)
        yield one("core", 5, 4, 3, 7, "bBsl", reverse=True, **variant)
        yield one("core", 2, 3, 5, 4, "s", **variant)
    odd = variants[-1]
    yield one("core", 1, 2, 3, 5, "bBs", **odd)
    yield one("core", 4, 3, 2, 5, "bBsl", batch_first=True, **odd)
    yield one("core", 5, 2, 4, 3, "bBs", batch_first=True, reverse=True, **odd)
    yield one("core", 3, 1, 2, 1, "bB", **odd)
    yield one("core", 2, 5, 1, 9, "b", reverse=True, **odd)
    yield one("core", 3, 2, 6, 4, "Bl", **odd)
    yield one("core", 3, 14, 5, 17, "bBs", **odd)
    yield one("edge", 1, 1, 1, 1, **odd)
    for variant in variants:
        yield one("edge", 4, 0, 3, 2, "bBs", **variant)
        yield one("edge", 2, 27, 3, 33, "bBsl", **variant)
        yield one("edge", 3, 2, 300, 5, "bB", **variant)
        yield one("edge", 2, 3, 4, 270, "s", **variant)
        yield one("edge", 9, 65, 2, 8, "bBsl", reverse=True, **variant)
    for name, source, t, n, i, h in (
        ("t150h128", "the peers' table", 150, 32, 3, 128),
        ("caption", "CS231n's captioning, one batch", 17, 25, 256, 512),
        ("stream", "one sequence, step after step", 64, 1, 64, 64),
    ):
        yield one("bench", t, n, i, h, "bB", **odd)._replace(name=name, source=source)


def recurrent_errors(gates: int, states: str) -> Iterator[Bad]:
    """Calls that must fail, for any cell; T N I H are 5 4 3 2."""
    f = np.float32
    x, w_ih, w_hh = np.ones((5, 4, 3), f), np.ones((gates * 2, 3), f), np.ones((gates * 2, 2), f)
    b, h0, lengths = np.ones(gates * 2, f), np.ones((4, 2), f), np.array([5, 1, 3, 2])
    k = {"x": x, "w_ih": w_ih, "w_hh": w_hh}
    rows = gates * 2
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 2 axes, shape \(4, 3\); it must be T N I")
    yield Bad({**k, "x": x[0], "batch_first": True}, ShapeError, r"x has 2 axes.*must be N T I")
    yield Bad({**k, "x": x[:0]}, ShapeError, r"T I = \(0, 3\).*at least 1")
    yield Bad({**k, "x": x[:, :, :0]}, ShapeError, r"T I = \(5, 0\).*at least 1")
    yield Bad({**k, "x": x[:, :, :2]}, ShapeError, rf"w_ih has shape \({rows}, 3\).*\({rows}, 2\)")
    yield Bad({**k, "w_ih": w_ih[1:]}, ShapeError, rf"w_ih has shape \({rows - 1}, 3\)")
    yield Bad({**k, "w_hh": b}, ShapeError, rf"w_hh has 1 axes, shape \({rows},\)")
    yield Bad({**k, "w_hh": w_hh[:, :0]}, ShapeError, r"w_hh has shape.*at least 1")
    yield Bad({**k, "w_hh": w_hh[:-1]}, ShapeError, rf"w_hh has shape \({rows - 1}, 2\).*H=2")
    yield Bad({**k, "b_ih": b[1:]}, ShapeError, rf"b_ih has shape \({rows - 1},\).*\({rows},\)")
    yield Bad({**k, "b_hh": b[:, None]}, ShapeError, rf"b_hh has shape \({rows}, 1\)")
    yield Bad({**k, "w_hh": w_hh.astype(float)}, DtypeError, r"x is float32 but w_hh is float64")
    yield Bad({**k, "x": x.astype(int)}, DtypeError, r"x has dtype int64")
    for letter in states:
        name = f"{letter}0"
        yield Bad({**k, name: h0[1:]}, ShapeError, rf"{name} has shape \(3, 2\).*\(4, 2\)")
        yield Bad({**k, name: h0[None]}, ShapeError, rf"{name} has shape \(1, 4, 2\)")
        yield Bad({**k, name: h0.astype(float)}, DtypeError, rf"{name} is float64")
    yield Bad({**k, "lengths": lengths[1:]}, ShapeError, r"lengths has shape \(3,\).*\(4,\)")
    yield Bad({**k, "lengths": lengths + 1}, ShapeError, r"lengths\[0\] is 6 but x has T=5")
    yield Bad({**k, "lengths": lengths - 2}, ShapeError, r"lengths\[1\] is -1.*from 0 to 5")
    yield Bad({**k, "lengths": lengths * 1.0}, DtypeError, r"lengths has dtype float64.*integer")
    yield Bad({**k, "reverse": 1}, DtypeError, r"reverse=1.*True or False")
    yield Bad({**k, "batch_first": "yes"}, DtypeError, r"batch_first='yes'.*True or False")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def rnn_errors() -> Iterator[Bad]:
    """Calls of rnn that must fail."""
    yield from recurrent_errors(1, "h")
    k = {"x": np.ones((2, 3, 1)), "w_ih": np.ones((4, 1)), "w_hh": np.ones((4, 4))}
    yield Bad({**k, "nonlinearity": "gelu"}, OptionError, r"nonlinearity='gelu'.*tanh, relu")


def lstm_errors() -> Iterator[Bad]:
    """Calls of lstm that must fail."""
    yield from recurrent_errors(4, "hc")


def gru_errors() -> Iterator[Bad]:
    """Calls of gru that must fail."""
    yield from recurrent_errors(3, "h")
    k = {"x": np.ones((2, 3, 1)), "w_ih": np.ones((12, 1)), "w_hh": np.ones((12, 4))}
    yield Bad({**k, "reset_after": 0}, DtypeError, r"reset_after=0.*True or False")
