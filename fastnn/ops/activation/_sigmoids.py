"""Fronts of the activations that bend smoothly."""

from __future__ import annotations

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described
from fastnn.errors import OptionError
from fastnn.ops.activation._front import describe, finite


def _gelu(
    x: Array,
    approximate: str = "none",
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Gaussian error linear unit, element by element.

    ::

        y[i] = x[i] * P(x[i])                 for "none", P(t) = (1 + erf(t / sqrt(2))) / 2
        y[i] = x[i] * (1 + tanh(u[i])) / 2    for "tanh", u = sqrt(2 / pi) * (x + 0.044715 x^3)

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    approximate
        ``"none"`` for the normal distribution's own integral, or ``"tanh"``, which is off by less
        than 5e-4.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        -inf gives 0, though -inf * 0 is none; inf gives inf and NaN gives NaN. An empty x gives an
        empty result. ``backward`` gives ``(x,)``: dy[i] times the derivative of the form chosen,
        P(x) + x exp(-x^2 / 2) / sqrt(2 pi) for ``"none"``.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64.
    ShapeError
        If `out` has another shape than x.
    OptionError
        If `approximate` is something else.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs about four FLOP per element, the error function counted as one, eight for
    ``"tanh"``, and the bytes of x and of y once each. Backward needs x, which ``forward`` keeps.
    Compiled code takes far negative x by the integral's tail, not by 1 + erf, so that no digits are
    lost there. See D. Hendrycks, K. Gimpel, "Gaussian error linear units" (arXiv 1606.08415),
    section 2.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-np.inf, -1.0, 0.0, 2.0])
    >>> fastnn.gelu(x).round(4)
    array([-0.    , -0.1587,  0.    ,  1.9545])
    >>> fastnn.gelu(x, approximate="tanh").round(4)
    array([-0.    , -0.1588,  0.    ,  1.9546])
    >>> y, ctx = fastnn.gelu.forward(x)
    >>> fastnn.gelu.backward(ctx, np.ones(4)).x.round(4)
    array([ 0.    , -0.0833,  0.5   ,  1.0852])
    """
    approximate = _check.choice("gelu", "approximate", approximate, ("none", "tanh"))
    function = "gelu" if approximate == "none" else "gelu_tanh"
    return describe("gelu", x, function, (0.0, 0.0), out, backend)


def _silu(x: Array, *, out: Array | None = None, backend: str | None = None) -> Described:
    """Sigmoid linear unit, also called swish, element by element.

    ::

        y[i] = x[i] / (1 + exp(-x[i]))

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
        -inf gives 0, though -inf * 0 is none; inf gives inf and NaN gives NaN. An empty x gives an
        empty result. ``backward`` gives ``(x,)``: dx[i] = dy[i] * s * (1 + x[i] * (1 - s)), s = 1 /
        (1 + exp(-x[i])).

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
    Forward costs four FLOP per element, the exponential counted as one, and the bytes of x and of y
    once each. Backward needs x, which ``forward`` keeps. See D. Hendrycks, K. Gimpel, "Gaussian
    error linear units" (arXiv 1606.08415), section 2, and P. Ramachandran, B. Zoph, Q. V. Le,
    "Searching for activation functions" (arXiv 1710.05941), section 4.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-np.inf, -1.0, 0.0, 2.0])
    >>> fastnn.silu(x).round(4)
    array([-0.    , -0.2689,  0.    ,  1.7616])
    >>> y, ctx = fastnn.silu.forward(x)
    >>> fastnn.silu.backward(ctx, np.ones(4)).x.round(4)
    array([0.    , 0.0723, 0.5   , 1.0908])
    """
    return describe("silu", x, "silu", (0.0, 0.0), out, backend)


def _sigmoid(
    x: Array,
    *,
    scale: float = 1.0,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Logistic function, element by element, with the input scaled if wanted.

    ::

        y[i] = 1 / (1 + exp(-scale * x[i]))

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    scale
        What x is multiplied with, finite; PyTorch's sigmoid has 1.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        Nothing overflows: for scale = 1, -1e4 gives 0 and 1e4 gives 1; NaN gives NaN. An empty x
        gives an empty result. ``backward`` gives ``(x,)``: dx[i] = scale * dy[i] * y[i] * (1 -
        y[i]).

    Raises
    ------
    DtypeError
        If an array is not float32 or float64, or an option is not a number.
    ShapeError
        If `out` has another shape than x.
    OptionError
        If `scale` is not finite.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs four FLOP per element, the exponential counted as one, and the bytes of x and of y
    once each. Backward needs only y, which ``forward`` keeps: do not change y before ``backward``.
    See I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning" (MIT Press 2016), section 3.10.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-1e4, -1.0, 0.0, 2.0])
    >>> fastnn.sigmoid(x).round(4)
    array([0.    , 0.2689, 0.5   , 0.8808])
    >>> fastnn.sigmoid(x, scale=2.0).round(4)
    array([0.    , 0.1192, 0.5   , 0.982 ])
    >>> y, ctx = fastnn.sigmoid.forward(x)
    >>> fastnn.sigmoid.backward(ctx, np.ones(4)).x.round(4)
    array([0.    , 0.1966, 0.25  , 0.105 ])
    """
    parameters = (finite("sigmoid", "scale", scale), 0.0)
    return describe("sigmoid", x, "sigmoid", parameters, out, backend)


def _tanh(x: Array, *, out: Array | None = None, backend: str | None = None) -> Described:
    """Hyperbolic tangent, element by element.

    ::

        y[i] = (exp(x[i]) - exp(-x[i])) / (exp(x[i]) + exp(-x[i]))

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
        Infinities give -1 and 1, NaN gives NaN. An empty x gives an empty result.
        ``backward`` gives ``(x,)``: dx[i] = dy[i] * (1 - y[i]) * (1 + y[i]).

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
    Forward costs one FLOP per element, the function counted as one, and the bytes of x and of y
    once each. Backward needs only y, which ``forward`` keeps: do not change y before ``backward``.
    See Y. LeCun et al., "Efficient backprop" (1998), section 4.4.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-np.inf, -1.0, 0.0, 2.0])
    >>> fastnn.tanh(x).round(4)
    array([-1.    , -0.7616,  0.    ,  0.964 ])
    >>> y, ctx = fastnn.tanh.forward(x)
    >>> fastnn.tanh.backward(ctx, np.ones(4)).x.round(4)
    array([0.    , 0.42  , 1.    , 0.0707])
    """
    return describe("tanh", x, "tanh", (0.0, 0.0), out, backend)


def _softplus(
    x: Array,
    beta: float = 1.0,
    threshold: float = 20.0,
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Smooth form of `relu`, element by element.

    ::

        y[i] = log(1 + exp(beta * x[i])) / beta   if beta * x[i] <= threshold
        y[i] = x[i]                               else

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    beta
        How sharply it bends, positive and finite.
    threshold
        Above it the function is taken as linear, finite.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        Nothing overflows, whatever threshold: -inf gives 0, inf gives inf; NaN gives NaN. At the
        threshold itself the logarithm is taken. An empty x gives an empty result.
        ``backward`` gives ``(x,)``: dx[i] = dy[i] / (1 + exp(-beta * x[i])), and dy[i] above the
        threshold.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64, or an option is not a number.
    ShapeError
        If `out` has another shape than x.
    OptionError
        If `beta` is not positive and finite, or `threshold` is not finite.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs five FLOP per element, exponential and logarithm counted as one each, and the
    bytes of x and of y once each. Backward needs x, which ``forward`` keeps. See I. Goodfellow, Y.
    Bengio, A. Courville, "Deep Learning" (MIT Press 2016), equation 3.31.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([-1e4, -1.0, 0.0, 1e4])
    >>> fastnn.softplus(x).round(4)
    array([0.000e+00, 3.133e-01, 6.931e-01, 1.000e+04])
    >>> y, ctx = fastnn.softplus.forward(x, beta=2.0)
    >>> fastnn.softplus.backward(ctx, np.ones(4)).x.round(4)
    array([0.    , 0.1192, 0.5   , 1.    ])
    """
    op = "softplus"
    beta, threshold = finite(op, "beta", beta), finite(op, "threshold", threshold)
    if beta <= 0:
        raise OptionError(f"{op}: beta={beta}; it must be positive")
    return describe(op, x, op, (beta, threshold), out, backend)
