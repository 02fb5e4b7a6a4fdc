"""What a loss means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]

REDUCTIONS = ("mean", "sum", "none")


class LossCall(NamedTuple):
    """A loss of logits against classes without its numbers."""

    dtype: str
    x: tuple[int, ...]  # N C
    reduction: str

    @property
    def out(self) -> tuple[int, ...]:
        """One number, or N without reduction."""
        return self.x[:1] if self.reduction == "none" else ()

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """An exponential counts as one: with comparison, subtraction and sum, four per logit."""
        return 4 * math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x and labels read once, y written once."""
        sizes = math.prod(self.x) + math.prod(self.out)
        return np.dtype(self.dtype).itemsize * sizes + 8 * self.x[0]


class LossGrads(NamedTuple):
    """Gradient of a loss; None where not needed."""

    x: Array | None


def reduce(call: LossCall, loss: Array, out: Array | None) -> Array:
    """The result from the float64 losses of the rows, added up in float64."""
    y = np.empty(call.out, call.dtype) if out is None else out
    if call.reduction == "none":
        y[...] = loss
    elif call.reduction == "sum":
        y[...] = loss.sum()
    else:
        y[...] = loss.sum() / loss.size if loss.size else np.nan
    return y


def row_scale(call: LossCall, dy: Array) -> Array:
    """The gradient of each row's loss in float64: dy/N, dy or dy[n]."""
    scale = np.empty(call.x[0])
    scale[:] = dy
    if call.reduction == "mean":
        scale /= call.x[0] or 1
    return scale


def terms(call: LossCall) -> int:
    """The longest sum: over C, then over N."""
    return sum(call.x)


def draw_labels(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Classes for the logits of the case."""
    return rng.integers(0, case.arrays["x"][1], case.arrays["labels"])


def softmax_cross_entropy_cases() -> Iterator[Case]:
    """Cases of softmax_cross_entropy; sizes around whole vectors and whole tasks."""
    yield _case("core", 5, 3)
    yield _case("core", 5, 3, reduction="sum")
    yield _case("core", 5, 3, reduction="none")
    yield _case("core", 17, 10, reduction="mean")
    yield _case("core", 33, 7, reduction="none")
    yield _case("core", 1, 1)
    yield _case("core", 1, 19, reduction="none")
    yield _case("core", 9, 37, reduction="sum")
    yield _case("core", 16, 32)
    yield _case("edge", 0, 4)
    yield _case("edge", 0, 4, reduction="sum")
    yield _case("edge", 0, 4, reduction="none")
    yield _case("edge", 6, 1, reduction="none")
    yield _case("edge", 700, 2)
    yield _case("edge", 3, 5003, reduction="none")
    yield _bench("cifar", "CS231n's two-layer net", 100, 10)
    yield _bench("imagenet", "ImageNet's classes", 128, 1000)


def _case(kind: Any, n: int, c: int, **options: Any) -> Case:
    return case(kind, x=shape(n, c), labels=shape(n), **options)


def _bench(name: str, source: str, n: int, c: int) -> Case:
    return case("bench", name=name, source=source, x=shape(n, c), labels=shape(n))


def softmax_cross_entropy_errors() -> Iterator[Bad]:
    """Calls of softmax_cross_entropy that must fail."""
    x, t = np.ones((4, 3), np.float32), np.array([0, 2, 1, 0])
    k = {"x": x, "labels": t}
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 1 axes, shape \(3,\).*N C")
    yield Bad({**k, "x": x[None]}, ShapeError, r"x has 3 axes, shape \(1, 4, 3\).*N C")
    yield Bad({**k, "x": x[:, :0]}, ShapeError, r"x has shape C = \(0,\).*at least 1")
    yield Bad({**k, "x": x[:3]}, ShapeError, r"labels has shape \(4,\) but x has N=3.*\(3,\)")
    yield Bad({**k, "labels": t[:, None]}, ShapeError, r"labels has shape \(4, 1\).*N=4")
    yield Bad({**k, "labels": np.eye(3, dtype=int)[t]}, ShapeError, r"labels has shape \(4, 3\)")
    yield Bad({**k, "labels": 1}, ShapeError, r"labels has shape \(\)")
    yield Bad({**k, "labels": t + 1}, ShapeError, r"labels\[1\] is 3 but x has C=3.*from 0 to 2")
    yield Bad({**k, "labels": [0, 1, -1, 0]}, ShapeError, r"labels\[2\] is -1 .*C=3")
    yield Bad(
        {**k, "labels": np.full(4, 2**64 - 1, np.uint64)}, ShapeError, r"18446744073709551615"
    )
    yield Bad({**k, "labels": t.astype(float)}, DtypeError, r"labels has dtype float64.*integer")
    yield Bad({**k, "labels": t > 0}, DtypeError, r"labels has dtype bool")
    yield Bad({**k, "labels": np.ma.masked_equal(t, 0)}, DtypeError, r"labels is a masked array")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({**k, "reduction": "avg"}, OptionError, r"reduction='avg'.*mean, sum, none")
    yield Bad({**k, "reduction": None}, OptionError, r"reduction=None.*mean, sum, none")
    yield Bad({**k, "out": np.ones(4, np.float32)}, ShapeError, r"out has shape \(4,\).*\(\)")
    yield Bad({**k, "out": np.ones(())}, DtypeError, r"out is float64")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
