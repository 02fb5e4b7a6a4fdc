"""Layer, group, instance and RMS normalisation; none has running statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.errors import ShapeError
from fastnn.layers.base import Array, OpLayer, float_dtype
from fastnn.layers.norm import check_axes


class _RowNorm(OpLayer):
    """What they share: weight (ones at first) and bias (zeros), passed by name, and eps."""

    _roles: ClassVar[Mapping[str, str]] = {"w": "weight", "b": "bias"}
    _switch: ClassVar[str] = "affine"  # what the constructor calls it

    def _init(
        self, shape: tuple[int, ...], eps: float | None, affine: bool, bias: bool, dtype: DTypeLike
    ) -> np.dtype[Any]:
        """Set eps and add weight and bias of `shape`; the dtype as NumPy's."""
        what = type(self).__name__
        self.eps = None if eps is None else _check.real(what, "eps", eps)
        kind = float_dtype(what, dtype)
        if _check.flag(what, self._switch, affine):
            self.add_parameter("weight", np.ones(shape, kind))
            if "b" in self._roles and _check.flag(what, "bias", bias):
                self.add_parameter("bias", np.zeros(shape, kind))
        return kind

    def _operands(self) -> list[Array | None]:
        return []

    def _options(self) -> dict[str, Any]:
        arrays = {k: self._params.get(name) for k, name in self._roles.items()}
        return {**arrays, "eps": self.eps}

    @property
    def _affine(self) -> bool:
        return "weight" in self._params


class _TrailingNorm(_RowNorm):
    """Normalisation over the last axes."""

    _switch = "elementwise_affine"
    normalized_shape: tuple[int, ...]

    def _init_shape(self, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
        sizes = normalized_shape
        shape = tuple(sizes) if isinstance(sizes, tuple | list) else (sizes,)
        what = type(self).__name__
        if not shape:
            raise ShapeError(f"{what}: normalized_shape={sizes!r}; it must name at least 1 axis")
        self.normalized_shape = tuple(_check.whole(what, "normalized_shape", s, 1) for s in shape)
        return self.normalized_shape

    def _options(self) -> dict[str, Any]:
        return {"normalized_shape": self.normalized_shape, **super()._options()}


class LayerNorm(_TrailingNorm):
    """Normalise over the last axes of every sample, see `fastnn.layer_norm`.

    ::

        y[...,i] = weight[i] * (x[...,i] - mean[...]) / sqrt(var[...] + eps) + bias[i]

    with i over the axes of `normalized_shape`; ``weight`` and ``bias`` have that shape.

    Parameters
    ----------
    normalized_shape
        Sizes of the last axes of x, a whole number for one axis.
    eps
        Added to the variance.
    elementwise_affine
        Whether there are weight (ones at first) and bias (zeros).
    bias
        Whether there is a bias beside the weight.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If an option is not possible or x has other last axes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import LayerNorm
    >>> LayerNorm(2, dtype=np.float64)(np.array([[1.0, 3.0], [10.0, 30.0]])).round(3)
    array([[-1.,  1.],
           [-1.,  1.]])
    """

    op: ClassVar[Op[..., Any, Any]] = ops.layer_norm

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        *,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        shape = self._init_shape(normalized_shape)
        kind = self._init(shape, eps, elementwise_affine, bias, dtype)
        self._check_options(*shape, dtype=kind)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        text = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self._affine}"
        return text + ", bias=False" * (self._affine and "bias" not in self._params)


class RMSNorm(_TrailingNorm):
    """Divide every sample by its root mean square over the last axes, see `fastnn.rms_norm`.

    ::

        y[...,i] = weight[i] * x[...,i] / sqrt(mean[...] + eps)

    with i over the axes of `normalized_shape`, which is also the shape of ``weight``, and mean
    that of the squares.

    Parameters
    ----------
    normalized_shape
        Sizes of the last axes of x, a whole number for one axis.
    eps
        Added to the mean square; None is the machine epsilon of the dtype of x.
    elementwise_affine
        Whether there is a weight (ones at first).
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If an option is not possible or x has other last axes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import RMSNorm
    >>> RMSNorm(2, dtype=np.float64)(np.array([[1.0, 7.0]])) * 5  # mean square 25
    array([[1., 7.]])
    """

    op: ClassVar[Op[..., Any, Any]] = ops.rms_norm
    _roles: ClassVar[Mapping[str, str]] = {"w": "weight"}

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        *,
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        shape = self._init_shape(normalized_shape)
        kind = self._init(shape, eps, elementwise_affine, False, dtype)
        self._check_options(*shape, dtype=kind)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self._affine}"


class GroupNorm(_RowNorm):
    """Normalise every group of channels of every sample, see `fastnn.group_norm`.

    ::

        y[n,c,...] = weight[c] * (x[n,c,...] - mean[n,g]) / sqrt(var[n,g] + eps) + bias[c]

    with channel c in group g; ``weight`` and ``bias`` are C.

    Parameters
    ----------
    num_groups
        How many groups of neighbouring channels.
    num_channels
        C, a multiple of `num_groups`.
    eps
        Added to the variance.
    affine
        Whether there are weight (ones at first) and bias (zeros).
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If an option is not possible or x has other channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import GroupNorm
    >>> GroupNorm(2, 4, dtype=np.float64)(np.array([[1.0, 3.0, 10.0, 30.0]])).round(3)
    array([[-1.,  1., -1.,  1.]])
    """

    op: ClassVar[Op[..., Any, Any]] = ops.group_norm

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        *,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        what = type(self).__name__
        self.num_groups = _check.whole(what, "num_groups", num_groups, 1)
        self.num_channels = _check.whole(what, "num_channels", num_channels, 1)
        kind = self._init((self.num_channels,), eps, affine, True, dtype)
        self._check_options(self.num_channels, dtype=kind)

    def _options(self) -> dict[str, Any]:
        return {"num_groups": self.num_groups, **super()._options()}

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        check_channels(self, x, self.num_channels)
        return super()._forward(x, save)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self._affine}"


class _InstanceNorm(_RowNorm):
    op: ClassVar[Op[..., Any, Any]] = ops.instance_norm
    _layouts: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        affine: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.num_features = _check.whole(type(self).__name__, "num_features", num_features, 1)
        kind = self._init((self.num_features,), eps, affine, True, dtype)
        self._check_options(self.num_features, 1, dtype=kind)

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        check_axes(type(self).__name__, np.shape(x), self._layouts)
        check_channels(self, x, self.num_features)
        return super()._forward(x, save)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.num_features}, eps={self.eps}, affine={self._affine}"


class InstanceNorm1d(_InstanceNorm):
    """Normalise every channel of every sample over its positions, see `fastnn.instance_norm`.

    ::

        y[n,c,l] = (x[n,c,l] - mean[n,c]) / sqrt(var[n,c] + eps) * weight[c] + bias[c]

    ``x`` and ``y`` are N C L; ``weight`` and ``bias`` are C. There are no running statistics
    (PyTorch's ``track_running_stats=False``, its default).

    Parameters
    ----------
    num_features
        C.
    eps
        Added to the variance.
    affine
        Whether there are weight (ones at first) and bias (zeros); PyTorch's default is no.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If an option is not possible or x has other axes or channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import InstanceNorm1d
    >>> InstanceNorm1d(2, dtype=np.float64)(np.array([[[1.0, 3.0], [10.0, 30.0]]])).round(3)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """

    _layouts = ("N C L",)


class InstanceNorm2d(_InstanceNorm):
    """Normalise every channel of every sample over its pixels, see `fastnn.instance_norm`.

    ::

        y[n,c,h,w] = (x[n,c,h,w] - mean[n,c]) / sqrt(var[n,c] + eps) * weight[c] + bias[c]

    ``x`` and ``y`` are N C H W; all else is as in `InstanceNorm1d`.

    Parameters
    ----------
    num_features
        C.
    eps
        Added to the variance.
    affine
        Whether there are weight (ones at first) and bias (zeros); PyTorch's default is no.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If an option is not possible or x has other axes or channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import InstanceNorm2d
    >>> layer = InstanceNorm2d(3)
    >>> layer
    InstanceNorm2d(3, eps=1e-05, affine=False)
    >>> layer(np.zeros((2, 3, 4, 5), np.float32)).shape
    (2, 3, 4, 5)
    """

    _layouts = ("N C H W",)


def check_channels(layer: OpLayer, x: Array, channels: int) -> None:
    """X has `channels` channels, which without weights no operation can check."""
    shape = np.shape(x)
    if len(shape) > 1 and shape[1] != channels:
        raise ShapeError(
            f"{type(layer).__name__}: x has shape {shape}, C={shape[1]}; it must be C={channels}"
        )
