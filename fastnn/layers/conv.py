"""Convolution with weights of its own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.errors import ShapeError
from fastnn.layers.base import RandomSource, WeightedLayer


class Conv2d(WeightedLayer):
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

    op: ClassVar[Op[..., Any, Any]] = ops.conv2d

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | str | tuple[Any, Any] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        rng: RandomSource = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        what = type(self).__name__
        self.in_channels = _check.whole(what, "in_channels", in_channels, 1)
        self.out_channels = _check.whole(what, "out_channels", out_channels, 1)
        self.kernel_size = _check.per_axis(what, "kernel_size", kernel_size, 2, 1)
        self.stride = _check.per_axis(what, "stride", stride, 2, 1)
        self.padding = (padding, padding) if isinstance(padding, int | np.integer) else padding
        self.dilation = _check.per_axis(what, "dilation", dilation, 2, 1)
        self.groups = _check.whole(what, "groups", groups, 1)
        if in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{what}: groups={groups} with in_channels={in_channels} and "
                f"out_channels={out_channels}; it must divide both"
            )
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self._draw(shape, bias, rng, dtype)
        spans = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        self._check_options(self.in_channels, *spans, dtype=self._params["weight"].dtype)

    def _options(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def extra_repr(self) -> str:
        """The constructor's arguments, defaults left out as PyTorch does."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        text += f", padding={self.padding!r}" * (self.padding != (0, 0))
        text += f", dilation={self.dilation}" * (self.dilation != (1, 1))
        text += f", groups={self.groups}" * (self.groups != 1)
        return text + ", bias=False" * ("bias" not in self._params)
