"""Fronts of the activations that are linear for positive numbers, or in pieces."""

from __future__ import annotations

from fastnn._check import Array
from fastnn.dispatch import Described
from fastnn.ops.activation import spec
from fastnn.ops.activation._front import describe, finite


def _relu(x: Array, *, out: Array | None = None, backend: str | None = None) -> Described:
    """Rectified linear unit, element by element.

    ::

        y[i] = x[i]  if x[i] > 0 or x[i] is NaN, else 0

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        -0.0 becomes 0.0. An empty x gives an empty result.
        ``backward`` gives ``(x,)``: dx[i] = 0 if y[i] <= 0, else dy[i]. So the slope at 0 is 0, and
        where y is NaN dy passes.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64.
    ShapeError
        If `out` has another shape than x.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs one FLOP, a comparison, per element, and the bytes of x and of y once each.
    Backward needs only y, which ``forward`` keeps: do not change y before ``backward``. See
    V. Nair, G. E. Hinton, "Rectified linear units improve restricted Boltzmann machines" (ICML
    2010), section 2.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-2.0, 0.0, 3.0, np.nan])
    >>> fastnn.relu(x)
    array([ 0.,  0.,  3., nan])
    >>> y, ctx = fastnn.relu.forward(x)
    >>> fastnn.relu.backward(ctx, np.array([1.0, 2.0, 3.0, 4.0])).x
    array([0., 0., 3., 4.])
    """
    return describe("relu", x, "relu", (0.0, 0.0), out, backend)


def _leaky_relu(
    x: Array,
    negative_slope: float = 0.01,
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Rectified linear unit that lets a part of negative numbers through, element by element.

    ::

        y[i] = x[i]                   if x[i] > 0
        y[i] = negative_slope * x[i]  else

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    negative_slope
        What negative numbers are multiplied with, finite.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        NaN gives NaN. An empty x gives an empty result.
        ``backward`` gives ``(x,)``: dx[i] = dy[i] if x[i] > 0, else negative_slope * dy[i]; so the
        slope at 0, and where x is NaN, is negative_slope, as in PyTorch.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64, or an option is not a number.
    ShapeError
        If `out` has another shape than x.
    OptionError
        If `negative_slope` is not finite.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs two FLOP per element, and the bytes of x and of y once each. Backward needs x,
    which ``forward`` keeps. See A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities
    improve neural network acoustic models" (ICML 2013), equation 2.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-2.0, 0.0, 3.0])
    >>> fastnn.leaky_relu(x, 0.1)
    array([-0.2,  0. ,  3. ])
    >>> y, ctx = fastnn.leaky_relu.forward(x, 0.1)
    >>> fastnn.leaky_relu.backward(ctx, np.ones(3)).x
    array([0.1, 0.1, 1. ])
    """
    op = "leaky_relu"
    slope = finite(op, "negative_slope", negative_slope)
    return describe(op, x, op, (slope, 0.0), out, backend)


def _elu(
    x: Array,
    alpha: float = 1.0,
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Exponential linear unit, element by element.

    ::

        y[i] = x[i]                      if x[i] > 0
        y[i] = alpha * (exp(x[i]) - 1)   else

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    alpha
        How far below 0 the result can come, finite.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        -inf gives -alpha, NaN gives NaN. An empty x gives an empty result. ``backward`` gives
        ``(x,)``: dx[i] = dy[i] if x[i] > 0, else dy[i] * alpha * exp(x[i]); so the slope at 0 is
        alpha, as in PyTorch, and NaN where x is NaN.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64, or an option is not a number.
    ShapeError
        If `out` has another shape than x.
    OptionError
        If `alpha` is not finite.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs three FLOP per element, the exponential counted as one, and the bytes of x and of
    y once each; exp(x) - 1 keeps its digits near 0. Backward needs x, which ``forward`` keeps. See
    D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units" (arXiv 1511.07289), equation 15.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-np.inf, -1.0, 0.0, 2.0])
    >>> fastnn.elu(x).round(4)
    array([-1.    , -0.6321,  0.    ,  2.    ])
    >>> y, ctx = fastnn.elu.forward(x, alpha=2.0)
    >>> fastnn.elu.backward(ctx, np.ones(4)).x.round(4)
    array([0.    , 0.7358, 2.    , 1.    ])
    """
    op = "elu"
    return describe(op, x, op, (finite(op, "alpha", alpha), 1.0), out, backend)


def _selu(x: Array, *, out: Array | None = None, backend: str | None = None) -> Described:
    """Scaled exponential linear unit, element by element.

    ::

        y[i] = scale * x[i]                       if x[i] > 0
        y[i] = scale * alpha * (exp(x[i]) - 1)    else

        alpha = 1.6732632423543772,  scale = 1.0507009873554805

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        -inf gives -1.758..., NaN gives NaN. An empty x gives an empty result. ``backward`` gives
        ``(x,)``: dx[i] = scale * dy[i] if x[i] > 0, else scale * alpha * exp(x[i]) * dy[i]; so the
        slope at 0 is scale * alpha, as in PyTorch, and NaN where x is NaN.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64.
    ShapeError
        If `out` has another shape than x.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs three FLOP per element, the exponential counted as one, and the bytes of x and of
    y once each. Backward needs x, which ``forward`` keeps. It is `elu` with fixed numbers, for
    which mean 0 and variance 1 are a fixed point: G. Klambauer et al., "Self-normalizing neural
    networks" (arXiv 1706.02515), equations 2 and 14.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-np.inf, -1.0, 0.0, 2.0])
    >>> fastnn.selu(x).round(4)
    array([-1.7581, -1.1113,  0.    ,  2.1014])
    >>> y, ctx = fastnn.selu.forward(x)
    >>> fastnn.selu.backward(ctx, np.ones(4)).x.round(4)
    array([0.    , 0.6468, 1.7581, 1.0507])
    """
    parameters = (spec.SELU_ALPHA * spec.SELU_SCALE, spec.SELU_SCALE)
    return describe("selu", x, "elu", parameters, out, backend)


def _hardsigmoid(x: Array, *, out: Array | None = None, backend: str | None = None) -> Described:
    """Piecewise linear sigmoid, element by element.

    ::

        y[i] = 0               if x[i] <= -3
        y[i] = 1               if x[i] >= 3
        y[i] = (x[i] + 3) / 6  else

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        NaN gives NaN. An empty x gives an empty result. ``backward`` gives ``(x,)``: dx[i] = dy[i]
        / 6 if -3 < x[i] < 3, else 0, as in PyTorch; so it is 0 at both kinks and where x is NaN.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64.
    ShapeError
        If `out` has another shape than x.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs four FLOP per element, and the bytes of x and of y once each. Backward needs x,
    which ``forward`` keeps. See M. Courbariaux, Y. Bengio, J.-P. David, "BinaryConnect" (arXiv
    1511.00363), equation 3, with PyTorch's slope of 1/6.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-4.0, 0.0, 1.5, 3.0])
    >>> fastnn.hardsigmoid(x)
    array([0.  , 0.5 , 0.75, 1.  ])
    >>> y, ctx = fastnn.hardsigmoid.forward(x)
    >>> fastnn.hardsigmoid.backward(ctx, np.full(4, 6.0)).x
    array([0., 1., 1., 0.])
    """
    return describe("hardsigmoid", x, "hardsigmoid", (0.0, 0.0), out, backend)


def _hardswish(x: Array, *, out: Array | None = None, backend: str | None = None) -> Described:
    """Piecewise quadratic form of `silu`, element by element.

    ::

        y[i] = 0                      if x[i] <= -3
        y[i] = x[i]                   if x[i] >= 3
        y[i] = x[i] * (x[i] + 3) / 6  else

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        -inf gives 0, though -inf * 0 is none; NaN gives NaN. An empty x gives an empty result.
        ``backward`` gives ``(x,)``: dx[i] = 0 if x[i] <= -3, dy[i] if x[i] >= 3, else dy[i] * (x[i]
        / 3 + 1/2), as in PyTorch; NaN where x is NaN.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64.
    ShapeError
        If `out` has another shape than x.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs five FLOP per element, and the bytes of x and of y once each. Backward needs x,
    which ``forward`` keeps. See A. Howard et al., "Searching for MobileNetV3" (arXiv 1905.02244),
    section 5.2.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-4.0, -1.0, 0.0, 1.0, 3.0])
    >>> fastnn.hardswish(x).round(4)
    array([-0.    , -0.3333,  0.    ,  0.6667,  3.    ])
    >>> y, ctx = fastnn.hardswish.forward(x)
    >>> fastnn.hardswish.backward(ctx, np.full(5, 6.0)).x.round(4)
    array([0., 1., 3., 5., 6.])
    """
    return describe("hardswish", x, "hardswish", (0.0, 0.0), out, backend)
