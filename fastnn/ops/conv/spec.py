"""What convolution means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]


class ConvCall(NamedTuple):
    """A convolution without its numbers, for any number of spatial axes."""

    dtype: str
    x: tuple[int, ...]  # N C H W
    w: tuple[int, ...]  # K C/groups R S
    bias: bool
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # (before, after) per spatial axis
    dilation: tuple[int, ...]
    groups: int
    out: tuple[int, ...]  # N K P Q; follows from the rest, `conv_call` fills it in

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """Two per multiply-add, borders counted as if they were inside."""
        return 2 * math.prod(self.out) * math.prod(self.w[1:])

    @property
    def bytes(self) -> int:
        """x, w and b read once, y written once."""
        sizes = math.prod(self.x) + math.prod(self.w) + math.prod(self.out)
        return np.dtype(self.dtype).itemsize * (sizes + self.bias * self.w[0])


class ConvGrads(NamedTuple):
    """Gradients of a convolution; None where not needed or not there."""

    x: Array | None
    w: Array | None
    b: Array | None


def output_size(size: int, taps: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """Positions of a window along an axis: floor((size + pads - span) / stride) + 1."""
    return (size + sum(padding) - dilation * (taps - 1) - 1) // stride + 1


def conv_call(
    dtype: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    bias: bool,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> ConvCall:
    """The call with its result's shape, worked out once."""
    axes = zip(x[2:], w[2:], stride, padding, dilation, strict=True)
    out = (x[0], w[0], *(output_size(*axis) for axis in axes))
    return ConvCall(dtype, x, w, bias, stride, padding, dilation, groups, out)


def terms(call: ConvCall) -> int:
    """The longest sum: over C R S forward, over N P Q for dw."""
    n, _, *pq = call.out
    return max(math.prod(call.w[1:]), n * math.prod(pq), math.prod((call.w[0], *call.w[2:])))


def conv1d_cases() -> Iterator[Case]:
    """Cases of conv1d; sizes differ along every pair of axes that could be swapped."""
    yield case("core", x=shape(2, 3, 9), w=shape(5, 3, 4), b=shape(5), stride=2, padding=1)
    yield case("core", x=shape(3, 4, 11), w=shape(6, 2, 3), b=shape(6), groups=2, padding="same")
    yield case("core", x=shape(2, 6, 37), w=shape(6, 1, 3), groups=6, padding=((2, 1),))
    yield case("core", x=shape(3, 5, 40), w=shape(10, 1, 4), b=shape(10), groups=5, stride=2)
    yield case("core", x=shape(2, 3, 14), w=shape(4, 3, 3), dilation=4, padding="causal")
    yield case("core", x=shape(2, 4, 13), w=shape(3, 4, 2), b=shape(3), stride=3, padding="causal")
    yield case("core", x=shape(2, 5, 7), w=shape(3, 5, 1), padding="valid")
    yield case("core", x=shape(1, 1, 1), w=shape(1, 1, 1), b=shape(1))
    yield case("core", x=shape(1, 17, 70), w=shape(33, 17, 3), b=shape(33), padding=1)
    yield case("edge", x=shape(0, 3, 6), w=shape(4, 3, 3), b=shape(4))
    yield case("edge", x=shape(1, 2, 1), w=shape(3, 2, 5), padding=((3, 4),))
    yield case("edge", x=shape(2, 2, 9), w=shape(2, 2, 2), stride=5, padding=3)
    yield case("edge", x=shape(1, 1, 300), w=shape(1, 1, 65), b=shape(1), padding=40, stride=3)
    yield case("edge", x=shape(1, 400, 7), w=shape(25, 400, 2), b=shape(25))
    yield _bench("tcn", "Bai et al. 2018, TCN, one block", (16, 25, 400), (25, 25, 7), padding=6)
    yield _bench(
        "speech",
        "Jasper 10x5, block 1 separable",
        (16, 256, 400),
        (256, 1, 33),
        padding="same",
        groups=256,
    )


def conv2d_cases() -> Iterator[Case]:
    """Cases of conv2d; sizes differ along every pair of axes that could be swapped."""
    yield case(
        "core", x=shape(2, 3, 9, 8), w=shape(5, 3, 4, 2), b=shape(5), stride=(2, 1), padding=(1, 0)
    )
    yield case("core", x=shape(3, 2, 6, 7), w=shape(4, 2, 3, 3), padding=1)
    yield case(
        "core", x=shape(1, 4, 7, 11), w=shape(6, 2, 2, 3), b=shape(6), groups=2, padding="same"
    )
    yield case("core", x=shape(2, 6, 5, 9), w=shape(6, 1, 3, 2), groups=6, padding=((1, 0), (2, 1)))
    yield case(
        "core", x=shape(2, 3, 11, 13), w=shape(7, 3, 3, 2), b=shape(7), dilation=(2, 3), padding=2
    )
    yield case("core", x=shape(2, 5, 4, 6), w=shape(3, 5, 1, 1), b=shape(3))
    yield case("core", x=shape(2, 3, 8, 9), w=shape(4, 3, 1, 1), stride=(2, 3))
    yield case("core", x=shape(1, 1, 1, 1), w=shape(1, 1, 1, 1), b=shape(1))
    yield case("core", x=shape(1, 1, 5, 4), w=shape(2, 1, 5, 4), b=shape(2), padding="valid")
    yield case("core", x=shape(2, 3, 10, 12), w=shape(4, 3, 3, 3), stride=3, padding=2, dilation=2)
    yield case("core", x=shape(1, 17, 14, 19), w=shape(33, 17, 3, 3), b=shape(33), padding=1)
    yield case(
        "core",
        x=shape(2, 3, 13, 21),
        w=shape(6, 1, 3, 2),
        b=shape(6),
        stride=2,
        groups=3,
        padding=1,
    )
    yield case("core", x=shape(3, 4, 40, 18), w=shape(4, 1, 3, 5), groups=4, padding=(1, 2))
    yield case("core", x=shape(2, 19, 9, 13), w=shape(18, 19, 3, 3), b=shape(18), padding=(0, 2))
    yield case("core", x=shape(3, 6, 4, 5), w=shape(8, 3, 3, 3), groups=2, padding=((3, 1), (0, 4)))
    yield case("edge", x=shape(2, 5, 3, 3), w=shape(34, 5, 3, 3))
    yield case("edge", x=shape(1, 2, 1, 103), w=shape(3, 2, 3, 3), b=shape(3), padding=1)
    yield case("edge", x=shape(1, 3, 70, 2), w=shape(2, 3, 3, 3), padding=(2, 5))
    yield case("edge", x=shape(35, 2, 6, 7), w=shape(3, 2, 3, 3), padding="same")
    yield case("edge", x=shape(1, 70, 5, 6), w=shape(67, 70, 3, 3), padding=1)
    yield case("edge", x=shape(0, 3, 6, 5), w=shape(4, 3, 3, 2), b=shape(4))
    yield case("edge", x=shape(1, 2, 3, 1), w=shape(3, 2, 2, 5), padding=((0, 0), (3, 4)))
    yield case("edge", x=shape(2, 2, 9, 2), w=shape(2, 2, 2, 2), stride=(4, 5), padding=(0, 3))
    yield case("edge", x=shape(1, 1, 70, 3), w=shape(1, 1, 65, 2), b=shape(1), padding=(3, 1))
    yield case("edge", x=shape(5, 1, 2, 300), w=shape(13, 1, 1, 7), padding=(0, 3))
    yield case("edge", x=shape(1, 400, 3, 4), w=shape(25, 400, 2, 1), b=shape(25))
    yield case(
        "edge", x=shape(2, 3, 30, 26), w=shape(3, 1, 2, 3), groups=3, stride=(5, 3), dilation=(7, 4)
    )
    yield case(
        "edge", x=shape(2, 2, 3, 600), w=shape(4, 1, 1, 3), groups=2, padding=((0, 0), (4, 0))
    )
    yield case("edge", x=shape(2, 2, 150, 70), w=shape(2, 1, 9, 9), groups=2, padding=4)
    yield case("edge", x=shape(1, 2, 5, 7), w=shape(2, 1, 2, 2), groups=2, padding=6, stride=(1, 2))
    h, peers = "CS231n's timing cell (system H)", "the peers' table"
    yield _bench("seed_fast", h, (100, 3, 31, 31), (25, 3, 3, 3), stride=2, padding=1)
    yield _bench(
        "seed_3layer", "CS231n's ThreeLayerConvNet", (50, 3, 32, 32), (32, 3, 7, 7), padding=3
    )
    yield _bench("cifar5x5", peers, (64, 3, 32, 32), (32, 3, 5, 5), padding=2)
    yield _bench("cifar3x3b", peers, (64, 32, 32, 32), (16, 32, 3, 3), padding=1)
    yield _bench("chal2", peers, (64, 16, 16, 16), (32, 16, 3, 3), padding=1)
    yield _bench("chal3", peers, (64, 32, 8, 8), (64, 32, 3, 3), padding=1)
    yield _bench("res56", "ResNet-50 conv2_x", (16, 64, 56, 56), (64, 64, 3, 3), padding=1)
    yield _bench("res28", "ResNet-50 conv3_x", (16, 128, 28, 28), (128, 128, 3, 3), padding=1)
    yield _bench("res14", "ResNet-50 conv4_x", (16, 256, 14, 14), (256, 256, 3, 3), padding=1)
    yield _bench("res7", "ResNet-50 conv5_x", (16, 512, 7, 7), (512, 512, 3, 3), padding=1)
    yield _bench("stem7x7", "ResNet-50 conv1", (8, 3, 224, 224), (64, 3, 7, 7), stride=2, padding=3)
    yield _bench("pw14", "ResNet-50 conv4_x, last 1x1", (16, 256, 14, 14), (1024, 256, 1, 1))
    yield _bench(
        "dw28", "depthwise block", (16, 128, 28, 28), (128, 1, 3, 3), padding=1, groups=128
    )
    yield _bench(
        "b1res28", "ResNet-50 conv3_x, one image", (1, 128, 28, 28), (128, 128, 3, 3), padding=1
    )
    yield _bench(
        "down", "ResNet-50, strided 3x3", (16, 64, 56, 56), (128, 64, 3, 3), stride=2, padding=1
    )


def _bench(name: str, source: str, x: tuple[int, ...], w: tuple[int, ...], **options: Any) -> Case:
    return case(
        "bench", name=name, source=source, x=shape(*x), w=shape(*w), b=shape(w[0]), **options
    )


def conv1d_errors() -> Iterator[Bad]:
    """Calls of conv1d that must fail."""
    x, w, b = (np.ones(s, np.float32) for s in ((2, 4, 5), (6, 4, 2), (6,)))
    yield from _errors(x, w, b)
    yield Bad({"x": x, "w": w, "stride": (1, 2)}, ShapeError, r"stride=\(1, 2\) has 2.*needs 1")
    yield Bad({"x": x, "w": w, "padding": (1, 2)}, ShapeError, r"padding=\(1, 2\) has 2.*needs 1")
    yield Bad({"x": x, "w": w, "padding": "full"}, OptionError, r"same, valid, causal")
    yield Bad({"x": x, "w": w, "padding": "same", "stride": 2}, ShapeError, r"same.*stride=\(2,\)")
    yield Bad({"x": x, "w": w, "dilation": 5}, ShapeError, r"L=5.*window spans 6")
    yield Bad({"x": x[:, :, :0], "w": w, "padding": 3}, ShapeError, r"\(4, 0\); .*at least 1")
    yield Bad({"x": x, "w": w, "out": np.ones((2, 6, 4))}, DtypeError, r"out is float64")


def _errors(x: Array, w: Array, b: Array) -> Iterator[Bad]:
    """What fails for any rank: x has 4 channels, w 6 filters."""
    yield Bad({"x": x[0], "w": w}, ShapeError, rf"x has {x.ndim - 1} axes, shape \(4, ")
    yield Bad({"x": x, "w": w[0]}, ShapeError, rf"w has {x.ndim - 1} axes")
    yield Bad({"x": x[:, :3], "w": w}, ShapeError, r"x has C=3 .* w takes 4 .* C must be 4")
    yield Bad({"x": x, "w": w, "groups": 4}, ShapeError, r"groups=4.* C must be 16")
    yield Bad({"x": x, "w": w[:5, :2], "groups": 2}, ShapeError, r"K=5.*groups=2")
    yield Bad({"x": x, "w": w, "groups": 0}, ShapeError, r"groups=0.*at least 1")
    yield Bad({"x": x, "w": w, "b": b[:5]}, ShapeError, r"b has shape \(5,\).*\(6,\)")
    yield Bad({"x": x, "w": w, "b": b[:, None]}, ShapeError, r"b has shape \(6, 1\)")
    yield Bad({"x": x, "w": w.astype(np.float64)}, DtypeError, r"x is float32 but w is float64")
    yield Bad({"x": x.astype(int), "w": w}, DtypeError, r"x has dtype int64")
    yield Bad({"x": x, "w": w, "stride": 0}, ShapeError, r"stride=0.*at least 1")
    yield Bad({"x": x, "w": w, "stride": 1.5}, DtypeError, r"stride=1\.5.*whole number")
    yield Bad({"x": x, "w": w, "dilation": True}, DtypeError, r"dilation=True")
    yield Bad({"x": x, "w": w, "padding": -1}, ShapeError, r"padding=-1.*at least 0")
    yield Bad({"x": x, "w": w[..., :0]}, ShapeError, r"at least 1")
    yield Bad({"x": x, "w": w, "out": b}, ShapeError, r"out has shape \(6,\)")
    yield Bad({"x": x, "w": w, "out": [1.0]}, DtypeError, r"out is list")
    yield Bad({"x": x, "w": w, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def conv2d_errors() -> Iterator[Bad]:
    """Calls of conv2d that must fail."""
    x, w, b = (np.ones(s, np.float32) for s in ((2, 4, 6, 5), (6, 4, 3, 2), (6,)))
    yield from _errors(x, w, b)
    yield Bad({"x": x, "w": w.astype(np.float16)}, DtypeError, r"w has dtype float16")
    yield Bad({"x": x.astype(complex), "w": w}, DtypeError, r"x has dtype complex128")
    yield Bad({"x": x, "w": w, "stride": (1, 2, 3)}, ShapeError, r"stride=\(1, 2, 3\) has 3")
    yield Bad({"x": x, "w": w, "dilation": (1, 0)}, ShapeError, r"dilation=0.*at least 1")
    yield Bad({"x": x, "w": w, "padding": "causal"}, OptionError, r"'causal'.*same, valid$")
    yield Bad(
        {"x": x, "w": w, "padding": "same", "stride": 2}, ShapeError, r"same.*stride.*\(2, 2\)"
    )
    yield Bad(
        {"x": x, "w": w, "padding": ((1, 2, 3), 0)}, ShapeError, r"\(1, 2, 3\).*before, after"
    )
    yield Bad({"x": x[:, :, :2], "w": w}, ShapeError, r"H=2.*window.*3")
    yield Bad({"x": x, "w": w, "dilation": (1, 5)}, ShapeError, r"W=5.*window.*6")
    yield Bad({"x": x[:, :, :, :0], "w": w, "padding": 3}, ShapeError, r"at least 1")
    yield Bad({"x": x, "w": w[:, :, :0]}, ShapeError, r"at least 1")
    yield Bad({"x": x, "w": w, "out": np.ones((2, 6, 4, 4))}, DtypeError, r"out is float64")
