"""Cases and bad calls of adaptive and global pooling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError


def adaptive_cases() -> Iterator[Case]:
    """Cases of both adaptive poolings; windows that tile, overlap and repeat."""
    yield _case("core", (2, 3, 8, 6), (4, 3))
    yield _case("core", (2, 3, 7, 10), (3, 4))
    yield _case("core", (3, 2, 5, 4), (7, 9))
    yield _case("core", (2, 4, 9, 11), 1)
    yield _case("core", (1, 2, 6, 5), (None, 2))
    yield _case("core", (2, 1, 5, 7), (3, None))
    yield _case("core", (1, 1, 1, 1), (2, 3))
    yield _case("core", (2, 3, 13, 37), (5, 36))
    yield _case("core", (2, 2, 4, 66), (2, 33))
    yield _case("edge", (0, 3, 6, 5), 2)
    yield _case("edge", (1, 2, 1, 300), (1, 7))
    yield _case("edge", (1, 2, 70, 1), (9, 1))
    yield _case("edge", (1, 300, 3, 2), (2, 2))
    yield _case("edge", (1, 1, 40, 35), 1)
    yield _case("edge", (1, 1, 2, 530), (1, 265))
    yield case(
        "bench",
        name="vgg",
        source="torchvision's VGG on 256 x 256, before its classifier",
        x=shape(16, 512, 8, 8),
        output_size=7,
    )


def _case(kind: Any, x: tuple[int, ...], output_size: Any) -> Case:
    return case(kind, x=shape(*x), output_size=output_size)


def global_cases() -> Iterator[Case]:
    """Cases of both global poolings, with one to four spatial axes."""
    yield case("core", x=shape(2, 3, 7))
    yield case("core", x=shape(2, 3, 8, 6))
    yield case("core", x=shape(3, 2, 5, 7))
    yield case("core", x=shape(2, 4, 3, 5, 6))
    yield case("core", x=shape(2, 3, 2, 3, 4, 3))
    yield case("core", x=shape(1, 1, 1, 1))
    yield case("core", x=shape(2, 3, 17, 19))
    yield case("core", x=shape(4, 5, 7, 7))
    yield case("edge", x=shape(0, 3, 6, 5))
    yield case("edge", x=shape(1, 2, 4100))
    yield case("edge", x=shape(1, 300, 2, 1))
    yield case("edge", x=shape(2, 1, 63))
    yield case("bench", name="resnet", source="ResNet-50's last pooling", x=shape(32, 2048, 7, 7))


def adaptive_errors() -> Iterator[Bad]:
    """Calls of the adaptive poolings that must fail."""
    x = np.ones((2, 3, 6, 5), np.float32)
    k = {"x": x, "output_size": 2}
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 3 axes, shape \(3, 6, 5\).*N C H W")
    yield Bad({**k, "x": x[None]}, ShapeError, r"x has 5 axes, shape \(1, 2, 3, 6, 5\).*N C H W")
    yield Bad({**k, "x": x[..., :0]}, ShapeError, r"x has shape C H W = \(3, 6, 0\).*at least 1")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "x": np.ma.masked_equal(x, 0)}, DtypeError, r"x is a masked array")
    yield Bad({**k, "output_size": 0}, ShapeError, r"output_size=0.*at least 1")
    yield Bad({**k, "output_size": (2, -1)}, ShapeError, r"output_size=-1.*at least 1")
    yield Bad({**k, "output_size": 2.5}, DtypeError, r"output_size=2\.5.*whole number")
    yield Bad({**k, "output_size": True}, DtypeError, r"output_size=True.*whole number")
    yield Bad({**k, "output_size": (1, 2, 3)}, ShapeError, r"output_size=\(1, 2, 3\) has 3")
    yield Bad({**k, "output_size": ()}, ShapeError, r"output_size=\(\) has 0.*needs 2")
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 6, 5\).*\(2, 3, 2, 2\)")
    yield Bad({**k, "out": np.ones((2, 3, 2, 2))}, DtypeError, r"out is float64")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def global_errors() -> Iterator[Bad]:
    """Calls of the global poolings that must fail."""
    x = np.ones((2, 3, 6, 5), np.float32)
    yield Bad({"x": x[0, 0]}, ShapeError, r"x has 2 axes, shape \(6, 5\).*N C and at least one")
    yield Bad({"x": x[0, 0, 0]}, ShapeError, r"x has 1 axes, shape \(5,\).*N C and at least one")
    yield Bad({"x": x[:, :0]}, ShapeError, r"x has shape C \.\.\. = \(0, 6, 5\).*at least 1")
    yield Bad({"x": x[..., :0]}, ShapeError, r"x has shape C \.\.\. = \(3, 6, 0\).*at least 1")
    yield Bad({"x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({"x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({"x": x.astype(complex)}, DtypeError, r"x has dtype complex128")
    yield Bad({"x": np.ma.masked_equal(x, 0)}, DtypeError, r"x is a masked array")
    yield Bad({"x": x, "out": x}, ShapeError, r"out has shape \(2, 3, 6, 5\).*\(2, 3\)")
    yield Bad({"x": x, "out": np.ones((2, 3))}, DtypeError, r"out is float64")
    yield Bad({"x": x, "out": [1.0]}, DtypeError, r"out is list")
    yield Bad({"x": x, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
