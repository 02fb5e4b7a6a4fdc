"""What normalisation of rows means: sizes, costs, cases. No algorithm; the family imports it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.ops.norm.spec import NormGrads as NormGrads

Array = np.ndarray[Any, Any]


class RowCall(NamedTuple):
    """A layer, group, instance or RMS normalisation without its numbers.

    x is seen as N G K L: a row is what one (n, g) has, K channels of L numbers, and every (g, k)
    has a scale and a shift. Layer and RMS normalisation have G = L = 1, instance normalisation
    has K = 1.
    """

    dtype: str
    x: tuple[int, ...]
    sizes: tuple[int, int, int, int]  # N G K L
    affine: tuple[int, ...]  # the shape of w and b
    weight: bool
    bias: bool
    centred: bool  # whether the mean is subtracted
    eps: float

    @property
    def out(self) -> tuple[int, ...]:
        """The shape of x."""
        return self.x

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.sizes[0] * self.sizes[1]

    @property
    def values(self) -> int:
        """M, numbers per row."""
        return self.sizes[2] * self.sizes[3]

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.sizes[0] == 0

    @property
    def flops(self) -> int:
        """Per number one for the mean, three for the variance and four to normalise."""
        return (8 if self.centred else 4) * math.prod(self.x)

    @property
    def bytes(self) -> int:
        """x, w and b read once, y written once."""
        small = math.prod(self.affine) * (self.weight + self.bias)
        return np.dtype(self.dtype).itemsize * (2 * math.prod(self.x) + small)

    @property
    def workspace(self) -> int:
        """Scratch bytes of backward at most: 1 per number of x and two float64 per channel."""
        return math.prod(self.x) + 16 * math.prod(self.affine)


class RMSNormGrads(NamedTuple):
    """Gradients of an RMS normalisation; None where not needed or not there."""

    x: Array | None
    w: Array | None


def grads(
    call: RowCall, dx: Array | None, dw: Array | None, db: Array | None
) -> tuple[Array | None, ...]:
    """The gradients in the shapes of x, w and b; RMS normalisation has no b."""
    shapes = (call.x, call.affine, call.affine)
    given = (dx, dw, db) if call.centred else (dx, dw)
    return tuple(None if a is None else a.reshape(s) for a, s in zip(given, shapes, strict=False))


def terms(call: RowCall) -> int:
    """The longest sum: over the numbers of a row, or of a channel down the samples."""
    return max(call.values, call.sizes[0] * call.sizes[3])


def gain(call: RowCall, arguments: Mapping[str, Any]) -> float:
    """Of a row's dx over its dy, before terms cancel: a row of one number has inverse 316, dx 0."""
    if not math.prod(call.x):
        return 1.0
    rows = arguments["x"].reshape(call.rows, -1)
    squares = (rows - call.centred * rows.mean(axis=1, keepdims=True)) ** 2
    w = arguments.get("w")
    scale = 1.0 if w is None else float(np.abs(w).max(initial=0.0))
    return scale / math.sqrt(float(squares.mean(axis=1).min()) + call.eps)


def affine_maps(call: RowCall, w: Array | None, b: Array | None) -> tuple[Array, Array]:
    """Scales and shifts as [g, k], ones and zeros where there are none."""
    dtype, flat = np.dtype(call.dtype), call.sizes[1:3]
    return (
        np.ones(flat, dtype) if w is None else w.reshape(flat),
        np.zeros(flat, dtype) if b is None else b.reshape(flat),
    )


def _case(kind: Any, x: tuple[int, ...], w: tuple[int, ...], present: str, **options: Any) -> Case:
    """A case with w and b if they are in `present`."""
    affine: dict[str, Any] = {k: shape(*w) for k in present}
    return case(kind, x=shape(*x), **affine, **options)


def _trailing_cases(present: str, **always: Any) -> Iterator[Case]:
    """Cases over trailing axes, with the arrays `present` or fewer of them."""

    def one(kind: Any, x: tuple[int, ...], axes: int, chosen: str = "wb", **options: Any) -> Case:
        chosen = "".join(k for k in chosen if k in present)
        sizes = x[len(x) - axes :]
        return _case(
            kind, x, sizes, chosen, normalized_shape=options.pop("given", sizes), **options
        )

    yield one("core", (5, 7), 1, **always)
    yield one("core", (3, 4, 6), 2, eps=0.1)
    yield one("core", (2, 3, 5), 1, "w", given=5)
    yield one("core", (4, 33), 1, "b", given=[33], eps=0.01)
    yield one("core", (2, 3, 4, 5), 3)
    yield one("core", (67, 3), 1, "", eps=0.1)
    yield one("core", (11, 130), 1, eps=1e-3)
    yield one("core", (9,), 1, eps=0.5)
    yield one("edge", (0, 6), 1, eps=0.1)
    yield one("edge", (2, 0, 3, 4), 2, eps=0.1)
    yield one("edge", (4, 1), 1, eps=1.0)
    yield one("edge", (1, 1, 1), 1, eps=1.0)
    for size in (2, 8, 15, 16, 17, 31, 32, 63, 64, 65):
        yield one("edge", (5, size), 1, eps=0.1)
    yield one("edge", (3, 4097), 1)
    yield one("edge", (2, 9001), 1, "w")
    yield one("edge", (700, 5), 1, eps=0.1)
    yield one("edge", (300, 129), 1)  # sums of weights in chunks of rows
    for name, source, x in (
        ("bert", "BERT base, 16 sentences of 128 (arXiv 1810.04805)", (16, 128, 768)),
        ("wide", "Llama 7B, 512 tokens (arXiv 2302.13971)", (512, 4096)),
        ("short", "rows below a vector", (20000, 12)),
    ):
        yield one("bench", x, 1, name=name, source=source)


def layer_norm_cases() -> Iterator[Case]:
    """Cases of layer_norm: one to three axes, with and without w and b."""
    yield from _trailing_cases("wb")


def rms_norm_cases() -> Iterator[Case]:
    """Cases of rms_norm: those of layer_norm without b, and eps=None."""
    yield from _trailing_cases("w", eps=None)


def group_norm_cases() -> Iterator[Case]:
    """Cases of group_norm: N, G, C/G and L differ; short and long channels."""

    def one(kind: Any, x: tuple[int, ...], g: int, present: str = "wb", **options: Any) -> Case:
        return _case(kind, x, x[1:2], present, num_groups=g, **options)

    yield one("core", (3, 6, 5, 4), 2)
    yield one("core", (2, 6, 7), 3, "w", eps=0.1)
    yield one("core", (5, 8), 2, "b", eps=0.1)
    yield one("core", (2, 12, 3, 1, 2), 4, "", eps=0.01)
    yield one("core", (3, 4, 9, 8), 1)
    yield one("core", (2, 5, 67), 5)
    yield one("edge", (0, 6, 4), 3)
    yield one("edge", (2, 3), 3, eps=1.0)
    yield one("edge", (1, 1, 1), 1, eps=1.0)
    yield one("edge", (2, 140, 1), 2)
    yield one("edge", (2, 66, 2), 2, eps=0.1)
    for length in (31, 32, 33, 63, 64, 65):
        yield one("edge", (3, 4, length), 2)
    yield one("edge", (2, 2, 4100), 1)
    yield one("edge", (300, 4, 3), 2, eps=0.1)
    for name, source, x, g in (
        ("res56", "ResNet-50 conv2_x with G=32 (arXiv 1803.08494)", (8, 256, 56, 56), 32),
        ("cifar", "the peers' table", (64, 32, 32, 32), 8),
        ("late", "ResNet-50 conv5_x", (16, 512, 7, 7), 32),
    ):
        yield one("bench", x, g, name=name, source=source)


def instance_norm_cases() -> Iterator[Case]:
    """Cases of instance_norm: short and long channels."""

    def one(kind: Any, x: tuple[int, ...], present: str = "wb", **options: Any) -> Case:
        return _case(kind, x, x[1:2], present, **options)

    yield one("core", (3, 2, 5, 4))
    yield one("core", (2, 3, 7), "w", eps=0.1)
    yield one("core", (4, 5, 9), "b", eps=0.1)
    yield one("core", (2, 4, 3, 1, 2), "", eps=0.1)
    yield one("core", (3, 2, 9, 8))
    yield one("core", (2, 5, 131))
    yield one("edge", (0, 3, 4))
    yield one("edge", (3, 2, 1), eps=1.0)
    yield one("edge", (1, 1, 2), eps=1.0)
    yield one("edge", (1, 70, 3), eps=0.1)
    yield one("edge", (2, 3, 64))
    yield one("edge", (2, 2, 4100))
    yield one(
        "bench",
        (4, 64, 64, 64),
        name="style",
        source="fast style transfer (arXiv 1607.08022)",
    )


def _common_errors(k: dict[str, Any], bias: bool) -> Iterator[Bad]:
    """Calls that must fail for every operation; `k` is right and has w of three numbers."""
    x, w = k["x"], k["w"]
    yield Bad({**k, "x": x.astype(np.int32)}, DtypeError, r"x has dtype int32")
    yield Bad({**k, "w": w.astype(np.float64)}, DtypeError, r"x is float32 but w is float64")
    yield Bad({**k, "w": w[:2]}, ShapeError, r"w has shape \(2,\).*\(3,\)")
    yield Bad({**k, "w": w[:, None]}, ShapeError, r"w has shape \(3, 1\).*\(3,\)")
    if bias:
        yield Bad({**k, "b": w.astype(np.float64)}, DtypeError, r"x is float32 but b is float64")
        yield Bad({**k, "b": w[:1]}, ShapeError, r"b has shape \(1,\).*\(3,\)")
    yield Bad({**k, "eps": 0}, OptionError, r"eps=0\.0.*positive")
    yield Bad({**k, "eps": float("inf")}, OptionError, r"eps=inf.*positive and finite")
    yield Bad({**k, "eps": "1e-5"}, DtypeError, r"eps='1e-5'.*number")
    yield Bad({**k, "out": x[0]}, ShapeError, r"out has shape")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def _trailing_errors(bias: bool) -> Callable[[], Iterator[Bad]]:
    def errors() -> Iterator[Bad]:
        x, w = np.ones((2, 4, 3), np.float32), np.ones(3, np.float32)
        k = {"x": x, "normalized_shape": 3, "w": w}
        yield from _common_errors(k, bias)
        s = "normalized_shape"
        yield Bad({**k, s: 4}, ShapeError, r"shape \(2, 4, 3\).*normalized_shape=\(4,\).*last 1")
        yield Bad({**k, s: (2, 3)}, ShapeError, r"shape \(2, 4, 3\).*=\(2, 3\).*last 2 axes")
        yield Bad({**k, s: (1, 2, 4, 3)}, ShapeError, r"\(2, 4, 3\).*=\(1, 2, 4, 3\).*last 4")
        yield Bad({**k, s: ()}, ShapeError, r"normalized_shape=\(\).*at least 1 axis")
        yield Bad({**k, s: 0}, ShapeError, r"normalized_shape=0.*at least 1")
        yield Bad({**k, s: (4, -3)}, ShapeError, r"normalized_shape=-3.*at least 1")
        yield Bad({**k, s: 3.0}, DtypeError, r"normalized_shape=3\.0.*whole number")
        yield Bad({**k, s: (4, 3)}, ShapeError, r"w has shape \(3,\).*\(4, 3\)")
        yield Bad({**k, s: (3, 3), "x": w}, ShapeError, r"shape \(3,\).*=\(3, 3\)")

    return errors


layer_norm_errors = _trailing_errors(bias=True)
rms_norm_errors = _trailing_errors(bias=False)


def group_norm_errors() -> Iterator[Bad]:
    """Calls of group_norm that must fail."""
    x, w = np.ones((2, 3, 4), np.float32), np.ones(3, np.float32)
    k = {"x": x, "num_groups": 3, "w": w}
    yield from _common_errors(k, bias=True)
    yield Bad({**k, "num_groups": 2}, ShapeError, r"C=3 channels.*num_groups=2.*multiple")
    yield Bad({**k, "num_groups": 4}, ShapeError, r"C=3 channels.*num_groups=4.*multiple")
    yield Bad({**k, "num_groups": 0}, ShapeError, r"num_groups=0.*at least 1")
    yield Bad({**k, "num_groups": 1.0}, DtypeError, r"num_groups=1\.0.*whole number")
    yield Bad({**k, "x": x[0, 0]}, ShapeError, r"x has 1 axes, shape \(4,\).*N C \.\.\.")
    yield Bad({**k, "x": x[:, :, :0]}, ShapeError, r"\(3, 0\).*at least 1")
    yield Bad({**k, "x": x[:, :0]}, ShapeError, r"\(0, 4\).*at least 1")


def instance_norm_errors() -> Iterator[Bad]:
    """Calls of instance_norm that must fail."""
    x, w = np.ones((2, 3, 4), np.float32), np.ones(3, np.float32)
    k = {"x": x, "w": w}
    yield from _common_errors(k, bias=True)
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 2 axes, shape \(3, 4\).*N C L")
    yield Bad({**k, "x": x[:, :, :0]}, ShapeError, r"\(3, 0\).*at least 1")
    yield Bad({**k, "x": x[:, :2]}, ShapeError, r"w has shape \(3,\).*\(2,\)")
