"""What transposed convolution means: sizes, costs, cases, and the convolution behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.ops.conv import spec as conv_spec
from fastnn.ops.conv.spec import Array, ConvCall


class ConvTransposeCall(NamedTuple):
    """A transposed convolution without its numbers, for any number of spatial axes."""

    dtype: str
    x: tuple[int, ...]  # N C H W
    w: tuple[int, ...]  # C K/groups R S
    bias: bool
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # (before, after) per spatial axis, cut off the result
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    out: tuple[int, ...]  # N K P Q; follows from the rest

    @property
    def conv(self) -> ConvCall:
        """The convolution whose image is our result and whose result is our x.

        Its result may be smaller than its sizes say: an output padding of the stride or more, which
        a larger dilation allows, would give it further windows.
        """
        return ConvCall(
            self.dtype,
            self.out,
            self.w,
            False,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.x,
        )

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.x[0] == 0

    @property
    def flops(self) -> int:
        """Two per multiply-add, what falls outside counted as if it were inside."""
        return 2 * math.prod(self.x) * math.prod(self.w[1:])

    @property
    def bytes(self) -> int:
        """x, w and b read once, y written once."""
        sizes = math.prod(self.x) + math.prod(self.w) + math.prod(self.out)
        return np.dtype(self.dtype).itemsize * (sizes + self.bias * self.out[1])


def output_size(
    size: int, taps: int, stride: int, padding: tuple[int, int], extra: int, dilation: int
) -> int:
    """Cells that `size` windows reach, less the padding, and `extra` ones at the end."""
    return (size - 1) * stride - sum(padding) + dilation * (taps - 1) + extra + 1


def terms(call: ConvTransposeCall) -> int:
    """The longest sum, as in the convolution behind it."""
    return conv_spec.terms(call.conv)


def conv_transpose1d_cases() -> Iterator[Case]:
    """Cases of conv_transpose1d; sizes differ along every pair of axes that could be swapped."""
    yield case("core", x=shape(2, 3, 9), w=shape(3, 5, 4), b=shape(5), stride=2, padding=1)
    yield case("core", x=shape(3, 4, 11), w=shape(4, 3, 3), b=shape(6), groups=2)
    yield case("core", x=shape(2, 6, 37), w=shape(6, 1, 3), groups=6, padding=((2, 1),))
    yield case("core", x=shape(2, 4, 19), w=shape(4, 1, 5), b=shape(2), groups=2, stride=2)
    yield case("core", x=shape(2, 3, 6), w=shape(3, 4, 3), stride=3, output_padding=2, dilation=2)
    yield case("core", x=shape(2, 5, 7), w=shape(5, 3, 1), b=shape(3), dilation=3, output_padding=2)
    yield case("core", x=shape(1, 1, 1), w=shape(1, 1, 1), b=shape(1))
    yield case("edge", x=shape(0, 3, 6), w=shape(3, 4, 3), b=shape(4))
    yield case("edge", x=shape(1, 2, 1), w=shape(2, 3, 5), padding=((3, 1),))
    yield case("edge", x=shape(1, 3, 2), w=shape(3, 2, 2), stride=7, padding=4)
    yield case("edge", x=shape(1, 2, 120), w=shape(2, 1, 65), groups=2, padding=40, stride=3)
    yield _bench("upsample4", "MelGAN, last stage", (8, 64, 2048), (64, 32, 4), stride=2, padding=1)


def conv_transpose2d_cases() -> Iterator[Case]:
    """Cases of conv_transpose2d; sizes differ along every pair of axes that could be swapped."""
    yield case(
        "core", x=shape(2, 3, 5, 6), w=shape(3, 4, 4, 2), b=shape(4), stride=(2, 1), padding=(1, 0)
    )
    yield case("core", x=shape(3, 2, 6, 7), w=shape(2, 4, 3, 3), padding=1)
    yield case("core", x=shape(1, 4, 7, 5), w=shape(4, 3, 2, 3), b=shape(6), groups=2)
    yield case("core", x=shape(2, 6, 5, 9), w=shape(6, 1, 3, 2), groups=6, padding=((1, 0), (1, 1)))
    yield case(
        "core", x=shape(2, 6, 7, 11), w=shape(6, 1, 3, 4), b=shape(3), groups=3, stride=2, padding=1
    )
    yield case("core", x=shape(2, 3, 6, 4), w=shape(3, 5, 3, 2), b=shape(5), dilation=(2, 3))
    yield case(
        "core",
        x=shape(2, 3, 4, 5),
        w=shape(3, 4, 3, 3),
        stride=(2, 3),
        padding=1,
        output_padding=(1, 2),
    )
    yield case("core", x=shape(2, 5, 4, 6), w=shape(5, 3, 1, 1), b=shape(3), stride=(1, 2))
    yield case("core", x=shape(1, 1, 1, 1), w=shape(1, 1, 1, 1), b=shape(1))
    yield case("core", x=shape(1, 17, 9, 13), w=shape(17, 33, 3, 3), b=shape(33), padding=1)
    yield case("edge", x=shape(0, 3, 6, 5), w=shape(3, 4, 3, 2), b=shape(4))
    yield case("edge", x=shape(1, 2, 3, 2), w=shape(2, 3, 2, 5), dilation=(3, 2), output_padding=1)
    yield case("edge", x=shape(2, 2, 3, 2), w=shape(2, 2, 2, 2), stride=(4, 5), padding=(0, 3))
    yield case("edge", x=shape(1, 2, 40, 33), w=shape(2, 1, 4, 4), groups=2, stride=3, padding=9)
    yield _bench("dcgan", "DCGAN generator, stage 3", (16, 256, 8, 8), (256, 128, 4, 4))
    yield _bench("unet", "U-Net, up-convolution", (2, 128, 56, 56), (128, 64, 2, 2), padding=0)


def _bench(
    name: str,
    source: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    stride: int = 2,
    padding: int = 1,
) -> Case:
    arrays = {"x": shape(*x), "w": shape(*w), "b": shape(w[1])}
    return case("bench", name=name, source=source, **arrays, stride=stride, padding=padding)


def conv_transpose1d_errors() -> Iterator[Bad]:
    """Calls of conv_transpose1d that must fail."""
    x, w, b = (np.ones(s, np.float32) for s in ((2, 4, 5), (4, 6, 2), (6,)))
    yield from _errors(x, w, b)
    yield Bad({"x": x, "w": w, "stride": (1, 2)}, ShapeError, r"stride=\(1, 2\) has 2.*needs 1")
    yield Bad({"x": x[:, :, :1], "w": w, "padding": 1}, ShapeError, r"L would be 0.*at least 1")
    yield Bad({"x": x, "w": w, "out": np.ones((2, 6, 6))}, DtypeError, r"out is float64")


def _errors(x: Array, w: Array, b: Array) -> Iterator[Bad]:
    """What fails for any rank: x has 4 channels, w gives 6."""

    def bad(error: type[Exception], match: str, **changes: Any) -> Bad:
        return Bad({"x": x, "w": w} | changes, error, match)

    yield bad(ShapeError, rf"x has {x.ndim - 1} axes, shape \(4, ", x=x[0])
    yield bad(ShapeError, rf"w has {x.ndim - 1} axes", w=w[0])
    yield bad(ShapeError, r"x has C=3 channels but w takes 4; they must be the same", x=x[:, :3])
    yield bad(ShapeError, r"groups=3 .* C=4.*must divide", groups=3)
    yield bad(ShapeError, r"groups=0.*at least 1", groups=0)
    yield bad(ShapeError, r"b has shape \(5,\).*K=6.*\(6,\)", b=b[:5])
    yield bad(ShapeError, r"b has shape \(6,\).*K=12.*\(12,\)", b=b, groups=2)
    yield bad(DtypeError, r"x is float32 but w is float64", w=w.astype(np.float64))
    yield bad(DtypeError, r"x has dtype int64", x=x.astype(int))
    yield bad(ShapeError, r"stride=0.*at least 1", stride=0)
    yield bad(DtypeError, r"padding='same'.*whole number", padding="same")
    yield bad(ShapeError, r"padding=-1.*at least 0", padding=-1)
    yield bad(ShapeError, r"output_padding=1 .*stride=1 and dilation=1", output_padding=1)
    yield bad(ShapeError, r"output_padding=3 .*stride=2 and", output_padding=3, stride=2)
    yield bad(ShapeError, r"at least 1", w=w[..., :0])
    yield bad(ShapeError, r"out has shape \(6,\)", out=b)
    yield bad(OptionError, r"'cuda' is unknown", backend="cuda")


def conv_transpose2d_errors() -> Iterator[Bad]:
    """Calls of conv_transpose2d that must fail."""
    x, w, b = (np.ones(s, np.float32) for s in ((2, 4, 6, 5), (4, 6, 3, 2), (6,)))
    yield from _errors(x, w, b)
    yield Bad({"x": x, "w": w, "dilation": (1, 0)}, ShapeError, r"dilation=0.*at least 1")
    yield Bad({"x": x, "w": w, "padding": (4, 0)}, ShapeError, r"H would be 0.*padding \(4, 4\)")
    yield Bad({"x": x, "w": w, "padding": ((1, 2, 3), 0)}, ShapeError, r"\(1, 2, 3\).*before")
    yield Bad({"x": x, "w": w, "output_padding": (0, 0, 1)}, ShapeError, r"has 3 entries")
    yield Bad({"x": x, "w": w, "out": np.ones((2, 6, 8, 6))}, DtypeError, r"out is float64")
