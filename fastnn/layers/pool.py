"""Pooling."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.layers.base import OpLayer


class MaxPool2d(OpLayer):
    """The largest element of every window of an image, see `fastnn.max_pool2d`.

    ::

        y[n,c,p,q] = max over r,s of x[n, c, p*sh + r*dh - ph, q*sw + s*dw - pw]

    ``x`` is N C H W and ``y`` N C P Q.

    Parameters
    ----------
    kernel_size
        (R, S), or one number for both.
    stride
        Step of the window; the window's size if None.
    padding, dilation, ceil_mode
        As in `fastnn.max_pool2d`.

    Raises
    ------
    ShapeError, DtypeError
        If an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import MaxPool2d
    >>> layer = MaxPool2d(2)
    >>> layer
    MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    >>> layer(np.array([[[[1.0, 5.0], [4.0, 2.0]]]]))
    array([[[[5.]]]])
    >>> layer.backward(np.array([[[[3.0]]]]))
    array([[[[0., 3.],
             [0., 0.]]]])
    """

    op: ClassVar[Op[..., Any, Any]] = ops.max_pool2d

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode
        what = type(self).__name__
        taps = _check.per_axis(what, "kernel_size", kernel_size, 2, 1)
        steps = _check.per_axis(what, "dilation", dilation, 2, 1)
        self._check_options(1, *(d * (k - 1) + 1 for d, k in zip(steps, taps, strict=True)))

    def _options(self) -> dict[str, Any]:
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return ", ".join(f"{name}={value}" for name, value in self._options().items())
