"""Resampling and padding."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.errors import ShapeError
from fastnn.layers.base import OpLayer


class Upsample(OpLayer):
    """Bring images to another size, see `fastnn.interpolate`.

    ``x`` is N C H W (or N C L) and ``y`` N C P Q (or N C P).

    Parameters
    ----------
    size, scale_factor
        One of them: the size of y, or how much larger than x it is; one number or one per axis.
    mode
        ``"nearest"`` or ``"bilinear"``.
    align_corners
        As in `fastnn.interpolate`.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Upsample
    >>> layer = Upsample(scale_factor=2)
    >>> layer
    Upsample(scale_factor=2, mode='nearest')
    >>> layer(np.array([[[[1.0, 2.0]]]]))
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    >>> layer.backward(np.ones((1, 1, 2, 4)))
    array([[[[4., 4.]]]])
    """

    op: ClassVar[Op[..., Any, Any]] = ops.interpolate

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        *,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        given = scale_factor if size is None else size
        axes = len(given) if isinstance(given, tuple | list) and mode == "nearest" else 2
        self._check_options(1, *(2**16,) * axes)  # that factors fit small x, only x can tell

    def _options(self) -> dict[str, Any]:
        return {
            "size": self.size,
            "scale_factor": self.scale_factor,
            "mode": self.mode,
            "align_corners": self.align_corners,
        }

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        name = "scale_factor" if self.size is None else "size"
        return f"{name}={getattr(self, name)}, mode={self.mode!r}"


class _Pad2d(OpLayer):
    """Padding of images."""

    op: ClassVar[Op[..., Any, Any]] = ops.pad
    _mode: ClassVar[str]

    def __init__(self, padding: int | tuple[int, int, int, int]) -> None:
        super().__init__()
        self.padding = padding if isinstance(padding, tuple | list) else (padding,) * 4
        what = type(self).__name__
        if len(self.padding) != 4:
            raise ShapeError(
                f"{what}: padding={padding!r} has {len(self.padding)} entries; it needs 4"
            )
        most = max(_check.whole(what, "padding", p, 0) for p in self.padding)
        self._check_options(1, most + 1, most + 1)

    def _options(self) -> dict[str, Any]:
        return {"padding": self.padding, "mode": self._mode}

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return f"{self.padding}"


class ZeroPad2d(_Pad2d):
    """Put zeros around images, see `fastnn.pad`.

    ``x`` is N C H W and ``y`` N C P Q.

    Parameters
    ----------
    padding
        (left, right, top, bottom), or one number for all.

    Raises
    ------
    ShapeError, DtypeError
        If the padding is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import ZeroPad2d
    >>> ZeroPad2d((1, 2, 0, 1))(np.array([[[[3.0, 4.0]]]]))
    array([[[[0., 3., 4., 0., 0.],
             [0., 0., 0., 0., 0.]]]])
    """

    _mode = "constant"


class ReflectionPad2d(_Pad2d):
    """Put their mirror image around images, see `fastnn.pad`.

    ``x`` is N C H W and ``y`` N C P Q.

    Parameters
    ----------
    padding
        (left, right, top, bottom), or one number for all; less than the size of x along each axis.

    Raises
    ------
    ShapeError, DtypeError
        If the padding is not possible; by `forward`, if x is too small.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import ReflectionPad2d
    >>> ReflectionPad2d((1, 2, 0, 0))(np.array([[[[3.0, 4.0, 5.0]]]]))
    array([[[[4., 3., 4., 5., 4., 3.]]]])
    """

    _mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """Repeat their edges around images, see `fastnn.pad`.

    ``x`` is N C H W and ``y`` N C P Q.

    Parameters
    ----------
    padding
        (left, right, top, bottom), or one number for all.

    Raises
    ------
    ShapeError, DtypeError
        If the padding is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import ReplicationPad2d
    >>> ReplicationPad2d((1, 2, 0, 0))(np.array([[[[3.0, 4.0]]]]))
    array([[[[3., 3., 4., 4., 4.]]]])
    """

    _mode = "replicate"
