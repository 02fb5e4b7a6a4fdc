"""Metrics against values worked by hand, and scikit-learn if it is there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn import metrics
from fastnn.errors import DtypeError, OptionError, ShapeError

CASES = {
    "three classes": (np.array([2, 0, 2, 2, 0, 1, 1]), np.array([0, 0, 2, 2, 0, 2, 1])),
    "never predicted": (np.array([0, 1, 2, 2]), np.array([0, 0, 2, 2])),
    "never there": (np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2])),
    "all wrong": (np.array([0, 1]), np.array([1, 0])),
    "sparse labels": (np.array([7, -3, 7, 100]), np.array([7, 7, -3, 100])),
    "one class": (np.array([4, 4]), np.array([4, 4])),
}
cases = pytest.mark.parametrize("case", CASES)
zeros = pytest.mark.parametrize("zero", [0.0, 1.0, math.nan])


def test_accuracy_takes_labels_scores_and_probabilities():
    labels = np.array([0, 2, 1, 1])
    scores = np.array([[3.0, 1, 1], [0, 1, 2], [5, 0, 0], [0, 1, 0]])
    for y_true in (labels, np.eye(3)[labels]):
        for y_pred in (scores, scores.argmax(axis=1)):
            assert metrics.accuracy(y_true, y_pred) == 0.75
    steps = np.moveaxis(np.stack([scores, scores]), 2, 1)  # N C T
    assert metrics.accuracy(np.stack([labels, labels]), steps) == 0.75
    assert math.isnan(metrics.accuracy(labels[:0], labels[:0]))


def test_top_k_accuracy_by_hand():
    scores = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, 1]])
    labels = np.array([1, 3, 2])  # third, last, and second of equal ones, as the later come first
    assert [metrics.top_k_accuracy(labels, scores, k) for k in (1, 2, 3, 4)] == [0, 1 / 3, 2 / 3, 1]


def test_confusion_matrix_counts_rows_of_truth():
    y_true, y_pred = CASES["three classes"]
    expected = [[2, 0, 0], [0, 1, 1], [1, 0, 2]]
    np.testing.assert_array_equal(metrics.confusion_matrix(y_true, y_pred), expected)
    some = metrics.confusion_matrix(y_true, y_pred, labels=[2, 5, 0])
    np.testing.assert_array_equal(some, [[2, 0, 1], [0, 0, 0], [0, 0, 2]])
    assert metrics.confusion_matrix(y_true[:0], y_pred[:0]).shape == (0, 0)


def test_regression_figures_by_hand():
    y_true, y_pred = np.array([3.0, -0.5, 2.0, 7.0]), np.array([2.5, 0.0, 2.0, 8.0])
    assert metrics.mae(y_true, y_pred) == 0.5 and metrics.mse(y_true, y_pred) == 0.375
    assert metrics.r2(y_true, y_pred) == pytest.approx(1 - 1.5 / 29.1875)
    assert metrics.r2(np.ones(3), np.ones(3)) == 1 and metrics.r2(np.ones(3), np.arange(3.0)) == 0
    assert math.isnan(metrics.r2(y_true[:1], y_pred[:1]))
    big = np.full(5_000_000, 0.1, np.float32)
    assert metrics.mae(big, np.zeros_like(big)) == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.filterwarnings("ignore:A single label was found")
@cases
@zeros
def test_scores_and_report_equal_scikit_learns(case, zero):
    sk = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    y_true, y_pred = CASES[case]
    np.testing.assert_array_equal(
        metrics.confusion_matrix(y_true, y_pred), sk.confusion_matrix(y_true, y_pred)
    )
    assert metrics.accuracy(y_true, y_pred) == pytest.approx(sk.accuracy_score(y_true, y_pred))
    for labels in (None, sorted({*y_true.tolist(), *y_pred.tolist()})[:1], [100, 7, 2, 0]):
        wanted = sk.precision_recall_fscore_support(
            y_true, y_pred, labels=labels, zero_division=zero
        )
        found = metrics.precision_recall_f1(y_true, y_pred, labels=labels, zero_division=zero)
        np.testing.assert_allclose(found, wanted, rtol=1e-14)
        options = {"labels": labels, "zero_division": zero}
        wanted = sk.classification_report(y_true, y_pred, output_dict=True, **options)
        report = metrics.classification_report(y_true, y_pred, **options).to_dict()
        assert report.keys() == wanted.keys()
        for name, row in wanted.items():
            if name == "accuracy":
                assert report[name] == pytest.approx(row)
                continue
            for figure, value in row.items():
                assert report[name][figure] == pytest.approx(value, nan_ok=True), (name, figure)


def test_other_figures_equal_scikit_learns():
    sk = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 20, 3))
    a[:, 1] = 5.0
    for mine, theirs in (
        (metrics.mae, sk.mean_absolute_error),
        (metrics.mse, sk.mean_squared_error),
        (metrics.r2, sk.r2_score),
    ):
        assert mine(a, b) == pytest.approx(theirs(a, b), rel=1e-13)
    scores, labels = rng.integers(0, 3, (50, 6)).astype(float), rng.integers(0, 6, 50)
    for k in (1, 2, 5):
        wanted = sk.top_k_accuracy_score(labels, scores, k=k, labels=range(6))
        assert metrics.top_k_accuracy(labels, scores, k) == pytest.approx(wanted)


def test_the_report_prints_names_and_either_accuracy_or_a_micro_average():
    y_true, y_pred = CASES["three classes"]
    whole = metrics.classification_report(y_true, y_pred, names=["a", "b", "c"])
    text = str(whole)
    assert [
        line.split()[0] for line in text.splitlines()[2:]
    ] == "a b c accuracy macro weighted".split()
    part = metrics.classification_report(y_true, y_pred, labels=[0, 1])
    assert "micro avg" in str(part) and part.accuracy is None and "accuracy" not in str(part)
    assert "3 classes" in repr(whole)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: metrics.accuracy(np.arange(3), np.arange(4)), ShapeError, r"\(3,\).*\(4,\)"),
        (lambda: metrics.accuracy(np.arange(3), np.ones(3)), DtypeError, "y_pred has dtype float"),
        (lambda: metrics.accuracy(np.ones(3), np.ones(3)), ShapeError, "y_pred is float64"),
        (lambda: metrics.mse(np.ones(3), np.ones((3, 1))), ShapeError, r"\(3,\).*\(3, 1\)"),
        (
            lambda: metrics.top_k_accuracy(np.array([3]), np.ones((1, 3)), 1),
            ShapeError,
            r"y_true\[0\] is 3",
        ),
        (lambda: metrics.top_k_accuracy(np.array([1]), np.ones((1, 3)), 0), ShapeError, "k=0"),
        (
            lambda: metrics.confusion_matrix(np.arange(3), np.arange(3), labels=[1, 1]),
            OptionError,
            "labels=",
        ),
        (
            lambda: metrics.precision_recall_f1(np.arange(3), np.arange(3), zero_division=0.5),
            OptionError,
            "zero_division=0.5",
        ),
        (
            lambda: metrics.classification_report(np.arange(3), np.arange(3), names=["a"]),
            ShapeError,
            "1 names for 3 classes",
        ),
    ],
)
def test_errors_say_what_was_given(call, error, text):
    with pytest.raises(error, match=text):
        call()
