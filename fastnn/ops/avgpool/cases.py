"""Cases and bad calls of average pooling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError


def avg_pool1d_cases() -> Iterator[Case]:
    """Cases of avg_pool1d."""
    yield case("core", x=shape(2, 3, 8), kernel_size=2)
    yield case("core", x=shape(3, 2, 9), kernel_size=3, stride=1, padding=1)
    yield case("core", x=shape(2, 4, 11), kernel_size=(3,), stride=(2,), padding=((1, 0),))
    yield case("core", x=shape(2, 3, 10), kernel_size=3, stride=2, padding=1, ceil_mode=True)
    yield case("core", x=shape(2, 3, 13), kernel_size=5, padding=2, count_include_pad=False)
    yield case("core", x=shape(1, 1, 1), kernel_size=1)
    yield case("core", x=shape(2, 3, 37), kernel_size=5, stride=3, padding=2)
    yield case("core", x=shape(2, 3, 70), kernel_size=2, stride=1)
    yield case("edge", x=shape(0, 3, 8), kernel_size=2)
    yield case("edge", x=shape(1, 2, 7), kernel_size=2, stride=4, padding=1, ceil_mode=True)
    yield case("edge", x=shape(1, 1, 1030), kernel_size=3, stride=2, padding=1)
    yield case("edge", x=shape(1, 2, 600), kernel_size=300, stride=7, padding=9)
    yield case("edge", x=shape(1, 300, 4), kernel_size=2, stride=5, ceil_mode=True)
    yield case(
        "bench",
        name="audio",
        source="Dai et al., arXiv 1610.00087, M5 after its first convolution",
        x=shape(16, 128, 8000),
        kernel_size=4,
    )


def avg_pool1d_errors() -> Iterator[Bad]:
    """Calls of avg_pool1d that must fail."""
    x = np.ones((2, 3, 6), np.float32)
    k = {"x": x, "kernel_size": 2}
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 2 axes, shape \(3, 6\).*N C L")
    yield Bad({**k, "x": x[..., None]}, ShapeError, r"x has 4 axes, shape \(2, 3, 6, 1\).*N C L")
    yield Bad({**k, "x": x[:, :0]}, ShapeError, r"x has shape C L = \(0, 6\).*at least 1")
    yield Bad({**k, "x": x.astype(np.int32)}, DtypeError, r"x has dtype int32")
    yield Bad({**k, "kernel_size": -2}, ShapeError, r"kernel_size=-2.*at least 1")
    yield Bad({**k, "kernel_size": "2"}, DtypeError, r"kernel_size='2'.*whole number")
    yield Bad({**k, "kernel_size": (2, 2)}, ShapeError, r"kernel_size=\(2, 2\) has 2.*needs 1")
    yield Bad({**k, "kernel_size": 7}, ShapeError, r"L=6, padded by \(0, 0\) to 6.*spans 7")
    yield Bad({**k, "stride": (1, 1)}, ShapeError, r"stride=\(1, 1\) has 2.*needs 1")
    yield Bad({**k, "padding": 2}, ShapeError, r"padding of L is \(2, 2\).*spans 2.*half of it, 1")
    yield Bad({**k, "padding": ((1, -1),)}, ShapeError, r"padding=-1.*at least 0")
    yield Bad({**k, "ceil_mode": 0}, DtypeError, r"ceil_mode=0.*True or False")
    yield Bad({**k, "count_include_pad": 1}, DtypeError, r"count_include_pad=1.*True or False")
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 6\).*\(2, 3, 3\)")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def avg_pool2d_cases() -> Iterator[Case]:
    """Cases of avg_pool2d; sizes differ along every pair of axes that could be swapped."""
    yield case("core", x=shape(2, 3, 8, 6), kernel_size=2)
    yield case("core", x=shape(2, 3, 9, 7), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0))
    yield case("core", x=shape(3, 2, 7, 10), kernel_size=3, stride=2, padding=1)
    yield case("core", x=shape(1, 4, 7, 9), kernel_size=(2, 3), ceil_mode=True)
    yield case("core", x=shape(2, 1, 8, 11), kernel_size=3, stride=2, padding=1, ceil_mode=True)
    yield case(
        "core",
        x=shape(2, 3, 8, 10),
        kernel_size=(4, 3),
        stride=3,
        padding=(2, 1),
        ceil_mode=True,
        count_include_pad=False,
    )
    yield case("core", x=shape(1, 2, 6, 5), kernel_size=(2, 3), stride=1, padding=((1, 0), (0, 1)))
    yield case("core", x=shape(2, 3, 5, 4), kernel_size=2, padding=1, divisor_override=3)
    yield case("core", x=shape(1, 1, 1, 1), kernel_size=1)
    yield case("core", x=shape(2, 3, 5, 4), kernel_size=(5, 4))
    yield case("core", x=shape(2, 3, 9, 67), kernel_size=3, stride=1, padding=1)
    yield case("core", x=shape(1, 2, 12, 41), kernel_size=(2, 4), stride=(1, 3), padding=1)
    yield case("edge", x=shape(0, 3, 6, 5), kernel_size=2)
    yield case("edge", x=shape(1, 2, 4, 4), kernel_size=1, stride=5, ceil_mode=True)
    yield case("edge", x=shape(1, 2, 5, 3), kernel_size=2, stride=(4, 3), padding=1, ceil_mode=True)
    yield case("edge", x=shape(1, 1, 3, 300), kernel_size=(2, 3), stride=1, padding=1)
    yield case("edge", x=shape(1, 2, 2, 300), kernel_size=2)
    yield case("edge", x=shape(2, 1, 2, 517), kernel_size=(1, 5), stride=3, padding=(0, 2))
    yield case("edge", x=shape(1, 2, 20, 23), kernel_size=(16, 17), stride=(2, 3), padding=(8, 3))
    yield case("edge", x=shape(1, 300, 3, 2), kernel_size=2, stride=1)
    yield case(
        "bench",
        name="cifar2x2",
        source="the peers' table of max-pooling",
        x=shape(64, 32, 32, 32),
        kernel_size=2,
    )
    yield case(
        "bench",
        name="inception3x3",
        source="Inception-v3 (arXiv 1512.00567), figure 5",
        x=shape(16, 192, 35, 35),
        kernel_size=3,
        stride=1,
        padding=1,
    )


def avg_pool2d_errors() -> Iterator[Bad]:
    """Calls of avg_pool2d that must fail."""
    x = np.ones((2, 3, 6, 5), np.float32)
    k = {"x": x, "kernel_size": 2}
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 3 axes, shape \(3, 6, 5\).*N C H W")
    yield Bad({**k, "x": x[..., :0]}, ShapeError, r"x has shape C H W = \(3, 6, 0\).*at least 1")
    yield Bad({**k, "x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({**k, "kernel_size": 0}, ShapeError, r"kernel_size=0.*at least 1")
    yield Bad({**k, "kernel_size": 2.0}, DtypeError, r"kernel_size=2\.0.*whole number")
    yield Bad({**k, "kernel_size": (2, 6)}, ShapeError, r"W=5.*spans 6")
    yield Bad({**k, "kernel_size": 7}, ShapeError, r"H=6, padded by \(0, 0\) to 6.*spans 7")
    yield Bad({**k, "stride": 0}, ShapeError, r"stride=0.*at least 1")
    yield Bad({**k, "stride": (1,)}, ShapeError, r"stride=\(1,\) has 1")
    yield Bad({**k, "padding": (0, (0, 2))}, ShapeError, r"padding of W is \(0, 2\).*spans 2")
    yield Bad({**k, "padding": "same"}, DtypeError, r"padding='same'.*whole number")
    yield Bad({**k, "ceil_mode": 1}, DtypeError, r"ceil_mode=1.*True or False")
    yield Bad({**k, "count_include_pad": None}, DtypeError, r"count_include_pad=None.*True or")
    yield Bad({**k, "divisor_override": 0}, ShapeError, r"divisor_override=0.*at least 1")
    yield Bad({**k, "divisor_override": 1.5}, DtypeError, r"divisor_override=1\.5.*whole number")
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 6, 5\).*\(2, 3, 3, 2\)")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
