"""Cases and bad calls of the losses that are a sum over elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.ops.pointwise_loss.spec import Array


def draw_unit(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Targets from 0 to 1, away from 0, where the logarithm has no slope."""
    target: Array = rng.uniform(0.05, 1.0, case.arrays["target"]).astype(dtype)
    return target


def draw_logs(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Logarithms of small probabilities: no divergence is near 0 by cancellation."""
    x: Array = rng.uniform(-6, -3, case.arrays["x"]).astype(dtype)
    return x


def _case(kind: Any, *sizes: int, **options: Any) -> Case:
    return case(kind, x=shape(*sizes), target=shape(*sizes), **options)


def _cases() -> Iterator[Case]:
    """What these losses have in common: the shapes and the reductions."""
    yield _case("core", 5, 3)
    yield _case("core", 5, 3, reduction="sum")
    yield _case("core", 5, 3, reduction="none")
    yield _case("core", 2, 3, 5, 7, reduction="none")
    yield _case("core", 17, 19, reduction="mean")
    yield _case("core", 1)
    yield _case("edge")
    yield _case("edge", reduction="none")
    for reduction in ("mean", "sum", "none"):
        yield _case("edge", 0, 4, reduction=reduction)
    for size in (2, 15, 16, 31, 33, 67):
        yield _case("edge", size, reduction="none")
    yield _case("edge", 2, 8193, reduction="sum")


def _bench(name: str, source: str, *sizes: int) -> Case:
    return _case("bench", *sizes, name=name, source=source)


def mse_loss_cases() -> Iterator[Case]:
    """Cases of mse_loss."""
    yield from _cases()
    yield _bench("autoencoder", "reconstruction of MNIST digits", 256, 784)


def l1_loss_cases() -> Iterator[Case]:
    """Cases of l1_loss."""
    yield from _cases()
    yield _bench("image", "super-resolution of 16 patches", 16, 3, 96, 96)


def huber_loss_cases() -> Iterator[Case]:
    """Cases of huber_loss."""
    yield from _cases()
    yield _case("core", 9, 7, delta=0.3)
    yield _case("core", 3, 21, delta=2.5, reduction="none")
    yield _bench("boxes", "box regression of Fast R-CNN", 2000, 84)


def binary_cross_entropy_with_logits_cases() -> Iterator[Case]:
    """Cases of binary_cross_entropy_with_logits; weights broadcast along every axis."""
    yield from _cases()
    yield _case("core", 6, 4, w=shape(6, 4))
    yield _case("core", 6, 4, pos_weight=shape(4), reduction="sum")
    yield _case("core", 7, 18, w=shape(7, 1), pos_weight=shape(18), reduction="none")
    yield _case("core", 3, 4, 5, w=shape(4, 1), pos_weight=shape(3, 4, 5))
    yield _case("edge", 3, 1, w=shape(1), pos_weight=shape(1))
    yield _bench("labels", "80 labels of COCO", 256, 80)


def kl_div_cases() -> Iterator[Case]:
    """Cases of kl_div."""
    yield from _cases()
    yield _case("core", 7, 18, log_target=True)
    yield _case("core", 7, 18, log_target=True, reduction="none")
    yield _case("core", 5, 3, 2, reduction="batchmean")
    yield _case("edge", 0, 3, reduction="batchmean")
    yield _bench("distil", "knowledge distillation on ImageNet", 128, 1000)


def _errors() -> Iterator[Bad]:
    """What all these losses refuse."""
    x = np.ones((4, 3), np.float32)
    t = np.zeros((4, 3), np.float32)
    k = {"x": x, "target": t}
    yield Bad({**k, "target": t[:3]}, ShapeError, r"target has shape \(3, 3\).*\(4, 3\)")
    yield Bad({**k, "target": t[:, :1]}, ShapeError, r"target has shape \(4, 1\).*\(4, 3\)")
    yield Bad({**k, "target": t.T}, ShapeError, r"target has shape \(3, 4\).*\(4, 3\)")
    yield Bad({**k, "x": x[0]}, ShapeError, r"target has shape \(4, 3\).*\(3,\)")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "target": t.astype(np.int32)}, DtypeError, r"target has dtype int32")
    yield Bad({**k, "target": t.astype(float)}, DtypeError, r"x is float32 but target is float64")
    yield Bad({**k, "target": np.ma.masked_equal(t, 1)}, DtypeError, r"target is a masked array")
    yield Bad({**k, "x": np.array(None)}, DtypeError, r"x has dtype object")
    yield Bad({**k, "reduction": "avg"}, OptionError, r"reduction='avg'.*mean, sum, none")
    yield Bad({**k, "reduction": None}, OptionError, r"reduction=None.*mean, sum, none")
    yield Bad({**k, "out": np.ones(4, np.float32)}, ShapeError, r"out has shape \(4,\).*\(\)")
    yield Bad({**k, "reduction": "none", "out": x[0]}, ShapeError, r"out has .*\(3,\).*\(4, 3\)")
    yield Bad({**k, "out": np.ones(())}, DtypeError, r"out is float64")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


mse_loss_errors = l1_loss_errors = _errors


def huber_loss_errors() -> Iterator[Bad]:
    """Calls of huber_loss that must fail."""
    yield from _errors()
    k = {"x": np.ones(3), "target": np.ones(3)}
    yield Bad({**k, "delta": 0}, OptionError, r"delta=0\.0.*positive")
    yield Bad({**k, "delta": np.inf}, OptionError, r"delta=inf.*positive")
    yield Bad({**k, "delta": None}, DtypeError, r"delta=None.*number")


def binary_cross_entropy_with_logits_errors() -> Iterator[Bad]:
    """Calls of binary_cross_entropy_with_logits that must fail."""
    yield from _errors()
    k = {"x": np.ones((4, 3)), "target": np.ones((4, 3))}
    w = np.ones(4)
    yield Bad({**k, "w": w}, ShapeError, r"w has shape \(4,\).*\(4, 3\)")
    yield Bad({**k, "w": w[None, :3, None]}, ShapeError, r"w has shape \(1, 3, 1\).*\(4, 3\)")
    yield Bad({**k, "pos_weight": w[:2]}, ShapeError, r"pos_weight has shape \(2,\).*\(4, 3\)")
    yield Bad({**k, "pos_weight": w[:3].astype("f4")}, DtypeError, r"pos_weight is float32")


def kl_div_errors() -> Iterator[Bad]:
    """Calls of kl_div that must fail."""
    yield from _errors()
    k = {"x": np.ones((4, 3)), "target": np.ones((4, 3))}
    yield Bad({**k, "log_target": 1}, DtypeError, r"log_target=1.*True or False")
    scalar = {"x": np.ones(()), "target": np.ones(()), "reduction": "batchmean"}
    yield Bad(scalar, ShapeError, r"x has 0 axes.*batchmean")
