"""Losses that are a sum over elements: the fronts, their docstrings and checks, and the objects."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import OptionError, ShapeError
from fastnn.ops.loss.reduction import REDUCTIONS
from fastnn.ops.pointwise_loss import cases, spec
from fastnn.ops.pointwise_loss.spec import PointCall, PointGrads

__all__ = ["binary_cross_entropy_with_logits", "huber_loss", "kl_div", "l1_loss", "mse_loss"]


def _mse_loss(
    x: Array,
    target: Array,
    *,
    reduction: str = "mean",
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Squared error of each element.

    ::

        loss[i] = (x[i] - target[i])^2
        y       = mean over i of loss[i],  or the sum,  or loss itself

    Parameters
    ----------
    x : any shape
        Predictions, float32 or float64.
    target : the shape of x
        Targets, of the same dtype.
    reduction
        ``"mean"`` over all elements, ``"sum"`` or ``"none"``.
    out : scalar or the shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape (), or the shape of x for ``"none"``
        Of the dtype of x. NaN stays NaN. For an empty x the mean is NaN and the sum 0.
        ``backward`` gives ``(x, target)``: dx[i] = 2 (x[i] - target[i]) g[i] with g[i] = dy over
        the number of elements, dy or dy[i], and dtarget = -dx.

    Raises
    ------
    ShapeError
        If x and target have different shapes.
    DtypeError
        If an array is not float32 or float64, or dtypes differ.
    OptionError
        If `reduction` is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 3 FLOP per element and the bytes of x and target once; backward as much again,
    and the bytes of each gradient. The sum is float64 inside, block by block in a fixed order. See
    C. Bishop, "Pattern Recognition and Machine Learning" (Springer 2006), equation 1.2, which has a
    half that PyTorch and this leave out.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> y, ctx = fastnn.mse_loss.forward(np.array([1.0, 5.0]), np.array([0.0, 2.0]))
    >>> y
    array(5.)
    >>> fastnn.mse_loss.backward(ctx, np.ones_like(y)).x
    array([1., 3.])
    """
    call, arrays = _describe("mse_loss", "mse", x, target, reduction)
    return Described(call, arrays, out, backend)


def _l1_loss(
    x: Array,
    target: Array,
    *,
    reduction: str = "mean",
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Absolute error of each element.

    ::

        loss[i] = |x[i] - target[i]|
        y       = mean over i of loss[i],  or the sum,  or loss itself

    Parameters
    ----------
    x : any shape
        Predictions, float32 or float64.
    target : the shape of x
        Targets, of the same dtype.
    reduction
        ``"mean"`` over all elements, ``"sum"`` or ``"none"``.
    out : scalar or the shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape (), or the shape of x for ``"none"``
        Of the dtype of x. NaN stays NaN. For an empty x the mean is NaN and the sum 0.
        ``backward`` gives ``(x, target)``: dx[i] = sign(x[i] - target[i]) g[i], where the sign of
        0 is 0 and that of NaN is NaN, with g[i] = dy over the number of elements, dy or dy[i],
        and dtarget = -dx.

    Raises
    ------
    ShapeError
        If x and target have different shapes.
    DtypeError
        If an array is not float32 or float64, or dtypes differ.
    OptionError
        If `reduction` is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 3 FLOP per element and the bytes of x and target once; backward as much again,
    and the bytes of each gradient. The sum is float64 inside, block by block in a fixed order. See
    S. Boyd, L. Vandenberghe, "Convex Optimization" (Cambridge 2004), section 6.1.1.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> y, ctx = fastnn.l1_loss.forward(np.array([1.0, 2.0]), np.array([5.0, 2.0]))
    >>> y
    array(2.)
    >>> fastnn.l1_loss.backward(ctx, np.ones_like(y)).x
    array([-0.5,  0. ])
    """
    call, arrays = _describe("l1_loss", "l1", x, target, reduction)
    return Described(call, arrays, out, backend)


def _huber_loss(
    x: Array,
    target: Array,
    *,
    reduction: str = "mean",
    delta: float = 1.0,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Huber's loss of each element: squared where the error is small, absolute beyond.

    ::

        d       = x[i] - target[i]
        loss[i] = d^2 / 2 if |d| <= delta, else delta * (|d| - delta / 2)
        y       = mean over i of loss[i],  or the sum,  or loss itself

    Parameters
    ----------
    x : any shape
        Predictions, float32 or float64.
    target : the shape of x
        Targets, of the same dtype.
    delta
        Where the loss goes on straight; positive and finite.
    reduction
        ``"mean"`` over all elements, ``"sum"`` or ``"none"``.
    out : scalar or the shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape (), or the shape of x for ``"none"``
        Of the dtype of x. NaN stays NaN. For an empty x the mean is NaN and the sum 0.
        ``backward`` gives ``(x, target)``: dx[i] = max(-delta, min(d, delta)) g[i] with g[i] = dy
        over the number of elements, dy or dy[i], and dtarget = -dx.

    Raises
    ------
    ShapeError
        If x and target have different shapes.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or `delta` is no number.
    OptionError
        If `reduction` or `delta` is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 6 FLOP per element and the bytes of x and target once; backward as much again,
    and the bytes of each gradient. The sum is float64 inside, block by block in a fixed order. See
    P. Huber, "Robust Estimation of a Location Parameter" (Annals of Mathematical Statistics 35,
    1964), example (iii) of section 1; with delta = 1 it is the smooth L1 loss.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> y, ctx = fastnn.huber_loss.forward(np.array([0.5, 4.0]), np.zeros(2), reduction="none")
    >>> y
    array([0.125, 3.5  ])
    >>> fastnn.huber_loss.backward(ctx, np.ones_like(y)).x
    array([0.5, 1. ])
    """
    call, arrays = _describe("huber_loss", "huber", x, target, reduction, delta=delta)
    return Described(call, arrays, out, backend)


def _binary_cross_entropy_with_logits(
    x: Array,
    target: Array,
    *,
    w: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Cross-entropy between the sigmoid of each logit and the probability of a yes.

    ::

        softplus(v) = log(1 + exp(v))
        loss[i]     = w[i] * (pos_weight[i] * target[i] * softplus(-x[i])
                              + (1 - target[i]) * softplus(x[i]))
        y           = mean over i of loss[i],  or the sum,  or loss itself

    with no exponential but that of -|x[i]|, so that none overflows. The mean divides by the number
    of elements, whatever the weights are.

    Parameters
    ----------
    x : any shape
        Logits, float32 or float64.
    target : the shape of x
        Probabilities, not checked to be from 0 to 1, of the same dtype.
    w : an array that broadcasts to the shape of x, optional
        Weights of the elements; a constant without gradient.
    pos_weight : an array that broadcasts to the shape of x, optional
        Weights of the positive part, usually one for each class (the last axis); as `w`.
    reduction
        ``"mean"`` over all elements, ``"sum"`` or ``"none"``.
    out : scalar or the shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape (), or the shape of x for ``"none"``
        Of the dtype of x. NaN stays NaN; an infinite logit gives infinity, 0, or NaN where it
        meets a factor 0. For an empty x the mean is NaN and the sum 0.
        ``backward`` gives ``(x, target)``, with s = 1 / (1 + exp(x[i])): dx[i] = (1 - target[i] -
        (1 - target[i] + pos_weight[i] target[i]) s) w[i] g[i] and dtarget[i] = ((pos_weight[i] -
        1) softplus(-x[i]) - x[i]) w[i] g[i]; g[i] = dy over the number of elements, dy or dy[i].

    Raises
    ------
    ShapeError
        If x and target have different shapes, or a weight does not broadcast to them.
    DtypeError
        If an array is not float32 or float64, or dtypes differ.
    OptionError
        If `reduction` is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs about 9 FLOP per element, an exponential and a logarithm counted as one each,
    and the bytes of x, target and weights once; backward as much again, and the bytes of each
    gradient. Weights that broadcast are spread to the shape of x first. The sum is float64 inside,
    block by block in a fixed order; log(1 + e) is a series of our own. See I. Goodfellow,
    Y. Bengio, A. Courville, "Deep Learning" (MIT Press 2016), equations 6.24 to 6.26.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([0.0, 1000.0])
    >>> y, ctx = fastnn.binary_cross_entropy_with_logits.forward(x, np.array([1.0, 1.0]))
    >>> float(y.round(4))
    0.3466
    >>> fastnn.binary_cross_entropy_with_logits.backward(ctx, np.ones_like(y)).x
    array([-0.25,  0.  ])
    """
    op = "binary_cross_entropy_with_logits"
    weights = {"w": w, "pos_weight": pos_weight}
    call, (x, target) = _describe(
        op, "bce", x, target, reduction, weight=w is not None, pos_weight=pos_weight is not None
    )
    spread = [_spread(op, name, value, x) for name, value in weights.items()]
    return Described(call, (x, target, *spread), out, backend)


def _kl_div(
    x: Array,
    target: Array,
    *,
    reduction: str = "mean",
    log_target: bool = False,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Kullback-Leibler divergence of log-probabilities from target probabilities, per element.

    ::

        loss[i] = target[i] * (log(target[i]) - x[i])
                  or, with log_target,  exp(target[i]) * (target[i] - x[i])
        y       = mean over i of loss[i],  or the sum,  or the sum over N,  or loss itself

    As in PyTorch, x are logarithms and come first, and only ``"batchmean"`` gives the divergence
    itself, the mean over samples of a sum over their elements.

    Parameters
    ----------
    x : any shape
        Logarithms of probabilities, float32 or float64.
    target : the shape of x
        Probabilities, or their logarithms with `log_target`, of the same dtype.
    log_target
        Whether the target holds logarithms.
    reduction
        ``"mean"`` over all elements, ``"sum"`` or ``"none"``, or
        ``"batchmean"``, the sum over N, the first axis.
    out : scalar or the shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape (), or the shape of x for ``"none"``
        Of the dtype of x. For a target of 0, 0 log 0 = 0, but its product with an infinite x is
        NaN; a negative target gives NaN. For an empty x the mean is NaN and the sum 0.
        ``backward`` gives ``(x, target)``: dx[i] = -target[i] g[i] and dtarget[i] =
        (log(target[i]) + 1 - x[i]) g[i], -inf at 0; with `log_target` dx[i] = -exp(target[i]) g[i]
        and dtarget[i] = exp(target[i]) (target[i] - x[i] + 1) g[i]; g[i] = dy over the mean's
        divisor, dy or dy[i].

    Raises
    ------
    ShapeError
        If x and target have different shapes, or have no axis for ``"batchmean"``.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or `log_target` is no bool.
    OptionError
        If `reduction` is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 4 FLOP per element, a logarithm or exponential counted as one, and the bytes of x
    and target once; backward as much again, and the bytes of each gradient. The logarithm is the C
    library's. The sum is float64 inside, of blocks of 8192 elements in their order. See T. Cover,
    J. Thomas, "Elements of Information Theory" (Wiley 2006), equation 2.26.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.log([[0.5, 0.5]])
    >>> y, ctx = fastnn.kl_div.forward(x, np.array([[1.0, 0.0]]), reduction="batchmean")
    >>> float(y.round(4))
    0.6931
    >>> fastnn.kl_div.backward(ctx, np.ones_like(y), needs=("x",)).x
    array([[-1., -0.]])
    """
    op = "kl_div"
    kind = "kl_log" if _check.flag(op, "log_target", log_target) else "kl"
    call, arrays = _describe(op, kind, x, target, reduction, (*REDUCTIONS, "batchmean"))
    return Described(call, arrays, out, backend)


def _describe(
    op: str,
    kind: str,
    x: Any,
    target: Any,
    reduction: Any,
    reductions: tuple[str, ...] = REDUCTIONS,
    *,
    delta: Any = 1.0,
    **weights: bool,
) -> tuple[PointCall, tuple[Array, Array]]:
    """The call and its two arrays: every rule that these losses have in common."""
    x = _check.array(op, "x", x)
    target = _check.array(op, "target", target)
    _check.same_dtype(op, "x", x, target=target)
    chosen = _check.choice(op, "reduction", reduction, reductions)
    delta = _check.real(op, "delta", delta)
    call = PointCall(_check.dtype_name(x), kind, x.shape, chosen, delta=delta, **weights)
    return _checked(op, call, target.shape), (x, target)


@lru_cache(4096)
def _checked(op: str, call: PointCall, target: tuple[int, ...]) -> PointCall:
    """`call`, once every rule about sizes and options holds."""
    if target != call.x:
        raise ShapeError(
            f"{op}: target has shape {target} but x has {call.x}; these must be the same"
        )
    if call.reduction == "batchmean" and not call.x:
        raise ShapeError(
            f"{op}: x has 0 axes, shape (), and reduction='batchmean'; it must be N ..."
        )
    if not 0 < call.delta < math.inf:
        raise OptionError(f"{op}: delta={call.delta}; it must be a positive finite number")
    return call


def _spread(op: str, name: str, value: Any, x: Array) -> Array | None:
    """Weights broadcast to the shape of x; None for None."""
    if value is None:
        return None
    a = _check.array(op, name, value)
    _check.same_dtype(op, "x", x, **{name: a})
    if a.shape == x.shape:
        return a
    fits = all(own in (1, size) for own, size in zip(a.shape[::-1], x.shape[::-1], strict=False))
    if a.ndim > x.ndim or not fits:
        raise ShapeError(
            f"{op}: {name} has shape {a.shape} but x has {x.shape}; {name} must broadcast to it"
        )
    return np.array(np.broadcast_to(a, x.shape), order="C")


mse_loss = Op(
    _mse_loss,
    returns=Array,
    grads=PointGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=cases.mse_loss_cases,
    errors=cases.mse_loss_errors,
    terms=spec.terms,
    exact=False,
    smooth=True,
)

l1_loss = Op(
    _l1_loss,
    returns=Array,
    grads=PointGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=cases.l1_loss_cases,
    errors=cases.l1_loss_errors,
    terms=spec.terms,
    exact=False,
)

huber_loss = Op(
    _huber_loss,
    returns=Array,
    grads=PointGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=cases.huber_loss_cases,
    errors=cases.huber_loss_errors,
    terms=spec.terms,
    exact=False,
)

binary_cross_entropy_with_logits = Op(
    _binary_cross_entropy_with_logits,
    returns=Array,
    grads=PointGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=cases.binary_cross_entropy_with_logits_cases,
    errors=cases.binary_cross_entropy_with_logits_errors,
    terms=spec.terms,
    draw={"target": cases.draw_unit},
    exact=False,
    smooth=True,
)

kl_div = Op(
    _kl_div,
    returns=Array,
    grads=PointGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=cases.kl_div_cases,
    errors=cases.kl_div_errors,
    terms=spec.terms,
    draw={"x": cases.draw_logs, "target": cases.draw_unit},
    exact=False,
    smooth=True,
)
