"""What normalisation means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn._check import wide_dtype
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]


class NormCall(NamedTuple):
    """A batch normalisation without its numbers."""

    dtype: str
    x: tuple[int, ...]  # N C ...
    weight: bool
    bias: bool
    running: bool
    training: bool
    momentum: float  # weight of the new value
    unbiased: bool  # whether the running variance takes the unbiased one
    eps: float

    @property
    def out(self) -> tuple[int, ...]:
        """The shape of x."""
        return self.x

    @property
    def sizes(self) -> tuple[int, int, int]:
        """N C L, the axes after the second flattened."""
        return self.x[0], self.x[1], math.prod(self.x[2:])

    @property
    def values(self) -> int:
        """M, values per channel."""
        n, _, length = self.sizes
        return n * length

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """Per value one for the mean, three for the variance and four to normalise."""
        return (8 if self.training else 4) * math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x and the arrays of C numbers read once, y written once."""
        small = self.x[1] * (self.weight + self.bias + (2 + 2 * self.training) * self.running)
        return np.dtype(self.dtype).itemsize * (2 * math.prod(self.x) + small)


class NormGrads(NamedTuple):
    """Gradients of a normalisation; None where not needed or not there."""

    x: Array | None
    w: Array | None
    b: Array | None


def gain(call: NormCall, arguments: Mapping[str, Any]) -> float:
    """Of a channel's dx over its dy, before terms cancel."""
    x, w, var = arguments["x"], arguments.get("w"), arguments.get("running_var")
    if not x.size:
        return 1.0
    if call.training or var is None:
        var = x.reshape(call.sizes).var(axis=(0, 2))
    scale = 1.0 if w is None else float(np.abs(w).max(initial=0.0))
    return scale / math.sqrt(float(var.min()) + call.eps)


def statistics(
    call: NormCall, running_mean: Array | None, running_var: Array | None
) -> tuple[Array, Array]:
    """Mean and variance in float64: copies of the running ones, or, in training, to be filled."""
    if call.training or running_mean is None or running_var is None:
        return np.empty(call.x[1], wide_dtype(call.dtype)), np.empty(
            call.x[1], wide_dtype(call.dtype)
        )
    return running_mean.astype(np.float64), running_var.astype(np.float64)


def update_running(
    call: NormCall, running_mean: Array | None, running_var: Array | None, mean: Array, var: Array
) -> None:
    """In training, move running statistics, if there are any, towards the biased ones given."""
    if not call.training or call.empty or running_mean is None or running_var is None:
        return
    m = call.momentum
    running_mean[:] = (1 - m) * running_mean.astype(np.float64) + m * mean.real
    if call.unbiased:
        var = var * (call.values / (call.values - 1))
    running_var[:] = (1 - m) * running_var.astype(np.float64) + m * var.real


def terms(call: NormCall) -> int:
    """The longest sum: over the values of a channel."""
    return max(call.values, 1)


def draw_variance(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Positive numbers, for variances."""
    return rng.uniform(0.5, 2.0, case.arrays["running_var"]).astype(dtype)


def batch_norm_cases() -> Iterator[Case]:
    """Cases of batch_norm; N C L differ; training and evaluation, with and without each array."""
    yield _case("core", (6, 3), "wb", training=True)
    yield _case("core", (6, 3), "wbr")
    yield _case("core", (5, 4, 7), "wr", training=True, momentum=0.3)
    yield _case("core", (5, 4, 7), "br", eps=0.01)
    yield _case("core", (4, 5, 3, 2), "wbr", training=True)
    yield _case("core", (4, 5, 3, 2), "r")
    yield _case("core", (3, 2, 6, 5), "b", training=True, eps=0.1)
    yield _case("core", (2, 3, 1, 4, 5), "wbr", training=True, momentum=1.0)
    yield _case("core", (3, 37), "wbr", training=True)
    yield _case("core", (5, 3, 4), "wbr", training=True, momentum=0.9, convention="keras")
    yield _case("core", (1, 2, 67), "w", training=True)
    yield _case("core", (2, 1, 9), "", training=True)
    yield _case("edge", (0, 3, 4), "wbr", training=True)
    yield _case("edge", (0, 3), "wbr")
    yield _case("edge", (1, 1), "wbr")
    yield _case("edge", (2, 3), "wbr", training=True, momentum=0.0, eps=1.0)
    yield _case("edge", (1, 3, 2), "wbr", training=True, eps=1.0)
    yield _case("edge", (1, 3), "wbr", training=True, convention="keras", eps=1.0)
    yield _case("edge", (5, 300), "wbr", training=True)
    yield _case("edge", (1000, 3), "wbr", training=True)
    yield _case("edge", (3, 2, 4100), "wbr", training=True)
    yield _case("edge", (3, 70, 1, 1), "wbr", training=True)
    for name, source, x in (
        ("cifar", "the peers' table", (64, 32, 32, 32)),
        ("res56", "ResNet-50 conv2_x", (16, 64, 56, 56)),
        ("dense", "the peers' table", (128, 1024)),
    ):
        yield _case("bench", x, "wbr", name=name, source=source, training=True)
        yield _case("bench", x, "wbr", name=f"{name}_eval", source=source)


def _case(kind: Any, x: tuple[int, ...], present: str, **options: Any) -> Case:
    """A case with w, b and running statistics ("r") if they are in `present`."""
    per_channel = shape(x[1])
    arrays: dict[str, Any] = {letter: per_channel for letter in "wb" if letter in present}
    if "r" in present:
        arrays |= {"running_mean": per_channel, "running_var": per_channel}
    return case(kind, x=shape(*x), **arrays, **options)


def batch_norm_errors() -> Iterator[Bad]:
    """Calls of batch_norm that must fail."""
    x, c, d = np.ones((2, 4, 3), np.float32), np.ones(4, np.float32), np.ones(4, np.float32)
    frozen = np.ones(4, np.float32)
    frozen.flags.writeable = False
    k = {"x": x, "running_mean": c, "running_var": d}
    t = {**k, "training": True}
    yield Bad({**k, "x": x[0, 0]}, ShapeError, r"x has 1 axes, shape \(3,\).*N C")
    yield Bad({**k, "x": x[:, :, :0]}, ShapeError, r"\(4, 0\).*at least 1")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "w": c[:3]}, ShapeError, r"w has shape \(3,\).*C=4.*\(4,\)")
    yield Bad({**k, "b": c[:, None]}, ShapeError, r"b has shape \(4, 1\).*C=4")
    yield Bad({**k, "w": c.astype(np.float64)}, DtypeError, r"x is float32 but w is float64")
    yield Bad({**k, "running_mean": c[:2]}, ShapeError, r"running_mean has shape \(2,\).*C=4")
    yield Bad({**k, "running_var": d.astype(float)}, DtypeError, r"running_var is float64")
    yield Bad({"x": x}, OptionError, r"running_mean and running_var not given with training=False")
    yield Bad({**k, "running_var": None}, OptionError, r"running_var not given with training=False")
    yield Bad({**t, "running_mean": None}, OptionError, r"running_mean not given.*both or neither")
    yield Bad({**t, "x": x[:1, :, :1]}, ShapeError, r"shape \(1, 4, 1\), 1 value per channel.*2")
    yield Bad({"x": x[:1, :, 0], "training": True}, ShapeError, r"shape \(1, 4\), 1 value")
    yield Bad({**t, "running_mean": frozen}, ShapeError, r"running_mean is read-only")
    yield Bad({**t, "running_var": np.ones(8, np.float32)[::2]}, ShapeError, r"running_var.*\(8,\)")
    yield Bad({**t, "running_mean": c.astype(">f4")}, DtypeError, r"running_mean is >f4")
    yield Bad({**t, "running_mean": c.astype(float)}, DtypeError, r"running_mean is float64")
    yield Bad({**t, "running_mean": [0.0] * 4}, DtypeError, r"running_mean is list")
    yield Bad({**t, "running_var": c}, ShapeError, r"running_var shares memory")
    yield Bad({**t, "running_var": d[:3]}, ShapeError, r"running_var has shape \(3,\)")
    yield Bad({**t, "w": c}, ShapeError, r"running_mean shares memory")
    yield Bad({**t, "momentum": 1.5}, OptionError, r"momentum=1\.5.*0 to 1")
    yield Bad(
        {**t, "momentum": -0.1, "convention": "keras"}, OptionError, r"momentum=-0\.1.*0 to 1"
    )
    yield Bad({**t, "convention": "tf"}, OptionError, r"convention='tf'.*torch, keras")
    yield Bad({**t, "momentum": None}, DtypeError, r"momentum=None.*number")
    yield Bad({**t, "eps": 0}, OptionError, r"eps=0\.0.*positive")
    yield Bad({**t, "eps": float("nan")}, OptionError, r"eps=nan.*positive")
    yield Bad({**t, "training": 1}, DtypeError, r"training=1.*True or False")
    yield Bad({**t, "out": x[0]}, ShapeError, r"out has shape \(4, 3\).*\(2, 4, 3\)")
    yield Bad({**t, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
