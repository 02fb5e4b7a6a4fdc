"""Activations; all but `PReLU` have no parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check
from fastnn.dispatch import Op
from fastnn.layers.base import OpLayer, float_dtype
from fastnn.ops.activation import (
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    relu,
    selu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from fastnn.ops.parametric import prelu
from fastnn.ops.softmaxes import log_softmax, softmax


class _Optioned(OpLayer):
    """An activation whose arguments are its operation's options; it checks them once."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._given = options
        self._check_options()

    def _options(self) -> dict[str, Any]:
        return self._given

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return ", ".join(f"{name}={value!r}" for name, value in self._given.items())


class ReLU(OpLayer):
    """The positive part of every element, ``y = max(x, 0)``, see `fastnn.relu`.

    ``x`` and ``y`` have the same, any shape.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import ReLU
    >>> layer = ReLU()
    >>> layer(np.array([-2.0, 3.0]))
    array([0., 3.])
    >>> layer.backward(np.array([5.0, 7.0]))
    array([0., 7.])
    """

    op: ClassVar[Op[..., Any, Any]] = relu


class LeakyReLU(_Optioned):
    """A part of negative numbers, positive ones whole, see `fastnn.leaky_relu`.

    ``x`` and ``y`` have the same, any shape.

    Parameters
    ----------
    negative_slope
        What negative numbers are multiplied with.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64; by the constructor, if an option has the
        wrong type.
    OptionError
        If an option is not possible, see the operation.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import LeakyReLU
    >>> layer = LeakyReLU(0.1)
    >>> layer(np.array([-2.0, 3.0]))
    array([-0.2,  3. ])
    >>> layer.backward(np.array([5.0, 7.0]))
    array([0.5, 7. ])
    """

    op: ClassVar[Op[..., Any, Any]] = leaky_relu

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__(negative_slope=negative_slope)


class ELU(_Optioned):
    """Exponential linear unit, see `fastnn.elu`.

    ``x`` and ``y`` have the same, any shape.

    Parameters
    ----------
    alpha
        How far below 0 the result can come.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64; by the constructor, if an option has the
        wrong type.
    OptionError
        If an option is not possible, see the operation.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import ELU
    >>> layer = ELU()
    >>> layer(np.array([-2.0, 3.0])).round(4)
    array([-0.8647,  3.    ])
    """

    op: ClassVar[Op[..., Any, Any]] = elu

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class SELU(OpLayer):
    """Scaled exponential linear unit, see `fastnn.selu`.

    ``x`` and ``y`` have the same, any shape.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import SELU
    >>> SELU()(np.array([-2.0, 3.0])).round(4)
    array([-1.5202,  3.1521])
    """

    op: ClassVar[Op[..., Any, Any]] = selu


class GELU(_Optioned):
    """Gaussian error linear unit, see `fastnn.gelu`.

    ``x`` and ``y`` have the same, any shape.

    Parameters
    ----------
    approximate
        ``"none"`` or ``"tanh"``.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64; by the constructor, if an option has the
        wrong type.
    OptionError
        If an option is not possible, see the operation.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import GELU
    >>> GELU()(np.array([-2.0, 3.0])).round(4)
    array([-0.0455,  2.996 ])
    >>> GELU("tanh")
    GELU(approximate='tanh')
    """

    op: ClassVar[Op[..., Any, Any]] = gelu

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class SiLU(OpLayer):
    """Sigmoid linear unit, or swish, ``y = x * sigmoid(x)``, see `fastnn.silu`.

    ``x`` and ``y`` have the same, any shape.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import SiLU
    >>> SiLU()(np.array([-2.0, 3.0])).round(4)
    array([-0.2384,  2.8577])
    """

    op: ClassVar[Op[..., Any, Any]] = silu


class Sigmoid(_Optioned):
    """Logistic function, see `fastnn.sigmoid`.

    ``x`` and ``y`` have the same, any shape.

    Parameters
    ----------
    scale
        What x is multiplied with first; PyTorch has no such option.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64; by the constructor, if an option has the
        wrong type.
    OptionError
        If an option is not possible, see the operation.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Sigmoid
    >>> Sigmoid()(np.array([-2.0, 3.0])).round(4)
    array([0.1192, 0.9526])
    """

    op: ClassVar[Op[..., Any, Any]] = sigmoid

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale=scale)


class Tanh(OpLayer):
    """Hyperbolic tangent, see `fastnn.tanh`.

    ``x`` and ``y`` have the same, any shape.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Tanh
    >>> Tanh()(np.array([-2.0, 3.0])).round(4)
    array([-0.964 ,  0.9951])
    """

    op: ClassVar[Op[..., Any, Any]] = tanh


class Softplus(_Optioned):
    """Smooth form of `ReLU`, see `fastnn.softplus`.

    ``x`` and ``y`` have the same, any shape.

    Parameters
    ----------
    beta
        How sharply it bends.
    threshold
        Above it, beta * x is taken as linear.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64; by the constructor, if an option has the
        wrong type.
    OptionError
        If an option is not possible, see the operation.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Softplus
    >>> Softplus()(np.array([-2.0, 3.0])).round(4)
    array([0.1269, 3.0486])
    """

    op: ClassVar[Op[..., Any, Any]] = softplus

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Hardsigmoid(OpLayer):
    """Piecewise linear sigmoid, see `fastnn.hardsigmoid`.

    ``x`` and ``y`` have the same, any shape.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Hardsigmoid
    >>> Hardsigmoid()(np.array([-2.0, 3.0])).round(4)
    array([0.1667, 1.    ])
    """

    op: ClassVar[Op[..., Any, Any]] = hardsigmoid


class Hardswish(OpLayer):
    """Piecewise quadratic form of `SiLU`, see `fastnn.hardswish`.

    ``x`` and ``y`` have the same, any shape.

    Raises
    ------
    DtypeError
        By `forward`, if x is not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Hardswish
    >>> Hardswish()(np.array([-2.0, 3.0])).round(4)
    array([-0.3333,  3.    ])
    """

    op: ClassVar[Op[..., Any, Any]] = hardswish


class PReLU(OpLayer):
    """ReLU with a learned slope for negative numbers, see `fastnn.prelu`.

    ``x`` and ``y`` have the same shape, N C ... or, with one parameter, any; ``weight`` is
    num_parameters.

    Parameters
    ----------
    num_parameters
        1 for all, or C, one per channel.
    init
        The slopes at first.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError
        If an option is not possible or x has other channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import PReLU
    >>> layer = PReLU(dtype=np.float64)
    >>> layer(np.array([-2.0, 3.0]))
    array([-0.5,  3. ])
    >>> layer.backward(np.array([5.0, 7.0]))
    array([1.25, 7.  ])
    >>> layer.grads["weight"]
    array([-10.])
    """

    op: ClassVar[Op[..., Any, Any]] = prelu
    _roles: ClassVar[Mapping[str, str]] = {"w": "weight"}

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32
    ) -> None:
        super().__init__()
        self.num_parameters = _check.whole("PReLU", "num_parameters", num_parameters, 1)
        start = _check.real("PReLU", "init", init)
        self.add_parameter(
            "weight", np.full(self.num_parameters, start, float_dtype("PReLU", dtype))
        )

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"num_parameters={self.num_parameters}"


class _AlongAxis(OpLayer):
    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = _check.whole(type(self).__name__, "axis", axis, -_check.MOST)

    def _options(self) -> dict[str, Any]:
        return {"axis": self.axis}

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"axis={self.axis}"


class Softmax(_AlongAxis):
    """Exponentials divided by their sum along an axis, see `fastnn.softmax`.

    ``x`` and ``y`` have the same, any shape with that axis.

    Parameters
    ----------
    axis
        Along which the sum runs; PyTorch calls it dim.

    Raises
    ------
    DtypeError
        If `axis` is no whole number; by `forward`, if x is not float32 or float64.
    ShapeError
        By `forward`, if x has no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Softmax
    >>> Softmax()(np.array([[0.0, np.log(3)]])).round(4)
    array([[0.25, 0.75]])
    """

    op: ClassVar[Op[..., Any, Any]] = softmax


class LogSoftmax(_AlongAxis):
    """Logarithm of `Softmax`, see `fastnn.log_softmax`.

    ``x`` and ``y`` have the same, any shape with the axis.

    Parameters
    ----------
    axis
        Along which the sum runs; PyTorch calls it dim.

    Raises
    ------
    DtypeError
        If `axis` is no whole number; by `forward`, if x is not float32 or float64.
    ShapeError
        By `forward`, if x has no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import LogSoftmax
    >>> LogSoftmax()(np.array([[0.0, np.log(3)]])).round(4)
    array([[-1.3863, -0.2877]])
    """

    op: ClassVar[Op[..., Any, Any]] = log_softmax
