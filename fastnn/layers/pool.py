"""Pooling."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.layers.base import Array, Layer, OpLayer
from fastnn.ops.adaptive import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    global_avg_pool,
    global_max_pool,
)
from fastnn.ops.avgpool import avg_pool1d, avg_pool2d
from fastnn.ops.pool import max_pool1d, max_pool2d


class _WindowPool(OpLayer):
    """What layers with sliding windows share: their options, and the check of them."""

    _axes: ClassVar[int]
    _shown: ClassVar[tuple[str, ...]]

    kernel_size: Any
    stride: Any
    padding: Any

    def _set(self, kernel_size: Any, stride: Any, **options: Any) -> None:
        """Keep the options as attributes, once the operation has taken them."""
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self._names = ("kernel_size", "stride", *options)
        vars(self).update(options)
        what = type(self).__name__
        taps = _check.per_axis(what, "kernel_size", kernel_size, self._axes, 1)
        steps = _check.per_axis(what, "dilation", options.get("dilation", 1), self._axes, 1)
        self._check_options(1, *(d * (k - 1) + 1 for d, k in zip(steps, taps, strict=True)))

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        """The constructor's arguments, those that PyTorch shows."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in self._shown)


class _MaxPool(_WindowPool):
    """Max-pooling of any rank."""

    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[Any, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self._set(kernel_size, stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)


class MaxPool1d(_MaxPool):
    """The largest element of every window of a sequence, see `fastnn.max_pool1d`.

    ::

        y[n,c,p] = max over r of x[n, c, p*s + r*d - before]

    ``x`` is N C L and ``y`` N C P.

    Parameters
    ----------
    kernel_size
        R.
    stride
        Step of the window; the window's size if None.
    padding, dilation, ceil_mode
        As in `fastnn.max_pool1d`.

    Raises
    ------
    ShapeError, DtypeError
        If an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import MaxPool1d
    >>> MaxPool1d(3, stride=2)(np.array([[[1.0, 4, 2, 0, 5]]]))
    array([[[4., 5.]]])
    """

    op: ClassVar[Op[..., Any, Any]] = max_pool1d
    _axes = 1


class MaxPool2d(_MaxPool):
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

    op: ClassVar[Op[..., Any, Any]] = max_pool2d
    _axes = 2


class AvgPool1d(_WindowPool):
    """The mean of every window of a sequence, see `fastnn.avg_pool1d`.

    ::

        y[n,c,p] = mean over r of x[n, c, p*s + r - before]

    ``x`` is N C L and ``y`` N C P.

    Parameters
    ----------
    kernel_size
        R.
    stride
        Step of the window; the window's size if None.
    padding, ceil_mode, count_include_pad
        As in `fastnn.avg_pool1d`.

    Raises
    ------
    ShapeError, DtypeError
        If an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import AvgPool1d
    >>> AvgPool1d(3, stride=2)(np.array([[[1.0, 4, 1, 0, 5]]]))
    array([[[2., 2.]]])
    """

    op: ClassVar[Op[..., Any, Any]] = avg_pool1d
    _axes = 1
    _shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: int | tuple[int],
        *,
        stride: int | tuple[int] | None = None,
        padding: int | tuple[Any] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        counted = {"count_include_pad": count_include_pad}
        self._set(kernel_size, stride, padding=padding, ceil_mode=ceil_mode, **counted)


class AvgPool2d(_WindowPool):
    """The mean of every window of an image, see `fastnn.avg_pool2d`.

    ::

        y[n,c,p,q] = mean over r,s of x[n, c, p*sh + r - top, q*sw + s - left]

    ``x`` is N C H W and ``y`` N C P Q.

    Parameters
    ----------
    kernel_size
        (R, S), or one number for both.
    stride
        Step of the window; the window's size if None.
    padding, ceil_mode, count_include_pad, divisor_override
        As in `fastnn.avg_pool2d`.

    Raises
    ------
    ShapeError, DtypeError
        If an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import AvgPool2d
    >>> layer = AvgPool2d(2)
    >>> layer
    AvgPool2d(kernel_size=2, stride=2, padding=0)
    >>> layer(np.array([[[[1.0, 5.0], [4.0, 2.0]]]]))
    array([[[[3.]]]])
    >>> layer.backward(np.array([[[[4.0]]]]))
    array([[[[1., 1.],
             [1., 1.]]]])
    """

    op: ClassVar[Op[..., Any, Any]] = avg_pool2d
    _axes = 2
    _shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[Any, Any] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        divided = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
        self._set(kernel_size, stride, padding=padding, ceil_mode=ceil_mode, **divided)


class _AdaptivePool(OpLayer):
    """Pooling to a given size."""

    def __init__(self, output_size: int | tuple[int | None, int | None]) -> None:
        super().__init__()
        self.output_size = output_size
        self._check_options(1, 1, 1)

    def _options(self) -> dict[str, Any]:
        return {"output_size": self.output_size}

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(_AdaptivePool):
    """Means of windows that share an image out evenly, see `fastnn.adaptive_avg_pool2d`.

    ``x`` is N C H W and ``y`` N C P Q.

    Parameters
    ----------
    output_size
        (P, Q), or one number for both; None keeps the size of x along that axis.

    Raises
    ------
    ShapeError, DtypeError
        If the size is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import AdaptiveAvgPool2d
    >>> AdaptiveAvgPool2d((1, 2))(np.array([[[[1.0, 2, 6], [3, 4, 8]]]]))
    array([[[[2.5, 5. ]]]])
    """

    op: ClassVar[Op[..., Any, Any]] = adaptive_avg_pool2d


class AdaptiveMaxPool2d(_AdaptivePool):
    """Maxima of windows that share an image out evenly, see `fastnn.adaptive_max_pool2d`.

    ``x`` is N C H W and ``y`` N C P Q.

    Parameters
    ----------
    output_size
        (P, Q), or one number for both; None keeps the size of x along that axis.

    Raises
    ------
    ShapeError, DtypeError
        If the size is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import AdaptiveMaxPool2d
    >>> AdaptiveMaxPool2d((1, 2))(np.array([[[[1.0, 2, 6], [3, 4, 8]]]]))
    array([[[[4., 8.]]]])
    """

    op: ClassVar[Op[..., Any, Any]] = adaptive_max_pool2d


class GlobalAvgPool(OpLayer):
    """The mean of each channel of each sample, see `fastnn.global_avg_pool`.

    ``x`` is N C and at least one more axis, ``y`` N C.

    Raises
    ------
    ShapeError, DtypeError
        By `forward`, if x does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import GlobalAvgPool
    >>> GlobalAvgPool()(np.array([[[[1.0, 2, 6], [3, 4, 8]]]]))
    array([[4.]])
    """

    op: ClassVar[Op[..., Any, Any]] = global_avg_pool


class GlobalMaxPool(OpLayer):
    """The largest number of each channel of each sample, see `fastnn.global_max_pool`.

    ``x`` is N C and at least one more axis, ``y`` N C.

    Raises
    ------
    ShapeError, DtypeError
        By `forward`, if x does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import GlobalMaxPool
    >>> GlobalMaxPool()(np.array([[[[1.0, 2, 6], [3, 4, 8]]]]))
    array([[8.]])
    """

    op: ClassVar[Op[..., Any, Any]] = global_max_pool


class MaxUnpool2d(Layer):
    """Put maxima back to where they came from, among zeros, see `fastnn.max_unpool2d`.

    ``x`` and ``indices``, results of `fastnn.max_pool2d_with_indices`, are N C P Q, and ``y`` is
    N C H W. `forward` takes ``(x, indices)``, and ``output_size=(H, W)`` where the pooling's size
    is not H = (P-1)*sh - 2*ph + R, likewise W.

    Parameters
    ----------
    kernel_size, stride, padding
        Those of the pooling; numbers, or pairs for rows and columns.

    Raises
    ------
    ShapeError, DtypeError
        If an option is not possible; by `forward`, if arrays do not fit.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> from fastnn.layers import MaxUnpool2d
    >>> y, indices = fastnn.max_pool2d_with_indices(np.array([[[[1.0, 2], [4, 3]]]]), 2)
    >>> layer = MaxUnpool2d(2)
    >>> layer(y, indices)
    array([[[[0., 0.],
             [4., 0.]]]])
    >>> layer.backward(np.array([[[[1.0, 2], [4, 3]]]]))
    array([[[[4.]]]])
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        what = type(self).__name__
        self.kernel_size = _check.per_axis(what, "kernel_size", kernel_size, 2, 1)
        self.stride = (
            self.kernel_size if stride is None else _check.per_axis(what, "stride", stride, 2, 1)
        )
        self.padding = _check.per_axis(what, "padding", padding, 2, 0)

    def forward(  # type: ignore[override]  # the one layer that takes two arrays
        self,
        x: Array,
        indices: Array,
        *,
        output_size: int | tuple[int, int] | None = None,
        save: bool | None = None,
    ) -> Array:
        """Compute the layer's result; save what `backward` needs if in training mode."""
        given: Any = (x, indices, output_size)
        return super().forward(given, save=save)

    def __call__(  # type: ignore[override]
        self,
        x: Array,
        indices: Array,
        *,
        output_size: int | tuple[int, int] | None = None,
        save: bool | None = None,
    ) -> Array:
        """`forward`."""
        return self.forward(x, indices, output_size=output_size, save=save)

    def _forward(self, x: Any, save: bool) -> tuple[Array, Any]:
        x, indices, size = x
        if size is None:
            _check.ndim(type(self).__name__, "x", np.asarray(x), "N C P Q")
            axes = zip(np.shape(x)[2:], self.stride, self.padding, self.kernel_size, strict=True)
            size = tuple((p - 1) * step - 2 * pad + taps for p, step, pad, taps in axes)
        if save:
            return ops.max_unpool2d.forward(x, indices, output_size=size)
        return ops.max_unpool2d(x, indices, output_size=size), None

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        return ops.max_unpool2d.backward(context, dy).x if input_grad else None

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
