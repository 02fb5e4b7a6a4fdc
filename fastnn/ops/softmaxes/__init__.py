"""Softmax and its logarithm: the fronts with their docstrings and checks, and the operations."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.softmaxes import spec
from fastnn.ops.softmaxes.spec import SoftmaxCall, SoftmaxGrads

__all__ = ["log_softmax", "softmax"]


def _softmax(
    x: Array,
    axis: int = -1,
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Exponentials divided by their sum along an axis: probabilities from logits.

    ::

        y[..., c, ...] = exp(x[..., c, ...]) / sum over k of exp(x[..., k, ...])

    computed with the maximum taken off x, so that no exponential overflows.

    Parameters
    ----------
    x : any shape with an axis
        Input, float32 or float64.
    axis
        Along which the sum runs, from -x.ndim to x.ndim - 1; PyTorch calls it dim.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        A slice with NaN or +inf, or with nothing but -inf, is NaN; a single -inf gives 0. An empty
        x gives an empty result. ``backward`` gives ``(x,)``: dx[c] = y[c] * (dy[c] - sum over k of
        dy[k] * y[k]) in every slice along the axis.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64, or `axis` is no whole number.
    ShapeError
        If x has no such axis, or `out` has another shape than x.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs five FLOP per element, the exponential counted as one, and the bytes of x and of y
    once each where a slice fits the cache. Backward needs only y, which ``forward`` keeps: do not
    change y before ``backward``. Sums are float64. See I. Goodfellow, Y. Bengio, A. Courville,
    "Deep Learning" (MIT Press 2016), equations 6.29 and 6.33.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[0.0, np.log(3)], [1000.0, 0.0]])
    >>> fastnn.softmax(x).round(4)
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    >>> fastnn.softmax(x, axis=0).round(4)
    array([[0.  , 0.75],
           [1.  , 0.25]])
    >>> y, ctx = fastnn.softmax.forward(x)
    >>> fastnn.softmax.backward(ctx, np.array([[16.0, 0.0], [16.0, 16.0]])).x.round(4)
    array([[ 3., -3.],
           [ 0.,  0.]])
    """
    return _describe("softmax", x, axis, False, out, backend)


def _log_softmax(
    x: Array,
    axis: int = -1,
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Logarithm of softmax along an axis, exact also where softmax is 0 or 1.

    ::

        y[..., c, ...] = x[..., c, ...] - log(sum over k of exp(x[..., k, ...]))

    computed with the maximum taken off x, so that no exponential overflows.

    Parameters
    ----------
    x : any shape with an axis
        Input, float32 or float64.
    axis
        Along which the sum runs, from -x.ndim to x.ndim - 1; PyTorch calls it dim.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        A slice with NaN or +inf, or with nothing but -inf, is NaN; a single -inf gives -inf. An
        empty x gives an empty result. ``backward`` gives ``(x,)``: dx[c] = dy[c] - exp(y[c]) * sum
        over k of dy[k] in every slice along the axis.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64, or `axis` is no whole number.
    ShapeError
        If x has no such axis, or `out` has another shape than x.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs five FLOP per element, the exponential counted as one, and the bytes of x and of y
    once each where a slice fits the cache. Backward needs only y, which ``forward`` keeps: do not
    change y before ``backward``. Sums are float64. See I. Goodfellow, Y. Bengio, A. Courville,
    "Deep Learning" (MIT Press 2016), equation 6.30. For training, `softmax_cross_entropy` does this
    and the loss in one.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[0.0, np.log(3)], [1000.0, 0.0]])
    >>> fastnn.log_softmax(x).round(4)
    array([[-1.3863e+00, -2.8770e-01],
           [ 0.0000e+00, -1.0000e+03]])
    >>> y, ctx = fastnn.log_softmax.forward(x)
    >>> fastnn.log_softmax.backward(ctx, np.array([[1.0, 0.0], [1.0, 0.0]])).x.round(4)
    array([[ 0.75, -0.75],
           [ 0.  ,  0.  ]])
    """
    return _describe("log_softmax", x, axis, True, out, backend)


def _describe(
    op: str, x: Array, axis: Any, log: bool, out: Array | None, backend: str | None
) -> Described:
    x = _check.array(op, "x", x)
    axis = _check.whole(op, "axis", axis, -_check.MOST)
    return Described(_call(op, _check.dtype_name(x), x.shape, axis, log), (x,), out, backend)


@lru_cache(4096)
def _call(op: str, dtype: str, x: tuple[int, ...], axis: int, log: bool) -> SoftmaxCall:
    """The `SoftmaxCall`; the rule about axes is here."""
    if not x:
        raise ShapeError(f"{op}: x has 0 axes, shape {x}; it needs at least 1")
    if not -len(x) <= axis < len(x):
        raise ShapeError(
            f"{op}: axis={axis} but x has {len(x)} axes, shape {x}; axis must be from {-len(x)} to "
            f"{len(x) - 1}"
        )
    return SoftmaxCall(dtype, x, axis % len(x), log)


softmax = Op(
    _softmax,
    returns=Array,
    grads=SoftmaxGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.cases,
    errors=spec.errors,
    terms=spec.terms,
    exact=False,
    smooth=True,
)
log_softmax = Op(
    _log_softmax,
    returns=Array,
    grads=SoftmaxGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.cases,
    errors=spec.errors,
    terms=spec.terms,
    exact=False,
    smooth=True,
)
