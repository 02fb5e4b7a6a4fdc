"""What a loss of scores against classes means: sizes, costs, weights. No algorithm."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastnn.ops.loss.reduction import REDUCTIONS as REDUCTIONS
from fastnn.ops.loss.reduction import finish as finish
from fastnn.ops.loss.reduction import loss_scale

Array = np.ndarray[Any, Any]


class LossCall(NamedTuple):
    """A loss of scores against classes without its numbers."""

    dtype: str
    x: tuple[int, ...]  # N C ...
    reduction: str
    soft: bool = False  # targets are probabilities, else labels
    weight: bool = False
    sample_weight: bool = False
    ignore_index: int = -1  # negative and no label: nothing is ignored
    label_smoothing: float = 0.0
    p: int = 1
    margin: float = 1.0
    divide_by_classes: bool = False

    @property
    def samples(self) -> tuple[int, ...]:
        """N ..., the shape of the labels: a loss each."""
        return (*self.x[:1], *self.x[2:])

    @property
    def rows(self) -> int:
        """How many losses."""
        return math.prod(self.samples)

    @property
    def out(self) -> tuple[int, ...]:
        """One number, or N ... without reduction."""
        return self.samples if self.reduction == "none" else ()

    @property
    def empty(self) -> bool:
        """No samples."""
        return 0 in self.x

    @property
    def flops(self) -> int:
        """An exponential counts as one: with comparison, subtraction and sum, four per score."""
        return 4 * math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x, targets and weights read once, y written once."""
        sizes = math.prod(self.x) * (1 + self.soft) + math.prod(self.out)
        sizes += self.weight * self.x[1] + self.sample_weight * self.rows
        return np.dtype(self.dtype).itemsize * sizes + 8 * self.rows * (not self.soft)


class LossGrads(NamedTuple):
    """Gradient of a loss against labels; None where not needed."""

    x: Array | None


class SoftLossGrads(NamedTuple):
    """Gradients of a loss against probabilities; None where not needed."""

    x: Array | None
    target: Array | None


def labels_or_target(call: LossCall, goal: Array) -> tuple[Array | None, Array | None]:
    """`goal` as labels, flat, or as rows of probabilities; the other is None."""
    if call.soft:
        return None, to_rows(call, goal)
    return goal if goal.ndim == 1 else goal.reshape(-1), None


def to_rows(call: LossCall, a: Array) -> Array:
    """`a`, N C ..., as rows of classes: a view if there are no axes after C, else a copy."""
    if a.ndim == 2:
        return a
    n, c = call.x[:2]
    rows = a.reshape(n, c, math.prod(call.x[2:])).transpose(0, 2, 1).reshape(call.rows, c)
    return np.ascontiguousarray(rows)


def from_rows(call: LossCall, rows: Array | None) -> Array | None:
    """Gradients of the rows as one of x; None stays None."""
    if rows is None or len(call.x) == 2:
        return rows
    n, c = call.x[:2]
    moved = rows.reshape(n, math.prod(call.x[2:]), c).transpose(0, 2, 1)
    return np.ascontiguousarray(moved).reshape(call.x)


def row_weights(
    call: LossCall, labels: Array | None, sample_weight: Array | None
) -> tuple[Array | None, Array | None]:
    """Which rows count and what their losses are multiplied by; None is all and by 1."""
    kept = None
    if labels is not None:
        kept = labels != call.ignore_index
        kept = None if kept.all() else kept
    if sample_weight is None:
        return kept, None
    weights = sample_weight.reshape(-1).astype(np.float64)
    if kept is not None:  # whatever the weight of an ignored row is, NaN too
        weights[~kept] = 0
    return kept, weights


def mean_divisor(
    call: LossCall,
    labels: Array | None,
    w: Array | None,
    kept: Array | None,
    weights: Array | None,
) -> float:
    """What the mean divides by: the weights of the rows that count, class weights of labels too."""
    if call.reduction != "mean":
        return 1.0
    if weights is None and (labels is None or w is None):
        return float(call.rows if kept is None else np.count_nonzero(kept))
    each = np.ones(call.rows) if weights is None else weights
    if labels is None or w is None:
        return float(each.sum())
    if kept is None:
        return float((each * w[labels]).sum())
    return float((each[kept] * w[labels[kept]]).sum())


class RowScale(NamedTuple):
    """How a row's loss counts, from forward to backward: its weight and the mean's divisor."""

    weights: Array | None
    divisor: float

    def weigh(self, losses: Array) -> Array:
        """The losses times their weights."""
        return losses if self.weights is None else losses * self.weights

    def gradients(self, call: LossCall, dy: Array) -> Array:
        """The gradient of each row's loss in float64."""
        scale = loss_scale(call, dy, self.divisor, call.rows)
        if self.weights is not None:
            scale *= self.weights
        return scale


def row_scale(
    call: LossCall, labels: Array | None, w: Array | None, sample_weight: Array | None
) -> RowScale:
    """The `RowScale` of a cross-entropy."""
    kept, weights = row_weights(call, labels, sample_weight)
    return RowScale(weights, mean_divisor(call, labels, w, kept, weights))


def margin_scale(call: LossCall, labels: Array, w: Array | None) -> RowScale:
    """The `RowScale` of a hinge loss: class weights scale a row, the mean divides by all rows."""
    weights = None if w is None else w[labels].astype(np.float64)
    divisor = float(call.rows if call.reduction == "mean" else 1)
    if call.divide_by_classes:
        weights = np.full(call.rows, 1.0) if weights is None else weights
        weights /= call.x[1]
    return RowScale(weights, divisor)


def terms(call: LossCall) -> int:
    """The longest sum: over C, then over the rows."""
    return call.x[1] + call.rows
