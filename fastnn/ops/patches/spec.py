"""What unfold and fold mean: sizes, costs, cases, and the convolution whose windows they move."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.ops.conv.spec import Array, ConvCall


class UnfoldCall(NamedTuple):
    """Windows between images and columns; unfold reads images, fold (`back`) columns."""

    dtype: str
    image: tuple[int, ...]  # N C H W
    window: tuple[int, ...]  # R S
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # (before, after) per axis
    dilation: tuple[int, ...]
    places: tuple[int, ...]  # P Q; follows from the rest
    back: bool

    @property
    def columns(self) -> tuple[int, ...]:
        """N, C R S, P Q."""
        n, c, *_ = self.image
        return n, c * math.prod(self.window), math.prod(self.places)

    @property
    def out(self) -> tuple[int, ...]:
        """Shape of the result."""
        return self.image if self.back else self.columns

    @property
    def conv(self) -> ConvCall:
        """The convolution that multiplies these columns, of one filter."""
        n, c, *_ = self.image
        return ConvCall(
            self.dtype,
            self.image,
            (1, c, *self.window),
            False,
            self.stride,
            self.padding,
            self.dilation,
            1,
            (n, 1, *self.places),
        )

    @property
    def empty(self) -> bool:
        """No samples."""
        return self.image[0] == 0

    @property
    def flops(self) -> int:
        """Fold adds every cell of the columns; unfold only moves."""
        return math.prod(self.columns) * self.back

    @property
    def bytes(self) -> int:
        """Image and columns once each."""
        return np.dtype(self.dtype).itemsize * (math.prod(self.image) + math.prod(self.columns))


class UnfoldGrads(NamedTuple):
    """Gradient of unfold or fold; None where not needed."""

    x: Array | None


def terms(call: UnfoldCall) -> int:
    """Every tap of a window may see the same pixel."""
    return math.prod(call.window)


# Image, window and options; fold's columns follow from them.
_CORE: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 3, 7, 5), {"kernel_size": (3, 2)}),
    ((3, 2, 9, 8), {"kernel_size": (2, 4), "stride": (3, 1), "padding": (1, 2)}),
    ((2, 5, 8, 11), {"kernel_size": 3, "dilation": (1, 2), "padding": ((1, 0), (2, 3))}),
    ((2, 2, 9, 7), {"kernel_size": 2, "stride": 2}),
    ((2, 3, 5, 4), {"kernel_size": 1, "stride": (2, 1)}),
    ((1, 1, 1, 1), {"kernel_size": 1}),
    ((1, 2, 13, 37), {"kernel_size": (3, 5), "stride": 2, "padding": 2, "dilation": 2}),
)
_EDGE: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    ((0, 3, 6, 5), {"kernel_size": (3, 2)}),
    ((1, 2, 3, 1), {"kernel_size": (2, 5), "padding": ((0, 0), (3, 4))}),
    ((2, 2, 9, 2), {"kernel_size": 2, "stride": (4, 5), "padding": (0, 3)}),
    ((1, 1, 2, 300), {"kernel_size": (1, 7), "padding": (0, 3)}),
)


def unfold_cases() -> Iterator[Case]:
    """Cases of unfold; sizes differ along every pair of axes that could be swapped."""
    for image, options in _CORE:
        yield case("core", x=shape(*image), **options)
    for image, options in _EDGE:
        yield case("edge", x=shape(*image), **options)
    options = {"kernel_size": 3, "padding": 1}
    yield case(
        "bench", name="res28", source="ResNet-50 conv3_x", x=shape(4, 128, 28, 28), **options
    )


def fold_cases() -> Iterator[Case]:
    """Cases of fold: the columns of unfold's cases back into their images."""
    from fastnn.ops.patches import unfold

    for one in unfold_cases():
        image = one.arrays["x"]
        columns = unfold.front(np.empty(image, np.float32), **one.options).call.out
        options = {"output_size": image[2:], **one.options}
        yield one._replace(arrays={"x": columns}, options=options)


def _errors(x: Array) -> Iterator[tuple[dict[str, Any], type[Exception], str]]:
    """Wrong options of either, for a window of 3 2 in 6 5."""
    yield {"kernel_size": 0}, ShapeError, r"kernel_size=0.*at least 1"
    yield {"kernel_size": (1, 2, 3)}, ShapeError, r"kernel_size=\(1, 2, 3\) has 3"
    yield {"kernel_size": 2.5}, DtypeError, r"kernel_size=2\.5.*whole number"
    yield {"stride": 0}, ShapeError, r"stride=0.*at least 1"
    yield {"stride": (1, 2, 3)}, ShapeError, r"stride=\(1, 2, 3\) has 3"
    yield {"padding": -1}, ShapeError, r"padding=-1.*at least 0"
    yield {"padding": "same"}, DtypeError, r"padding='same'.*whole number"
    yield {"dilation": (1, 0)}, ShapeError, r"dilation=0.*at least 1"
    yield {"kernel_size": (8, 1)}, ShapeError, r"H=6.*window spans 8"
    yield {"dilation": (1, 5)}, ShapeError, r"W=5.*window spans 6"
    yield {"x": x[0]}, ShapeError, rf"x has {x.ndim - 1} axes"
    yield {"x": x.astype(int)}, DtypeError, r"x has dtype int64"
    yield {"out": np.ones(3, np.float32)}, ShapeError, r"out has shape \(3,\)"
    yield {"out": np.ones((2, 3))}, DtypeError, r"out is float64"
    yield {"backend": "cuda"}, OptionError, r"'cuda' is unknown"


def unfold_errors() -> Iterator[Bad]:
    """Calls of unfold that must fail."""
    x = np.ones((2, 4, 6, 5), np.float32)
    for options, error, match in _errors(x):
        yield Bad({"x": x, "kernel_size": (3, 2)} | options, error, match)
    yield Bad({"x": x[:, :, :0], "kernel_size": 1, "padding": 1}, ShapeError, r"at least 1")


def fold_errors() -> Iterator[Bad]:
    """Calls of fold that must fail."""
    x = np.ones((2, 24, 16), np.float32)
    good = {"x": x, "output_size": (6, 5), "kernel_size": (3, 2)}
    for options, error, match in _errors(x):
        yield Bad(good | options, error, match)
    yield Bad(good | {"x": x[:, :23]}, ShapeError, r"23 rows.*windows of 6 .*multiple of 6")
    yield Bad(good | {"x": x[:, :, :15]}, ShapeError, r"15 columns.*\(4, 4\) places.*16")
    yield Bad(good | {"output_size": (6, 0)}, ShapeError, r"output_size=0.*at least 1")
    yield Bad(good | {"output_size": (6, 5, 4)}, ShapeError, r"has 3 entries")
    yield Bad(good | {"x": x[:, :0]}, ShapeError, r"x has shape .*\(0, 16\).*at least 1")
