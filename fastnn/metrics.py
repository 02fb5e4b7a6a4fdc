"""Figures of merit: functions of (targets, predictions), with scikit-learn's order and conventions.

The first argument is the truth, the second what a model says. Where classes are compared, either
may be labels, or scores with one axis more, or probabilities: the largest along axis 1 counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import _check, _table
from fastnn.errors import DtypeError, OptionError, ShapeError

__all__ = [
    "ClassificationReport",
    "Scores",
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "mae",
    "mse",
    "precision_recall_f1",
    "r2",
    "top_k_accuracy",
]

Array = np.ndarray[Any, Any]


def accuracy(y_true: Array, y_pred: Array) -> float:
    """The share of samples whose class is right; NaN if there are none.

    Parameters
    ----------
    y_true
        Labels N ..., or probabilities N C ... such as one-hot rows.
    y_pred
        Labels N ..., or scores N C ...

    Raises
    ------
    DtypeError, ShapeError
        If the two cannot be compared.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.metrics import accuracy
    >>> accuracy(np.array([0, 2, 1]), np.array([[0.9, 0.1, 0], [0.2, 0.3, 0.5], [0.6, 0.4, 0]]))
    0.6666666666666666
    """
    true, pred = _classes("accuracy", y_true, y_pred)
    return float(np.mean(true == pred)) if true.size else math.nan


def top_k_accuracy(y_true: Array, y_score: Array, k: int = 5) -> float:
    """The share of samples whose class is among those of the `k` largest scores.

    Of equal scores the later class comes first, as in scikit-learn.

    Parameters
    ----------
    y_true
        Labels N.
    y_score
        Scores N C.
    k
        How many classes are looked at.

    Raises
    ------
    DtypeError, ShapeError
        If shapes do not fit or labels are not from 0 to C-1.
    """
    what = "top_k_accuracy"
    labels = _check.labels(what, "y_true", y_true)
    scores = np.asarray(y_score)
    _check.ndim(what, "y_score", scores, "N C")
    if labels.shape != scores.shape[:1]:
        raise ShapeError(
            f"{what}: y_true has shape {labels.shape} but y_score {scores.shape}; they must be N "
            "and N C"
        )
    k = _check.whole(what, "k", k, 1)
    _check.below(what, "y_true", labels, scores.shape[1], "C={}")
    own = np.take_along_axis(scores, labels[:, None], 1)
    later = np.arange(scores.shape[1]) > labels[:, None]
    ahead = (scores > own) | ((scores == own) & later)
    return float(np.mean(ahead.sum(axis=1) < k)) if labels.size else math.nan


def confusion_matrix(
    y_true: Array, y_pred: Array, *, labels: Sequence[int] | Array | None = None
) -> Array:
    """How often a sample of one class (row) was taken for one of another (column).

    Parameters
    ----------
    y_true, y_pred
        Labels or scores, see `accuracy`.
    labels
        The classes, in the order of the rows; all that occur, sorted, if not given. Samples of
        other classes or taken for such are left out.

    Returns
    -------
    counts : C C of int64

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.metrics import confusion_matrix
    >>> confusion_matrix(np.array([2, 0, 2, 2, 0, 1]), np.array([0, 0, 2, 2, 0, 2]))
    array([[2, 0, 0],
           [0, 0, 1],
           [1, 0, 2]])
    """
    what = "confusion_matrix"
    true, pred = _classes(what, y_true, y_pred)
    known = _known(what, labels, true, pred)
    n = len(known)
    rows, columns = _places(known, true), _places(known, pred)
    inside = (rows < n) & (columns < n)
    counts = np.bincount(rows[inside] * n + columns[inside], minlength=n * n)
    return counts.reshape(n, n).astype(np.int64, copy=False)


class Scores(NamedTuple):
    """Precision, recall, F1 and support per class."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


def precision_recall_f1(
    y_true: Array,
    y_pred: Array,
    *,
    labels: Sequence[int] | Array | None = None,
    zero_division: float = 0.0,
) -> Scores:
    """Precision, recall, their harmonic mean F1, and how many samples there are, per class.

    ::

        precision = TP / (TP + FP)    recall = TP / (TP + FN)    F1 = 2 TP / (2 TP + FP + FN)

    Parameters
    ----------
    y_true, y_pred
        Labels or scores, see `accuracy`.
    labels
        The classes, in order; all that occur, sorted, if not given.
    zero_division
        What stands for 0 / 0: 0, 1 or NaN.

    Raises
    ------
    DtypeError, ShapeError, OptionError
        If the two cannot be compared, or an option is not possible.
    """
    _, hits, taken, there = _counted("precision_recall_f1", y_true, y_pred, labels)
    return _scores("precision_recall_f1", hits, taken, there, zero_division)


class ClassificationReport:
    """Precision, recall, F1 and support per class, with averages; prints as a table.

    Attributes
    ----------
    names
        The classes' names.
    scores
        `Scores` of the classes, in their order.
    accuracy
        The share of right samples; None if `labels` left out a class that occurs.
    averages
        `Scores` of single numbers: "macro avg", the plain mean over classes, "weighted avg", that
        by support, and "micro avg", of all classes' counts together, in place of a missing
        accuracy.
    """

    def __init__(
        self,
        names: Sequence[str],
        scores: Scores,
        accuracy: float | None,
        averages: dict[str, Scores],
    ) -> None:
        self.names, self.scores = list(names), scores
        self.accuracy, self.averages = accuracy, averages

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, as scikit-learn's ``classification_report(..., output_dict=True)``."""
        per_class = zip(*self.scores, strict=True)
        found: dict[str, Any] = {
            name: _plain(row) for name, row in zip(self.names, per_class, strict=True)
        }
        if self.accuracy is not None:
            found["accuracy"] = self.accuracy
        return found | {name: _plain(row) for name, row in self.averages.items()}

    def __str__(self) -> str:
        rows = []
        for name, value in self.to_dict().items():
            if isinstance(value, float):
                support = int(np.sum(self.scores.support))
                rows.append([name, "", "", f"{value:.3f}", str(support)])
            else:
                *three, support = value.values()
                rows.append([name, *(f"{v:.3f}" for v in three), str(int(support))])
        header = ["", "precision", "recall", "f1-score", "support"]
        return _table.render(header, rows, right="rrrrr")

    def __repr__(self) -> str:
        return f"ClassificationReport({len(self.names)} classes, accuracy={self.accuracy})"


def classification_report(
    y_true: Array,
    y_pred: Array,
    *,
    labels: Sequence[int] | Array | None = None,
    names: Sequence[str] | None = None,
    zero_division: float = 0.0,
) -> ClassificationReport:
    """Precision, recall, F1 and support of every class, with their averages.

    Parameters
    ----------
    y_true, y_pred
        Labels or scores, see `accuracy`.
    labels
        The classes, in order; all that occur, sorted, if not given.
    names
        Their names; the labels if not given.
    zero_division
        What stands for 0 / 0: 0, 1 or NaN, which averages leave out.

    Raises
    ------
    DtypeError, ShapeError, OptionError
        If the two cannot be compared, or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.metrics import classification_report
    >>> y_true, y_pred = np.array([0, 1, 2, 2, 2]), np.array([0, 0, 2, 2, 1])
    >>> print(classification_report(y_true, y_pred, names=["cat", "dog", "owl"]))
                  precision  recall  f1-score  support
    ------------  ---------  ------  --------  -------
             cat      0.500   1.000     0.667        1
             dog      0.000   0.000     0.000        1
             owl      1.000   0.667     0.800        3
        accuracy                        0.600        5
       macro avg      0.500   0.556     0.489        5
    weighted avg      0.700   0.600     0.613        5
    """
    what = "classification_report"
    known, hits, taken, there = _counted(what, y_true, y_pred, labels)
    scores = _scores(what, hits, taken, there, zero_division)
    if names is None:
        names = [str(label) for label in known]
    if len(names) != len(known):
        raise ShapeError(f"{what}: {len(names)} names for {len(known)} classes; they must be equal")
    total = there.sum()
    true, pred = _classes(what, y_true, y_pred)
    right: float | None = accuracy(true, pred)
    averages = {}
    if not np.isin(true, known).all() or not np.isin(pred, known).all():
        right = None
        sums = [np.atleast_1d(a.sum()) for a in (hits, taken, there)]
        micro = _scores(what, sums[0], sums[1], sums[2], zero_division)
        averages["micro avg"] = Scores(*(a[0] for a in micro))
    equal = np.ones(len(known))
    for name, weights in (("macro avg", equal), ("weighted avg", there)):
        p, r, f = (np.array(_average(a, weights)) for a in scores[:3])
        averages[name] = Scores(p, r, f, total)
    return ClassificationReport(names, scores, right, averages)


def mae(y_true: Array, y_pred: Array) -> float:
    """The mean absolute error over all numbers."""
    true, pred = _numbers("mae", y_true, y_pred)
    return float(np.mean(np.abs(true - pred))) if true.size else math.nan


def mse(y_true: Array, y_pred: Array) -> float:
    """The mean squared error over all numbers."""
    true, pred = _numbers("mse", y_true, y_pred)
    return float(np.mean(np.square(true - pred))) if true.size else math.nan


def r2(y_true: Array, y_pred: Array) -> float:
    """The share of the targets' variance that is explained, the mean over outputs.

    ::

        1 - sum over n of (y_true - y_pred)**2 / sum over n of (y_true - mean of y_true)**2

    An output whose target is constant counts 1 if it is met exactly, else 0, as in scikit-learn.
    NaN for fewer than two samples.

    Parameters
    ----------
    y_true, y_pred
        N ..., of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.metrics import r2
    >>> r2(np.array([3.0, -0.5, 2.0, 7.0]), np.array([2.5, 0.0, 2.0, 8.0]))
    0.9486081370449679
    """
    true, pred = _numbers("r2", y_true, y_pred)
    if not true.ndim or len(true) < 2 or not true.size:
        return math.nan
    true, pred = true.reshape(len(true), -1), pred.reshape(len(pred), -1)
    rest = np.sum((true - pred) ** 2, axis=0)
    spread = np.sum((true - true.mean(axis=0)) ** 2, axis=0)
    met = np.where(rest == 0, 1.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(spread == 0, met, 1 - rest / spread)
    return float(each.mean())


# -- pieces --------------------------------------------------------------------------------------


def _classes(what: str, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Both as labels of the same shape."""
    true, pred = np.asarray(y_true), np.asarray(y_pred)
    if pred.ndim == true.ndim + 1 or (pred.shape == true.shape and true.dtype.kind == "f"):
        pred = _largest(what, "y_pred", pred)
    if true.dtype.kind == "f":
        true = _largest(what, "y_true", true)
    for name, a in (("y_true", true), ("y_pred", pred)):
        if a.dtype.kind not in "iub":
            raise DtypeError(
                f"{what}: {name} has dtype {a.dtype} and shape {a.shape}; it must be labels, or "
                "scores with an axis of classes after the samples"
            )
    if true.shape != pred.shape:
        raise ShapeError(
            f"{what}: y_true has labels of shape {true.shape} but y_pred {pred.shape}; they must "
            "be the same"
        )
    return true, pred


def _largest(what: str, name: str, a: Array) -> Array:
    if a.ndim < 2 or not a.shape[1]:
        raise ShapeError(
            f"{what}: {name} is {a.dtype} of shape {a.shape}; scores must be N C ..., C at least 1"
        )
    return np.asarray(a.argmax(axis=1))


def _known(what: str, labels: Any, true: Array, pred: Array) -> Array:
    """The classes in order."""
    if labels is None:
        return np.union1d(true, pred)
    known = np.asarray(labels)
    if known.ndim != 1 or known.dtype.kind not in "iub" or len(set(known.tolist())) < known.size:
        raise OptionError(f"{what}: labels={labels!r}; they must be different whole numbers")
    if not known.size:
        raise OptionError(f"{what}: labels is empty; it must name a class")
    return known


def _places(known: Array, labels: Array) -> Array:
    """Where each label stands in `known`, or its length for one that is not there."""
    order = np.argsort(known, kind="stable")
    spot = np.searchsorted(known, labels.reshape(-1), sorter=order).clip(max=len(known) - 1)
    if not len(known):  # nor labels
        return spot
    found = order[spot]
    return np.where(known[found] == labels.reshape(-1), found, len(known))


def _counted(what: str, y_true: Any, y_pred: Any, labels: Any) -> tuple[Array, Array, Array, Array]:
    """The classes; how often each was hit, was predicted, and was there."""
    true, pred = _classes(what, y_true, y_pred)
    known = _known(what, labels, true, pred)
    n = len(known)
    rows, columns = _places(known, true), _places(known, pred)

    def count(places: Array) -> Array:
        return np.bincount(places, minlength=n + 1)[:n]

    return known, count(rows[rows == columns]), count(columns), count(rows)


def _scores(what: str, hits: Array, taken: Array, there: Array, zero_division: float) -> Scores:
    if zero_division not in (0, 1) and not math.isnan(zero_division):
        raise OptionError(f"{what}: zero_division={zero_division!r}; it must be 0, 1 or NaN")

    def divided(a: Array, b: Array) -> Array:
        return np.where(b == 0, zero_division, a / np.maximum(b, 1))

    return Scores(
        divided(hits, taken), divided(hits, there), divided(2 * hits, taken + there), there
    )


def _average(a: Array, weights: Array) -> float:
    """The weighted mean of those that are numbers; the plain one if they have no weight."""
    there = ~np.isnan(a)
    if not there.any():
        return math.nan
    some = weights[there].any()
    return float(np.average(a[there], weights=weights[there] if some else None))


def _plain(row: Any) -> dict[str, float]:
    precision, recall, f1, support = (float(v) for v in row)
    return {"precision": precision, "recall": recall, "f1-score": f1, "support": support}


def _numbers(what: str, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Both in float64 and of one shape: (N,) and (N, 1) would be broadcast to N N in silence."""
    true, pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    if true.shape != pred.shape:
        raise ShapeError(
            f"{what}: y_true has shape {true.shape} but y_pred {pred.shape}; they must be the same"
        )
    return true, pred
