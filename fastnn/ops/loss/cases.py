"""Cases and bad calls of the losses of scores against classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.ops.loss.spec import Array


def draw_labels(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Classes for the scores of the case; where the option is set, every third is ignored."""
    labels = rng.integers(0, case.arrays["x"][1], case.arrays["labels"])
    if "ignore_index" in case.options:
        labels.reshape(-1)[1::3] = case.options["ignore_index"]
    return labels


def draw_weight(name: str) -> Any:
    """How to draw positive weights called `name`."""

    def draw(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
        weights: Array = rng.uniform(0.5, 2.0, case.arrays[name]).astype(dtype)
        return weights

    return draw


def draw_probabilities(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Positive numbers that add up to 1 over the classes."""
    target: Array = rng.uniform(0.05, 1.0, case.arrays["target"])
    target /= target.sum(1, keepdims=True)
    return target.astype(dtype)


WEIGHTS = {"w": draw_weight("w"), "sample_weight": draw_weight("sample_weight")}


def _arrays(goal: str, present: str, n: int, c: int, *rest: int) -> dict[str, Any]:
    """x, labels or target, and w and sample_weight if "w" and "s" are in `present`."""
    arrays = {"x": shape(n, c, *rest)}
    arrays[goal] = shape(n, c, *rest) if goal == "target" else shape(n, *rest)
    if "w" in present:
        arrays["w"] = shape(c)
    if "s" in present:
        arrays["sample_weight"] = shape(n, *rest)
    return arrays


def _case(kind: Any, *sizes: int, present: str = "", **options: Any) -> Case:
    return case(kind, **_arrays("labels", present, *sizes), **options)


def _soft(kind: Any, *sizes: int, present: str = "", **options: Any) -> Case:
    return case(kind, **_arrays("target", present, *sizes), **options)


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
    yield _case("core", 6, 4, present="w")
    yield _case("core", 7, 5, present="s")
    yield _case("core", 8, 5, present="ws", ignore_index=-100, label_smoothing=0.1)
    yield _case("core", 7, 18, present="w", ignore_index=2, reduction="none")
    yield _case("core", 7, 18, label_smoothing=0.3, reduction="sum")
    yield _case("core", 3, 4, 2, 5, present="ws", ignore_index=-1)
    yield _case("core", 2, 5, 7, label_smoothing=1.0, reduction="none")
    for reduction in ("mean", "sum", "none"):
        yield _case("edge", 0, 4, reduction=reduction)
    yield _case("edge", 0, 4, 3, present="ws", reduction="none")
    yield _case("edge", 2, 4, 0, present="w", ignore_index=0)
    yield _case("edge", 6, 1, reduction="none")
    yield _case("edge", 700, 2, present="s")
    yield _case("edge", 3, 5003, reduction="none", label_smoothing=0.1)
    yield _case("bench", 100, 10, name="cifar", source="CS231n's two-layer net")
    yield _case("bench", 128, 1000, name="imagenet", source="ImageNet's classes")


def soft_cross_entropy_cases() -> Iterator[Case]:
    """Cases of soft_cross_entropy."""
    yield _soft("core", 5, 3)
    yield _soft("core", 5, 3, reduction="sum")
    yield _soft("core", 7, 18, present="w", reduction="none")
    yield _soft("core", 6, 4, present="s", label_smoothing=0.2)
    yield _soft("core", 17, 33, present="ws", label_smoothing=0.1)
    yield _soft("core", 3, 4, 2, 5, present="ws", reduction="none")
    yield _soft("core", 1, 1)
    for reduction in ("mean", "sum", "none"):
        yield _soft("edge", 0, 4, reduction=reduction)
    yield _soft("edge", 6, 1, reduction="none")
    yield _soft("edge", 700, 2, present="w")
    yield _soft("edge", 3, 5003, reduction="none")
    yield _soft("bench", 128, 1000, name="distil", source="knowledge distillation on ImageNet")


def multi_margin_loss_cases() -> Iterator[Case]:
    """Cases of multi_margin_loss."""
    yield _case("core", 5, 3)
    yield _case("core", 5, 3, divide_by_classes=False, reduction="sum")
    yield _case("core", 9, 18, p=2, reduction="none")
    yield _case("core", 17, 10, margin=0.5, present="w")
    yield _case("core", 3, 37, p=2, margin=2.0, present="w", divide_by_classes=False)
    yield _case("core", 70, 4, reduction="none")
    for reduction in ("mean", "sum", "none"):
        yield _case("edge", 0, 4, reduction=reduction)
    yield _case("edge", 6, 1, reduction="none")
    yield _case("edge", 1, 5003, present="w")
    yield _case("edge", 700, 2, p=2)
    yield _case("edge", 7, 16, margin=0.0)
    yield _case(
        "bench", 100, 10, divide_by_classes=False, name="svm", source="CS231n's linear classifier"
    )


def _common_errors(goal: str, k: dict[str, Any]) -> Iterator[Bad]:
    """What each of these losses refuses, from a good call `k` with x of 4 rows and 3 classes."""
    x, t = k["x"], k[goal]
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 1 axes, shape \(3,\).*N C")
    yield Bad({**k, "x": x[:, :0]}, ShapeError, r"x has shape C = \(0,\).*at least 1")
    yield Bad({**k, "x": x[:3]}, ShapeError, rf"{goal} has shape \(4,.*\).*\(3,.*\)")
    yield Bad({**k, goal: t[None]}, ShapeError, rf"{goal} has shape \(1, 4.*")
    yield Bad({**k, goal: 1 if goal == "labels" else t[0]}, ShapeError, rf"{goal} has shape \(")
    yield Bad({**k, goal: np.ma.masked_equal(t, 0)}, DtypeError, rf"{goal} is a masked array")
    yield Bad({**k, goal: t > 0}, DtypeError, rf"{goal} has dtype bool")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({**k, "w": np.ones(4, np.float32)}, ShapeError, r"w has shape \(4,\).*C=3")
    yield Bad({**k, "w": np.ones(3)}, DtypeError, r"x is float32 but w is float64")
    yield Bad({**k, "reduction": "avg"}, OptionError, r"reduction='avg'.*mean, sum, none")
    yield Bad({**k, "reduction": None}, OptionError, r"reduction=None.*mean, sum, none")
    yield Bad({**k, "out": np.ones(4, np.float32)}, ShapeError, r"out has shape \(4,\).*\(\)")
    yield Bad({**k, "out": np.ones(())}, DtypeError, r"out is float64")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def _label_errors(k: dict[str, Any]) -> Iterator[Bad]:
    """Labels that are none."""
    t = k["labels"]
    yield Bad({**k, "labels": t[:, None]}, ShapeError, r"labels has shape \(4, 1\)")
    yield Bad({**k, "labels": np.eye(3, dtype=int)[t]}, ShapeError, r"labels has shape \(4, 3\)")
    yield Bad({**k, "labels": t + 1}, ShapeError, r"labels\[1\] is 3 but x has C=3.*from 0 to 2")
    yield Bad({**k, "labels": [0, 1, -1, 0]}, ShapeError, r"labels\[2\] is -1 .*C=3")
    yield Bad(
        {**k, "labels": np.full(4, 2**64 - 1, np.uint64)}, ShapeError, r"18446744073709551615"
    )
    yield Bad({**k, "labels": t.astype(float)}, DtypeError, r"labels has dtype float64.*integer")


def _smoothing_errors(k: dict[str, Any]) -> Iterator[Bad]:
    """What both cross-entropies refuse besides."""
    s = np.ones(4, np.float32)
    yield Bad({**k, "sample_weight": s[:3]}, ShapeError, r"sample_weight has shape \(3,\).*\(4,\)")
    yield Bad({**k, "sample_weight": s.astype(float)}, DtypeError, r"sample_weight is float64")
    yield Bad({**k, "label_smoothing": 1.5}, OptionError, r"label_smoothing=1\.5.*0 to 1")
    yield Bad({**k, "label_smoothing": np.nan}, OptionError, r"label_smoothing=nan.*0 to 1")
    yield Bad({**k, "label_smoothing": None}, DtypeError, r"label_smoothing=None.*number")


def _good(goal: str) -> dict[str, Any]:
    t = np.array([0, 2, 1, 0])
    target = np.eye(3, dtype=np.float32)[t]
    return {"x": np.ones((4, 3), np.float32), goal: t if goal == "labels" else target}


def softmax_cross_entropy_errors() -> Iterator[Bad]:
    """Calls of softmax_cross_entropy that must fail."""
    k = _good("labels")
    yield from _common_errors("labels", k)
    yield from _label_errors(k)
    yield from _smoothing_errors(k)
    deep, t = np.ones((2, 3, 2), np.float32), np.array([[0, -100], [2, 7]])
    yield Bad({"x": deep, "labels": t}, ShapeError, r"labels\[1, 1\] is 7 but x has C=3")
    yield Bad({**k, "labels": [0, 1, -1, 0], "ignore_index": -2}, ShapeError, r"labels\[2\] is -1")
    yield Bad({**k, "ignore_index": 0.5}, DtypeError, r"ignore_index=0\.5.*whole number")
    yield Bad({**k, "ignore_index": -(2**40)}, ShapeError, r"ignore_index=-1099511627776")


def soft_cross_entropy_errors() -> Iterator[Bad]:
    """Calls of soft_cross_entropy that must fail."""
    k = _good("target")
    yield from _common_errors("target", k)
    yield from _smoothing_errors(k)
    yield Bad({**k, "target": k["target"].astype(float)}, DtypeError, r"target is float64")
    yield Bad({**k, "target": [0, 2, 1, 0]}, DtypeError, r"target has dtype int64")


def multi_margin_loss_errors() -> Iterator[Bad]:
    """Calls of multi_margin_loss that must fail."""
    k = _good("labels")
    yield from _common_errors("labels", k)
    yield from _label_errors(k)
    yield Bad({**k, "x": k["x"][:, :, None]}, ShapeError, r"x has 3 axes, shape \(4, 3, 1\).*N C")
    yield Bad({**k, "p": 3}, OptionError, r"p=3.*1 or 2")
    yield Bad({**k, "p": 1.0}, DtypeError, r"p=1\.0.*whole number")
    yield Bad({**k, "margin": "1"}, DtypeError, r"margin='1'.*number")
    yield Bad({**k, "margin": np.inf}, OptionError, r"margin=inf.*finite")
    yield Bad({**k, "divide_by_classes": 1}, DtypeError, r"divide_by_classes=1.*True or False")
