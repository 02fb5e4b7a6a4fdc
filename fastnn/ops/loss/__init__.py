"""Losses of scores against classes: the fronts with their docstrings and checks, and the objects.

Losses that are a sum over elements are in `fastnn.ops.pointwise_loss`.
"""

from __future__ import annotations

import math
from functools import lru_cache

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import OptionError, ShapeError
from fastnn.ops.loss import cases, spec
from fastnn.ops.loss.spec import LossCall, LossGrads, SoftLossGrads

__all__ = ["multi_margin_loss", "soft_cross_entropy", "softmax_cross_entropy"]


def _softmax_cross_entropy(
    x: Array,
    labels: Array,
    *,
    w: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Cross-entropy between the softmax of logits and true classes: the negative log-likelihood.

    ::

        logp[n,c,...] = x[n,c,...] - log(sum over d of exp(x[n,d,...]))
        q[n,c,...]    = (1 - label_smoothing) * [c == labels[n,...]] + label_smoothing / C
        loss[n,...]   = -sample_weight[n,...] * sum over c of w[c] * q[n,c,...] * logp[n,c,...]
        y             = sum of loss / sum of sample_weight[n,...] * w[labels[n,...]],
                        or the sum of loss, or loss itself

    with the largest logit taken off x, so that no exponential overflows. Both sums, and so the
    mean, leave out the samples whose label is `ignore_index`.

    Parameters
    ----------
    x : N C ...
        Logits, float32 or float64.
    labels : N ...
        True classes, whole numbers from 0 to C-1, or `ignore_index`, of any integer dtype.
    w : C, optional
        Weights of the classes, of x's dtype; a constant without gradient.
    sample_weight : N ..., optional
        Weights of the samples, as `w`.
    ignore_index
        Samples with this label have loss 0 and gradient 0, whatever their logits are.
    label_smoothing
        From 0 to 1, the share of every true class that is spread evenly over all classes.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``.
    out : scalar or N ..., optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape (), or N ... for ``"none"``
        Of the dtype of x. A sample with a logit that is NaN or +inf, or with nothing but -inf,
        gives NaN; a true class whose logit is -inf gives +inf. If no sample counts, because the
        batch is empty or all is ignored, the mean is NaN, as PyTorch's, and the sum is 0.
        ``backward`` gives ``(x,)``: dx[n,c] = (softmax(x[n])[c]
        * sum over d of w[d] q[n,d] - w[c] q[n,c]) * g[n], where g[n] is sample_weight[n] times dy
        over the mean's divisor, dy or dy[n]. Labels and weights have no gradient.

    Raises
    ------
    ShapeError
        If shapes do not fit, C is 0, or a label is neither in [0, C) nor `ignore_index`.
    DtypeError
        If x is not float32 or float64, dtypes differ, or labels are no integers.
    OptionError
        If `reduction` or `label_smoothing` is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs about 4 FLOP per logit, an exponential counted as one, and the bytes of x and
    labels once; backward as much again, and the bytes of dx. Axes after C cost a transposed copy
    of x, and of dx. Losses and their sum are float64 inside. The rule for the mean is PyTorch's.
    See I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning" (MIT Press 2016), equations 6.29
    to 6.33, and C. Szegedy et al., "Rethinking the Inception Architecture" (CVPR 2016), section 7.
    Probabilities as targets are `soft_cross_entropy`.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[0.0, 0.0], [1000.0, 0.0]])
    >>> fastnn.softmax_cross_entropy(x, [1, 0], reduction="none").round(4)
    array([0.6931, 0.    ])
    >>> y, ctx = fastnn.softmax_cross_entropy.forward(x, [1, 0])
    >>> fastnn.softmax_cross_entropy.backward(ctx, np.ones_like(y)).x
    array([[ 0.25, -0.25],
           [ 0.  ,  0.  ]])
    >>> float(fastnn.softmax_cross_entropy(x, [1, -100]).round(4))
    0.6931
    """
    op = "softmax_cross_entropy"
    x = _check.array(op, "x", x)
    labels = _check.labels(op, "labels", labels)
    if w is not None or sample_weight is not None:
        w = _check.optional(op, "w", w)
        sample_weight = _check.optional(op, "sample_weight", sample_weight)
        _check.same_dtype(op, "x", x, w=w, sample_weight=sample_weight)
    # Options of these types are keys that mean one thing (True and 1.0 are equal to 1): the
    # common call is one look-up.
    if not (
        type(reduction) is str and type(ignore_index) is int and type(label_smoothing) is float
    ):
        reduction = _check.choice(op, "reduction", reduction, spec.REDUCTIONS)
        ignore_index = _check.whole(op, "ignore_index", ignore_index, -_check.MOST)
        label_smoothing = _check.real(op, "label_smoothing", label_smoothing)
    call = _describe_entropy(
        op,
        _check.dtype_name(x),
        x.shape,
        reduction,
        False,
        ignore_index,
        label_smoothing,
        labels.shape,
        None if w is None else w.shape,
        None if sample_weight is None else sample_weight.shape,
    )
    also = ("ignore_index", call.ignore_index)
    _check.below(op, "labels", labels, x.shape[1], "x has C={} classes", also)
    return Described(call, (x, labels, w, sample_weight), out, backend)


def _soft_cross_entropy(
    x: Array,
    target: Array,
    *,
    w: Array | None = None,
    sample_weight: Array | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Cross-entropy between the softmax of logits and probabilities of the classes.

    ::

        logp[n,c,...] = x[n,c,...] - log(sum over d of exp(x[n,d,...]))
        q[n,c,...]    = (1 - label_smoothing) * target[n,c,...] + label_smoothing / C
        loss[n,...]   = -sample_weight[n,...] * sum over c of w[c] * q[n,c,...] * logp[n,c,...]
        y             = sum of loss / sum of sample_weight, or the sum of loss, or loss itself

    It is what torch.nn.functional.cross_entropy does with float targets: the mean divides by the
    number of samples (the sum of their weights, if given), not by class weights.

    Parameters
    ----------
    x : N C ...
        Logits, float32 or float64.
    target : N C ...
        Probabilities, of the same dtype. That they add up to 1 is not checked, nor needed.
    w : C, optional
        Weights of the classes; a constant without gradient.
    sample_weight : N ..., optional
        Weights of the samples, as `w`.
    label_smoothing
        From 0 to 1, the share of the target that is spread evenly over all classes.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``.
    out : scalar or N ..., optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape (), or N ... for ``"none"``
        Of the dtype of x. A logit that is NaN or +inf gives NaN, and so does one that is -inf
        where the target is 0 (0 times infinity). For an empty batch the mean is NaN, the sum 0.
        ``backward`` gives ``(x, target)``: dx[n,c] = (softmax(x[n])[c] * sum over d of w[d] q[n,d]
        - w[c] q[n,c]) * g[n] and dtarget[n,c] = -(1 - label_smoothing) * w[c] * logp[n,c] * g[n],
        where g[n] is sample_weight[n] times dy over the mean's divisor, dy or dy[n].

    Raises
    ------
    ShapeError
        If shapes do not fit, or C is 0.
    DtypeError
        If an array is not float32 or float64, or dtypes differ.
    OptionError
        If `reduction` or `label_smoothing` is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs about 7 FLOP per logit, an exponential counted as one, and the bytes of x and
    target once; backward as much again, and the bytes of dx and dtarget. Axes after C cost
    transposed copies. Losses and their sum are float64 inside. See C. Bishop, "Pattern Recognition
    and Machine Learning" (Springer 2006), equations 4.108 and 4.109.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.log([[1.0, 3.0]])
    >>> y, ctx = fastnn.soft_cross_entropy.forward(x, np.array([[0.5, 0.5]]))
    >>> float(y.round(4))
    0.837
    >>> fastnn.soft_cross_entropy.backward(ctx, np.ones_like(y)).x.round(4)
    array([[-0.25,  0.25]])
    """
    op = "soft_cross_entropy"
    x = _check.array(op, "x", x)
    target = _check.array(op, "target", target)
    w = _check.optional(op, "w", w)
    sample_weight = _check.optional(op, "sample_weight", sample_weight)
    _check.same_dtype(op, "x", x, target=target, w=w, sample_weight=sample_weight)
    call = _describe_entropy(
        op,
        _check.dtype_name(x),
        x.shape,
        _check.choice(op, "reduction", reduction, spec.REDUCTIONS),
        True,
        -1,
        _check.real(op, "label_smoothing", label_smoothing),
        target.shape,
        None if w is None else w.shape,
        None if sample_weight is None else sample_weight.shape,
    )
    return Described(call, (x, target, w, sample_weight), out, backend)


def _multi_margin_loss(
    x: Array,
    labels: Array,
    *,
    p: int = 1,
    margin: float = 1.0,
    w: Array | None = None,
    divide_by_classes: bool = True,
    reduction: str = "mean",
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Multi-class hinge loss: the true class's score must lead each other one by a margin.

    ::

        loss[n] = w[t] / C * sum over c != t of max(0, x[n,c] - x[n,t] + margin)^p,  t = labels[n]
        y       = mean over n of loss[n],  or the sum,  or loss itself

    The division by C is PyTorch's; with ``divide_by_classes=False`` it is left out, which gives
    the support vector machine of CS231n.

    Parameters
    ----------
    x : N C
        Scores, float32 or float64.
    labels : N
        True classes, whole numbers from 0 to C-1 of any integer dtype.
    p
        1, or 2 for the squared hinge.
    margin
        A finite number.
    w : C, optional
        Weights of the classes, of x's dtype; a constant without gradient. The mean still divides
        by N.
    divide_by_classes
        Whether losses are divided by C.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``.
    out : scalar or N, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape (), or N for ``"none"``
        Of the dtype of x. NaN scores give NaN. For an empty batch the mean is NaN and the sum 0.
        ``backward`` gives ``(x,)``. With p = 1, dx[n,c] is g[n] where class c breaks the margin
        and dx[n,t] minus their sum; g[n] = w[t] / C * dy/N (or dy, or dy[n]). On the margin itself
        the slope is 0. Labels and weights have no gradient.

    Raises
    ------
    ShapeError
        If shapes do not fit, C is 0, or a label is not in [0, C).
    DtypeError
        If x is not float32 or float64, dtypes differ, labels are no integers, or an option has
        the wrong type.
    OptionError
        If `reduction`, `p` or `margin` is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs about 4 N C FLOP and the bytes of x and labels once; backward as much again, and
    the bytes of dx. Losses and their sum are float64 inside. See J. Weston, C. Watkins, "Support
    Vector Machines for Multi-Class Pattern Recognition" (ESANN 1999), section 2.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[3.2, 5.1, -1.7]])
    >>> y, ctx = fastnn.multi_margin_loss.forward(x, [0], divide_by_classes=False)
    >>> float(y.round(4))
    2.9
    >>> fastnn.multi_margin_loss.backward(ctx, np.ones_like(y)).x
    array([[-1.,  1.,  0.]])
    """
    op = "multi_margin_loss"
    x = _check.array(op, "x", x)
    labels = _check.labels(op, "labels", labels)
    w = _check.optional(op, "w", w)
    _check.same_dtype(op, "x", x, w=w)
    call = _describe_margin(
        LossCall(
            _check.dtype_name(x),
            x.shape,
            _check.choice(op, "reduction", reduction, spec.REDUCTIONS),
            weight=w is not None,
            p=_check.whole(op, "p", p, 1),
            margin=_check.real(op, "margin", margin),
            divide_by_classes=_check.flag(op, "divide_by_classes", divide_by_classes),
        ),
        labels.shape,
        None if w is None else w.shape,
    )
    _check.below(op, "labels", labels, x.shape[1], "x has C={} classes")
    return Described(call, (x, labels, w), out, backend)


@lru_cache(4096)
def _describe_entropy(
    op: str,
    dtype: str,
    x: tuple[int, ...],
    reduction: str,
    soft: bool,
    ignore_index: int,
    label_smoothing: float,
    goal: tuple[int, ...],
    w: tuple[int, ...] | None,
    sample_weight: tuple[int, ...] | None,
) -> LossCall:
    """The call of a cross-entropy, once every rule about its sizes and options holds."""
    _check.choice(op, "reduction", reduction, spec.REDUCTIONS)
    _check.whole(op, "ignore_index", ignore_index, -_check.MOST)
    weights = w is not None, sample_weight is not None
    call = LossCall(dtype, x, reduction, soft, *weights, ignore_index, label_smoothing)
    _check_shapes(op, call, goal, w)
    if sample_weight is not None and sample_weight != call.samples:
        raise ShapeError(
            f"{op}: sample_weight has shape {sample_weight} but x has shape {call.x}; "
            f"sample_weight must be {call.samples}"
        )
    if not 0 <= call.label_smoothing <= 1:
        raise OptionError(
            f"{op}: label_smoothing={call.label_smoothing}; it must be a number from 0 to 1"
        )
    return call


@lru_cache(4096)
def _describe_margin(
    call: LossCall, labels: tuple[int, ...], w: tuple[int, ...] | None
) -> LossCall:
    """`call`, once every rule about sizes and options of the hinge loss holds."""
    op = "multi_margin_loss"
    if len(call.x) > 2:
        raise ShapeError(f"{op}: x has {len(call.x)} axes, shape {call.x}; it must be N C")
    _check_shapes(op, call, labels, w)
    if call.p > 2:
        raise OptionError(f"{op}: p={call.p}; it must be 1 or 2")
    if not math.isfinite(call.margin):
        raise OptionError(f"{op}: margin={call.margin}; it must be a finite number")
    return call


def _check_shapes(
    op: str, call: LossCall, goal: tuple[int, ...], w: tuple[int, ...] | None
) -> None:
    """The rules that all these losses have in common; `goal` is labels' or target's shape."""
    if len(call.x) < 2:
        raise ShapeError(f"{op}: x has {len(call.x)} axes, shape {call.x}; it must be N C ...")
    _check.positive_sizes(op, "x", call.x[1:2], "C")
    name, want = ("target", call.x) if call.soft else ("labels", call.samples)
    if goal != want:
        raise ShapeError(f"{op}: {name} has shape {goal} but x has {call.x}; it must be {want}")
    if w is not None and w != call.x[1:2]:
        raise ShapeError(
            f"{op}: w has shape {w} but x has C={call.x[1]} classes; w must be {call.x[1:2]}"
        )


softmax_cross_entropy = Op(
    _softmax_cross_entropy,
    returns=Array,
    grads=LossGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=cases.softmax_cross_entropy_cases,
    errors=cases.softmax_cross_entropy_errors,
    terms=spec.terms,
    draw={"labels": cases.draw_labels, **cases.WEIGHTS},
    exact=False,
    smooth=True,
)

soft_cross_entropy = Op(
    _soft_cross_entropy,
    returns=Array,
    grads=SoftLossGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=cases.soft_cross_entropy_cases,
    errors=cases.soft_cross_entropy_errors,
    terms=spec.terms,
    draw={"target": cases.draw_probabilities, **cases.WEIGHTS},
    exact=False,
    smooth=True,
)

multi_margin_loss = Op(
    _multi_margin_loss,
    returns=Array,
    grads=LossGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=cases.multi_margin_loss_cases,
    errors=cases.multi_margin_loss_errors,
    terms=spec.terms,
    draw={"labels": cases.draw_labels, "w": cases.draw_weight("w")},
    exact=False,
)
