"""Cases and bad calls of max-pooling and unpooling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.ops.pool.spec import Array


def max_pool2d_cases() -> Iterator[Case]:
    """Cases of max_pool2d; sizes differ along every pair of axes that could be swapped."""
    yield case("core", x=shape(2, 3, 8, 6), kernel_size=2)
    yield case("core", x=shape(2, 3, 9, 7), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0))
    yield case("core", x=shape(3, 2, 7, 10), kernel_size=3, stride=2, padding=1)
    yield case("core", x=shape(1, 4, 7, 9), kernel_size=(2, 3), ceil_mode=True)
    yield case("core", x=shape(2, 1, 8, 11), kernel_size=3, stride=2, padding=1, ceil_mode=True)
    yield case("core", x=shape(2, 3, 11, 13), kernel_size=(3, 2), stride=1, dilation=(2, 3))
    yield case("core", x=shape(1, 2, 6, 5), kernel_size=(2, 3), stride=1, padding=((1, 0), (0, 1)))
    yield case("core", x=shape(2, 3, 5, 4), kernel_size=1)
    yield case("core", x=shape(1, 1, 1, 1), kernel_size=1)
    yield case("core", x=shape(2, 3, 5, 4), kernel_size=(5, 4))
    yield case("core", x=shape(2, 3, 10, 9), kernel_size=2, stride=3, dilation=2, padding=1)
    yield case("core", x=shape(1, 2, 12, 17), kernel_size=4, stride=(1, 3), padding=2)
    yield case("edge", x=shape(0, 3, 6, 5), kernel_size=2)
    yield case("edge", x=shape(2, 2, 1, 1), kernel_size=2, dilation=4, padding=2)
    yield case(
        "edge", x=shape(1, 2, 1, 6), kernel_size=2, stride=1, dilation=(4, 1), padding=(2, 1)
    )
    yield case("edge", x=shape(1, 2, 4, 4), kernel_size=1, stride=5, ceil_mode=True)
    yield case("edge", x=shape(1, 2, 5, 3), kernel_size=2, stride=(4, 3), padding=1, ceil_mode=True)
    yield case("edge", x=shape(1, 1, 3, 300), kernel_size=(2, 3), stride=1, padding=1)
    yield case("edge", x=shape(1, 2, 2, 300), kernel_size=2)
    yield case(
        "edge", x=shape(2, 1, 2, 517), kernel_size=(1, 5), stride=3, dilation=2, padding=(0, 4)
    )
    yield case("edge", x=shape(1, 2, 17, 18), kernel_size=(15, 17), stride=1)
    yield case("edge", x=shape(1, 2, 20, 23), kernel_size=(16, 17), stride=(2, 3), padding=(8, 3))
    yield case("edge", x=shape(2, 1, 1, 270), kernel_size=(1, 256), stride=1, padding=(0, 1))
    yield case("edge", x=shape(1, 300, 3, 2), kernel_size=2, stride=1)
    # Rows shorter than a vector, in many planes or with rows that no window sees.
    yield case("edge", x=shape(2, 700, 7, 5), kernel_size=2)
    yield case("edge", x=shape(1, 900, 4, 10), kernel_size=2)
    yield case("edge", x=shape(3, 2, 15, 9), kernel_size=(3, 2), stride=(4, 2))
    yield case("edge", x=shape(2, 3, 12, 14), kernel_size=2, stride=(5, 2), dilation=(3, 1))
    yield case("edge", x=shape(2, 3, 6, 7), kernel_size=2, stride=(1, 2))
    peers = "the peers' table"
    yield _bench("seed_pool", "CS231n's timing cell", (100, 3, 32, 32), 2)
    yield _bench("cifar2x2", peers, (64, 32, 32, 32), 2)
    yield _bench("stem3x3", "ResNet-50's pool1", (16, 64, 112, 112), 3, stride=2, padding=1)


def _bench(name: str, source: str, x: tuple[int, ...], kernel_size: int, **options: Any) -> Case:
    return case("bench", name=name, source=source, x=shape(*x), kernel_size=kernel_size, **options)


def max_pool2d_errors() -> Iterator[Bad]:
    """Calls of max_pool2d that must fail."""
    x = np.ones((2, 3, 6, 5), np.float32)
    k = {"x": x, "kernel_size": 2}
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 3 axes, shape \(3, 6, 5\).*N C H W")
    yield Bad({**k, "x": x[..., :0]}, ShapeError, r"x has shape C H W = \(3, 6, 0\).*at least 1")
    yield Bad({**k, "x": x[:, :0]}, ShapeError, r"x has shape C H W = \(0, 6, 5\).*at least 1")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({**k, "kernel_size": 0}, ShapeError, r"kernel_size=0.*at least 1")
    yield Bad({**k, "kernel_size": 2.0}, DtypeError, r"kernel_size=2\.0.*whole number")
    yield Bad({**k, "kernel_size": None}, DtypeError, r"kernel_size=None.*whole number")
    yield Bad(
        {**k, "kernel_size": (2, 2, 2)}, ShapeError, r"kernel_size=\(2, 2, 2\) has 3.*needs 2"
    )
    yield Bad({**k, "kernel_size": 7}, ShapeError, r"H=6, padded by \(0, 0\) to 6.*spans 7")
    yield Bad({**k, "kernel_size": (2, 6)}, ShapeError, r"W=5.*spans 6")
    yield Bad({**k, "kernel_size": (2, 6), "ceil_mode": True}, ShapeError, r"W=5.*spans 6")
    yield Bad(
        {**k, "kernel_size": 2**16, "padding": 2**15}, ShapeError, r"4294967296 cells.*2147483648"
    )
    yield Bad({**k, "stride": 0}, ShapeError, r"stride=0.*at least 1")
    yield Bad({**k, "stride": (1,)}, ShapeError, r"stride=\(1,\) has 1")
    yield Bad({**k, "dilation": (1, 5)}, ShapeError, r"W=5.*spans 6")
    yield Bad({**k, "dilation": True}, DtypeError, r"dilation=True.*whole number")
    yield Bad({**k, "padding": 2}, ShapeError, r"padding of H is \(2, 2\).*spans 2.*half of it, 1")
    yield Bad({**k, "padding": (0, (0, 2))}, ShapeError, r"padding of W is \(0, 2\).*spans 2")
    yield Bad({**k, "padding": -1}, ShapeError, r"padding=-1.*at least 0")
    yield Bad({**k, "padding": "same"}, DtypeError, r"padding='same'.*whole number")
    yield Bad({**k, "ceil_mode": 1}, DtypeError, r"ceil_mode=1.*True or False")
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 6, 5\).*\(2, 3, 3, 2\)")
    yield Bad({**k, "out": np.ones((2, 3, 3, 2))}, DtypeError, r"out is float64")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def max_pool2d_with_indices_errors() -> Iterator[Bad]:
    """Those of max_pool2d, but there is no `out`."""
    return (bad for bad in max_pool2d_errors() if "out" not in bad.arguments)


def max_pool1d_cases() -> Iterator[Case]:
    """Cases of max_pool1d."""
    yield case("core", x=shape(2, 3, 8), kernel_size=2)
    yield case("core", x=shape(3, 2, 9), kernel_size=3, stride=1, padding=1)
    yield case("core", x=shape(2, 4, 11), kernel_size=(3,), stride=(2,), padding=((1, 0),))
    yield case("core", x=shape(2, 3, 10), kernel_size=3, stride=2, ceil_mode=True)
    yield case("core", x=shape(2, 3, 13), kernel_size=3, stride=1, dilation=2)
    yield case("core", x=shape(1, 1, 1), kernel_size=1)
    yield case("core", x=shape(2, 3, 37), kernel_size=5, stride=3, padding=2)
    yield case("core", x=shape(2, 3, 70), kernel_size=2, stride=1)
    yield case("edge", x=shape(0, 3, 8), kernel_size=2)
    yield case("edge", x=shape(2, 2, 1), kernel_size=2, dilation=4, padding=2)
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


def max_pool1d_errors() -> Iterator[Bad]:
    """Calls of max_pool1d that must fail."""
    x = np.ones((2, 3, 6), np.float32)
    k = {"x": x, "kernel_size": 2}
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 2 axes, shape \(3, 6\).*N C L")
    yield Bad({**k, "x": x[None]}, ShapeError, r"x has 4 axes, shape \(1, 2, 3, 6\).*N C L")
    yield Bad({**k, "x": x[..., :0]}, ShapeError, r"x has shape C L = \(3, 0\).*at least 1")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "kernel_size": 0}, ShapeError, r"kernel_size=0.*at least 1")
    yield Bad({**k, "kernel_size": 2.0}, DtypeError, r"kernel_size=2\.0.*whole number")
    yield Bad({**k, "kernel_size": (2, 2)}, ShapeError, r"kernel_size=\(2, 2\) has 2.*needs 1")
    yield Bad({**k, "kernel_size": 7}, ShapeError, r"L=6, padded by \(0, 0\) to 6.*spans 7")
    yield Bad({**k, "stride": 0}, ShapeError, r"stride=0.*at least 1")
    yield Bad({**k, "dilation": 6}, ShapeError, r"L=6.*spans 7")
    yield Bad({**k, "padding": 2}, ShapeError, r"padding of L is \(2, 2\).*spans 2.*half of it, 1")
    yield Bad({**k, "padding": -1}, ShapeError, r"padding=-1.*at least 0")
    yield Bad({**k, "ceil_mode": 1}, DtypeError, r"ceil_mode=1.*True or False")
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 6\).*\(2, 3, 3\)")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def max_unpool2d_cases() -> Iterator[Case]:
    """Cases of max_unpool2d."""
    yield _unpool("core", (2, 3, 4, 3), (8, 6))
    yield _unpool("core", (3, 2, 2, 5), (5, 11))
    yield _unpool("core", (2, 1, 3, 4), 7)
    yield _unpool("core", (1, 4, 5, 3), (5, 3))
    yield _unpool("core", (1, 1, 1, 1), (2, 3))
    yield _unpool("core", (2, 3, 6, 7), (13, 19))
    yield _unpool("core", (2, 3, 1, 9), (4, 4))
    yield _unpool("edge", (0, 3, 4, 3), (8, 6))
    yield _unpool("edge", (2, 2, 1, 1), 1)
    yield _unpool("edge", (1, 300, 2, 2), (3, 3))
    yield _unpool("edge", (1, 2, 17, 33), (35, 66))
    yield case(
        "bench",
        name="segnet",
        source="SegNet (arXiv 1511.00561), the last decoder",
        x=shape(4, 64, 112, 112),
        indices=shape(4, 64, 112, 112),
        output_size=(224, 224),
    )


def _unpool(kind: Any, x: tuple[int, ...], output_size: int | tuple[int, int]) -> Case:
    return case(kind, x=shape(*x), indices=shape(*x), output_size=output_size)


def draw_indices(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Different places in each plane, as max-pooling without overlap gives."""
    size = case.options["output_size"]
    cells = int(np.prod((size, size) if isinstance(size, int) else size))
    n, c, p, q = case.arrays["indices"]
    planes = [rng.permutation(cells)[: p * q] for _ in range(n * c)]
    return np.array(planes, np.int64).reshape(n, c, p, q)


def max_unpool2d_errors() -> Iterator[Bad]:
    """Calls of max_unpool2d that must fail."""
    x = np.ones((2, 3, 2, 2), np.float32)
    indices = np.arange(24).reshape(x.shape) % 20
    k = {"x": x, "indices": indices, "output_size": (4, 5)}
    yield Bad({**k, "x": x[0]}, ShapeError, r"x has 3 axes, shape \(3, 2, 2\).*N C P Q")
    yield Bad({**k, "x": x[:, :0]}, ShapeError, r"x has shape C P Q = \(0, 2, 2\).*at least 1")
    yield Bad({**k, "x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({**k, "indices": indices[:1]}, ShapeError, r"indices has shape \(1, 3, 2, 2\) but x")
    yield Bad({**k, "indices": indices[0]}, ShapeError, r"indices has shape \(3, 2, 2\) but x")
    yield Bad({**k, "indices": x}, DtypeError, r"indices has dtype float32.*integer")
    yield Bad({**k, "indices": indices > 0}, DtypeError, r"indices has dtype bool")
    yield Bad(
        {**k, "indices": indices - 1}, ShapeError, r"indices\[0, 0, 0, 0\] is -1.*20.*from 0 to 19"
    )
    yield Bad(
        {**k, "output_size": (4, 4)}, ShapeError, r"indices\[1, 1, 0, 0\] is 16.*from 0 to 15"
    )
    yield Bad({**k, "output_size": 0}, ShapeError, r"output_size=0.*at least 1")
    yield Bad(
        {**k, "output_size": (4, 5, 6)}, ShapeError, r"output_size=\(4, 5, 6\) has 3.*needs 2"
    )
    yield Bad({**k, "output_size": 4.5}, DtypeError, r"output_size=4\.5.*whole number")
    yield Bad({**k, "output_size": None}, DtypeError, r"output_size=None.*whole number")
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 2, 2\).*\(2, 3, 4, 5\)")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
