"""Cases and bad calls of resampling and padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError


def interpolate_cases() -> Iterator[Case]:
    """Cases of interpolate; sizes differ along every pair of axes that could be swapped."""
    two = {"mode": "bilinear"}
    yield case("core", x=shape(2, 3, 4, 5), size=(7, 6))
    yield case("core", x=shape(3, 2, 7, 6), size=(3, 5), mode="nearest")
    yield case("core", x=shape(2, 1, 3, 37), scale_factor=2, mode="nearest")
    yield case("core", x=shape(2, 3, 9), size=14)
    yield case("core", x=shape(2, 3, 5), scale_factor=2.5)
    yield case("core", x=shape(2, 3, 4, 5), scale_factor=2)
    yield case("core", x=shape(2, 1, 5, 4), scale_factor=(1.5, 0.5))
    yield case("core", x=shape(2, 3, 4, 5), size=(7, 11), **two)
    yield case("core", x=shape(2, 3, 7, 6), size=(3, 4), **two)
    yield case("core", x=shape(3, 2, 4, 5), scale_factor=(2, 3), **two)
    yield case("core", x=shape(2, 3, 5, 7), scale_factor=1.7, **two)
    yield case("core", x=shape(2, 3, 4, 5), size=(8, 9), align_corners=True, **two)
    yield case("core", x=shape(2, 3, 5, 4), scale_factor=0.6, align_corners=True, **two)
    yield case("core", x=shape(1, 1, 1, 1), size=(2, 3), **two)
    yield case("core", x=shape(2, 2, 3, 4), size=(6, 33), **two)
    yield case("edge", x=shape(0, 3, 6, 5), size=3)
    yield case("edge", x=shape(1, 2, 1, 70), size=(5, 300), **two)
    yield case("edge", x=shape(1, 2, 3, 300), size=(3, 520), align_corners=True, **two)
    yield case("edge", x=shape(2, 1, 9, 7), size=1, align_corners=True, **two)
    yield case("edge", x=shape(1, 1, 600), size=259)
    yield case("edge", x=shape(1, 300, 2, 2), scale_factor=2, **two)
    yield case(
        "bench",
        name="unet2x",
        source="U-Net (arXiv 1505.04597), the last step up",
        x=shape(2, 64, 128, 128),
        scale_factor=2,
        mode="bilinear",
    )
    yield case(
        "bench",
        name="fpn2x",
        source="Feature pyramid networks (arXiv 1612.03144), figure 3",
        x=shape(4, 256, 32, 32),
        scale_factor=2,
    )


def interpolate_errors() -> Iterator[Bad]:
    """Calls of interpolate that must fail."""
    x = np.ones((2, 3, 6, 5), np.float32)
    k = {"x": x, "size": (3, 4)}
    s = {"x": x, "scale_factor": 2}
    b = {**k, "mode": "bilinear"}
    yield Bad({**k, "x": x[0, 0]}, ShapeError, r"x has 2 axes, shape \(6, 5\).*N C H W or N C L")
    yield Bad({**b, "x": x[0]}, ShapeError, r"x has 3 axes, shape \(3, 6, 5\).*must be N C H W$")
    yield Bad({**k, "x": x[..., :0]}, ShapeError, r"x has shape C H W = \(3, 6, 0\).*at least 1")
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "size": (3, 4, 5)}, ShapeError, r"size=\(3, 4, 5\) has 3.*needs 2")
    yield Bad({**k, "size": 0}, ShapeError, r"size=0.*at least 1")
    yield Bad({**k, "size": 2.5}, DtypeError, r"size=2\.5.*whole number")
    yield Bad({"x": x}, OptionError, r"size=None and scale_factor=None.*one of them")
    yield Bad(
        {**k, "scale_factor": 2}, OptionError, r"size=\(3, 4\) and scale_factor=2.*one of them"
    )
    yield Bad({**s, "scale_factor": 0.1}, ShapeError, r"H=6 times 0\.1 is less than 1")
    yield Bad({**s, "scale_factor": -2}, OptionError, r"scale_factor=-2.*above 0")
    yield Bad({**s, "scale_factor": np.inf}, OptionError, r"scale_factor=inf.*above 0")
    yield Bad({**s, "scale_factor": 1e12}, ShapeError, r"H=6 times 1e\+12.*at most 2147483648")
    yield Bad(
        {**s, "scale_factor": (1, 2, 3)}, ShapeError, r"scale_factor=\(1, 2, 3\) has 3.*needs 2"
    )
    yield Bad({**s, "scale_factor": "2"}, DtypeError, r"scale_factor='2'.*number")
    yield Bad({**k, "mode": "cubic"}, OptionError, r"mode='cubic'.*nearest, bilinear")
    yield Bad({**k, "align_corners": True}, OptionError, r"align_corners=True.*mode='nearest'")
    yield Bad({**b, "align_corners": 1}, DtypeError, r"align_corners=1.*True or False")
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 6, 5\).*\(2, 3, 3, 4\)")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")


def pad_cases() -> Iterator[Case]:
    """Cases of pad; values are such that float32 has them exactly."""
    reflect, replicate = {"mode": "reflect"}, {"mode": "replicate"}
    yield case("core", x=shape(2, 3, 4, 5), padding=(1, 2))
    yield case("core", x=shape(2, 3, 4, 5), padding=(1, 2, 3, 0), value=-2.5)
    yield case("core", x=shape(3, 2, 5, 4), padding=(0, 0, 2, 1), mode="constant")
    yield case("core", x=shape(2, 3, 4, 5), padding=(0, 1, 2, 0, 1, 1, 0, 2), value=0.5)
    yield case("core", x=shape(2, 3, 4, 5), padding=(0, 0, 0, 0, 1, 2))
    yield case("core", x=shape(2, 3, 6), padding=(4, 5), **reflect)
    yield case("core", x=shape(2, 3, 4, 5), padding=(1, 2, 3, 0), **reflect)
    yield case("core", x=shape(3, 2, 5, 4), padding=(0, 0, 1, 4), **reflect)
    yield case("core", x=shape(2, 3, 6), padding=(4, 7), **replicate)
    yield case("core", x=shape(2, 3, 4, 5), padding=(1, 2, 3, 6), **replicate)
    yield case("core", x=shape(2, 3, 2, 3, 4), padding=(1, 1, 0, 2, 1, 0), **replicate)
    yield case("core", x=shape(2, 3), padding=(0, 0))
    yield case("core", x=shape(5), padding=(2, 1))
    yield case("core", x=shape(2, 3, 17, 37), padding=(3, 3, 3, 3), **reflect)
    yield case("edge", x=shape(0, 3, 6, 5), padding=(1, 1))
    yield case("edge", x=shape(0, 3), padding=(0, 0, 1, 2), value=1.0)
    yield case("edge", x=shape(2, 1, 1), padding=(3, 4, 5, 6), **replicate)
    yield case("edge", x=shape(1, 1, 1), padding=(0, 0, 0, 0), **reflect)
    yield case("edge", x=shape(3, 20000), padding=(1, 1))
    yield case("edge", x=shape(300, 2, 3), padding=(1, 1, 1, 1), **reflect)
    yield case(
        "bench",
        name="style",
        source="Johnson et al. (arXiv 1603.08155), supplement, table 1",
        x=shape(4, 32, 256, 256),
        padding=(4, 4, 4, 4),
        mode="reflect",
    )


def pad_errors() -> Iterator[Bad]:
    """Calls of pad that must fail."""
    x = np.ones((2, 3, 6, 5), np.float32)
    k = {"x": x, "padding": (1, 2)}
    r = {**k, "mode": "reflect"}
    yield Bad({**k, "x": x.astype(np.int64)}, DtypeError, r"x has dtype int64")
    yield Bad({**k, "x": x.astype(np.float16)}, DtypeError, r"x has dtype float16")
    yield Bad({**k, "padding": 1}, DtypeError, r"padding=1.*tuple")
    yield Bad({**k, "padding": (1, 2, 3)}, ShapeError, r"padding=\(1, 2, 3\) has 3 entries.*pair")
    yield Bad({**k, "padding": ()}, ShapeError, r"padding=\(\) has 0 entries.*pair")
    yield Bad({**k, "padding": (1,) * 10}, ShapeError, r"has 10 entries.*x has 4 axes.*at most 8")
    yield Bad({**k, "padding": (1, -1)}, ShapeError, r"padding=-1.*at least 0")
    yield Bad({**k, "padding": (1.0, 1)}, DtypeError, r"padding=1\.0.*whole number")
    yield Bad({**k, "padding": ((1, 2), (3, 4))}, DtypeError, r"padding=\(1, 2\).*whole number")
    yield Bad({**k, "mode": "circular"}, OptionError, r"mode='circular'.*reflect, replicate")
    yield Bad({**k, "value": "0"}, DtypeError, r"value='0'.*number")
    yield Bad({**r, "value": 1.0}, OptionError, r"value=1\.0 with mode='reflect'")
    yield Bad({**r, "padding": (1, 5)}, ShapeError, r"axis 3 has size 5.*\(1, 5\).*less than 5")
    yield Bad({**r, "padding": (0, 0, 6, 0)}, ShapeError, r"axis 2 has size 6.*\(6, 0\).*than 6")
    yield Bad(
        {**k, "x": x[..., :0], "mode": "replicate"}, ShapeError, r"axis 3 has size 0.*at least 1"
    )
    yield Bad({**k, "out": x}, ShapeError, r"out has shape \(2, 3, 6, 5\).*\(2, 3, 6, 8\)")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
