"""Batch normalisation, written once for any number of spatial axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.errors import ShapeError
from fastnn.layers.base import Array, OpLayer, float_dtype


def check_axes(what: str, shape: tuple[int, ...], layouts: tuple[str, ...]) -> None:
    """A layer's x has as many axes as one of `layouts`, such as "N C H W", has letters."""
    if len(shape) not in [len(layout.split()) for layout in layouts]:
        raise ShapeError(
            f"{what}: x has {len(shape)} axes, shape {shape}; it must be " + " or ".join(layouts)
        )


class _BatchNorm(OpLayer):
    op: ClassVar[Op[..., Any, Any]] = ops.batch_norm
    _roles: ClassVar[Mapping[str, str]] = {"w": "weight", "b": "bias"}
    _layouts: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        convention: str = "torch",
        affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        what = type(self).__name__
        self.num_features = _check.whole(what, "num_features", num_features, 1)
        self.eps = _check.real(what, "eps", eps)
        self.momentum = _check.real(what, "momentum", momentum)
        self.convention = convention
        kind = float_dtype(what, dtype)
        if _check.flag(what, "affine", affine):
            self.add_parameter("weight", np.ones(self.num_features, kind))
            self.add_parameter("bias", np.zeros(self.num_features, kind))
        self.add_buffer("running_mean", np.zeros(self.num_features, kind))
        self.add_buffer("running_var", np.ones(self.num_features, kind))
        self.add_buffer("num_batches_tracked", np.zeros((), np.int64))
        self._check_options(self.num_features, dtype=kind)

    def _options(self) -> dict[str, Any]:
        return {
            "running_mean": self._buffers["running_mean"],
            "running_var": self._buffers["running_var"],
            "training": self.training,
            "momentum": self.momentum,
            "convention": self.convention,
            "eps": self.eps,
        }

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        check_axes(type(self).__name__, np.shape(x), self._layouts)
        result = super()._forward(x, save)
        if self.training:
            self._buffers["num_batches_tracked"] += 1
        return result

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        affine = "weight" in self._params
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={affine}"
        return text if self.convention == "torch" else f"{text}, convention={self.convention!r}"


class BatchNorm1d(_BatchNorm):
    """Normalise every channel over the batch and the positions, see `fastnn.batch_norm`.

    ::

        y[n,c,l] = weight[c] * (x[n,c,l] - mean[c]) / sqrt(var[c] + eps) + bias[c]

    ``x`` and ``y`` are N C or N C L; ``weight``, ``bias``, ``running_mean`` and ``running_var``
    are C. In training mode mean and (biased) variance are the batch's own, and ``running = (1 -
    momentum) * running + momentum * batch's`` with the unbiased variance; in evaluation mode they
    are the running ones, which `backward` takes as constants.

    Parameters
    ----------
    num_features
        C.
    eps
        Added to the variance.
    momentum
        The weight of the new value in the running statistics, see `convention`.
    convention
        "torch", or "keras" (CS231n's too): momentum is the weight of the old value, and the running
        variance takes the biased one. `fastnn.ops.norm.conventions` renames their parameters.
    affine
        Whether there are weight (ones at first) and bias (zeros).
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If an option is not possible or x has other axes or channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import BatchNorm1d
    >>> layer = BatchNorm1d(2, dtype=np.float64)
    >>> layer(np.array([[1.0, 10.0], [3.0, 30.0]])).round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> layer.buffers["running_mean"]
    array([0.2, 2. ])
    """

    _layouts = ("N C", "N C L")


class BatchNorm2d(_BatchNorm):
    """Normalise every channel over the batch and the pixels, see `fastnn.batch_norm`.

    ::

        y[n,c,h,w] = weight[c] * (x[n,c,h,w] - mean[c]) / sqrt(var[c] + eps) + bias[c]

    ``x`` and ``y`` are N C H W; all else is as in `BatchNorm1d`.

    Parameters
    ----------
    num_features
        C.
    eps
        Added to the variance.
    momentum
        The weight of the new value in the running statistics, see `convention`.
    convention
        "torch", or "keras" (CS231n's too): momentum is the weight of the old value, and the running
        variance takes the biased one. `fastnn.ops.norm.conventions` renames their parameters.
    affine
        Whether there are weight (ones at first) and bias (zeros).
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If an option is not possible or x has other axes or channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import BatchNorm2d
    >>> layer = BatchNorm2d(3).eval()
    >>> layer
    BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True)
    >>> layer(np.zeros((2, 3, 4, 5), np.float32)).shape
    (2, 3, 4, 5)
    """

    _layouts = ("N C H W",)
