"""Convolutions with weights of their own, written once for any number of spatial axes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check
from fastnn.errors import ShapeError
from fastnn.layers.base import RandomSource, WeightedLayer
from fastnn.ops.conv import conv1d, conv2d
from fastnn.ops.conv_transpose import conv_transpose1d, conv_transpose2d


class _ConvNd(WeightedLayer):
    """What convolutions and transposed ones share, for any number of spatial axes."""

    _axes: ClassVar[int]
    _named: ClassVar[tuple[str, ...]]  # options besides the stride that the repr shows
    _defaults: ClassVar[dict[str, int]] = {"dilation": 1}  # zero if not here

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
    ) -> None:
        what, axes = type(self).__name__, self._axes
        self.in_channels = _check.whole(what, "in_channels", in_channels, 1)
        self.out_channels = _check.whole(what, "out_channels", out_channels, 1)
        self.kernel_size = _check.per_axis(what, "kernel_size", kernel_size, axes, 1)
        self.stride = _check.per_axis(what, "stride", stride, axes, 1)
        self.padding = (padding,) * axes if isinstance(padding, int | np.integer) else padding
        self.dilation = _check.per_axis(what, "dilation", dilation, axes, 1)
        self.groups = _check.whole(what, "groups", groups, 1)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ShapeError(
                f"{what}: groups={groups} with in_channels={in_channels} and "
                f"out_channels={out_channels}; it must divide both"
            )

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("stride", *self._named, "groups")}

    def extra_repr(self) -> str:
        """The constructor's arguments, defaults left out as PyTorch does."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        for name in self._named:
            value = getattr(self, name)
            if value != (self._defaults.get(name, 0),) * self._axes:
                text += f", {name}={value!r}"
        text += f", groups={self.groups}" * (self.groups != 1)
        return text + ", bias=False" * ("bias" not in self._params)


class _Conv(_ConvNd):
    _named = ("padding", "dilation")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] = 1,
        padding: int | str | tuple[Any, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        rng: RandomSource = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self._draw(shape, bias, rng, dtype)
        spans = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        self._check_options(self.in_channels, *spans, dtype=self._params["weight"].dtype)


class _ConvTranspose(_ConvNd):
    _named = ("padding", "output_padding", "dilation")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[Any, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, ...] = 1,
        rng: RandomSource = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = _check.per_axis(
            type(self).__name__, "output_padding", output_padding, self._axes, 0
        )
        shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        self._draw(shape, bias, rng, dtype, outputs=self.out_channels)
        # Large enough that any padding leaves something: what is too much depends on x.
        sides = _check.per_side(type(self).__name__, "padding", self.padding, self._axes)
        sizes = (sum(side) + 1 for side in sides)
        self._check_options(self.in_channels, *sizes, dtype=self._params["weight"].dtype)


class Conv1d(_Conv):
    """One-dimensional convolution of signals with learnt filters, see `fastnn.conv1d`.

    ::

        y[n,k,q] = bias[k] + sum over c,s of weight[k,c,s] * x[n, c of the group, q+s]

    ``x`` is N C L, ``y`` N K Q, ``weight`` K C/groups S and ``bias`` K. Both are drawn uniformly
    from +-1/sqrt(C/groups S), the weight first.

    Parameters
    ----------
    in_channels, out_channels
        C and K.
    kernel_size
        S.
    stride, padding, dilation, groups
        As in `fastnn.conv1d`; ``padding="causal"`` looks at the past only.
    bias
        Whether there is one.
    rng
        A NumPy generator to draw from, a seed, or None.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If a size or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Conv1d
    >>> layer = Conv1d(3, 8, 5, dilation=2, padding="causal", rng=0)
    >>> layer
    Conv1d(3, 8, kernel_size=(5,), stride=(1,), padding='causal', dilation=(2,))
    >>> layer(np.ones((4, 3, 11), np.float32)).shape
    (4, 8, 11)
    """

    op = conv1d
    _axes = 1


class Conv2d(_Conv):
    """Two-dimensional convolution of images with learnt filters, see `fastnn.conv2d`.

    ::

        y[n,k,p,q] = bias[k] + sum over c,r,s of weight[k,c,r,s] * x[n, c of the group, p+r, q+s]

    ``x`` is N C H W, ``y`` N K P Q, ``weight`` K C/groups R S and ``bias`` K. Both are drawn
    uniformly from +-1/sqrt(C/groups R S), the weight first.

    Parameters
    ----------
    in_channels, out_channels
        C and K.
    kernel_size
        (R, S), or one number for both.
    stride, padding, dilation, groups
        As in `fastnn.conv2d`.
    bias
        Whether there is one.
    rng
        A NumPy generator to draw from, a seed, or None. Equal seeds give equal numbers, so pass
        one generator to all layers of a network.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If a size or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Conv2d
    >>> layer = Conv2d(3, 8, 5, stride=2, padding=2, rng=0)
    >>> layer
    Conv2d(3, 8, kernel_size=(5, 5), stride=(2, 2), padding=(2, 2))
    >>> y = layer(np.ones((4, 3, 11, 9), np.float32))
    >>> y.shape
    (4, 8, 6, 5)
    >>> layer.backward(np.ones_like(y)).shape
    (4, 3, 11, 9)
    >>> layer.grads["bias"]
    array([120., 120., 120., 120., 120., 120., 120., 120.], dtype=float32)
    """

    op = conv2d
    _axes = 2


class ConvTranspose1d(_ConvTranspose):
    """One-dimensional transposed convolution, see `fastnn.conv_transpose1d`.

    ::

        y[n,k,q] = bias[k] + sum over c,l,s with l+s = q of weight[c,k,s] * x[n,c,l]

    ``x`` is N C L, ``y`` N K Q, ``weight`` C K/groups S and ``bias`` K. Both are drawn
    uniformly from +-1/sqrt(K/groups S), the weight first.

    Parameters
    ----------
    in_channels, out_channels
        C and K.
    kernel_size
        S.
    stride, padding, output_padding, groups, dilation
        As in `fastnn.conv_transpose1d`.
    bias
        Whether there is one.
    rng
        A NumPy generator to draw from, a seed, or None.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If a size or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import ConvTranspose1d
    >>> layer = ConvTranspose1d(8, 3, 4, stride=2, padding=1, rng=0)
    >>> layer
    ConvTranspose1d(8, 3, kernel_size=(4,), stride=(2,), padding=(1,))
    >>> layer(np.ones((4, 8, 11), np.float32)).shape
    (4, 3, 22)
    """

    op = conv_transpose1d
    _axes = 1


class ConvTranspose2d(_ConvTranspose):
    """Two-dimensional transposed convolution, see `fastnn.conv_transpose2d`.

    ::

        y[n,k,p,q] = bias[k] + sum over c,h,w,r,s with h+r = p and w+s = q
                     of weight[c,k,r,s] * x[n,c,h,w]

    ``x`` is N C H W, ``y`` N K P Q, ``weight`` C K/groups R S and ``bias`` K. Both are drawn
    uniformly from +-1/sqrt(K/groups R S), the weight first.

    Parameters
    ----------
    in_channels, out_channels
        C and K.
    kernel_size
        (R, S), or one number for both.
    stride, padding, output_padding, groups, dilation
        As in `fastnn.conv_transpose2d`.
    bias
        Whether there is one.
    rng
        A NumPy generator to draw from, a seed, or None.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If a size or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import ConvTranspose2d
    >>> layer = ConvTranspose2d(8, 3, 4, stride=2, padding=1, rng=0)
    >>> layer
    ConvTranspose2d(8, 3, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
    >>> layer(np.ones((4, 8, 5, 7), np.float32)).shape
    (4, 3, 10, 14)
    """

    op = conv_transpose2d
    _axes = 2
