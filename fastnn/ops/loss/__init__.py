"""Losses: the fronts with their docstrings and checks, and the operation objects."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.loss import spec
from fastnn.ops.loss.spec import LossCall, LossGrads

__all__ = ["softmax_cross_entropy"]


def _softmax_cross_entropy(
    x: Array,
    labels: Array,
    *,
    reduction: str = "mean",
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Cross-entropy between the softmax of logits and true classes: the negative log-likelihood.

    ::

        loss[n] = log(sum over c of exp(x[n,c])) - x[n, labels[n]]
        y       = mean over n of loss[n],  or the sum,  or loss itself

    computed with the row's maximum taken off x, so that no exponential overflows.

    Parameters
    ----------
    x : N C
        Logits, float32 or float64.
    labels : N
        True classes, whole numbers from 0 to C-1 of any integer dtype.
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
        Of the dtype of x. A row with NaN or +inf, or with nothing but -inf, gives NaN; a true class
        whose logit is -inf gives +inf. For an empty batch the mean is NaN, the sum is 0 and
        ``"none"`` is empty.
        ``backward`` gives ``(x,)``: dx[n,c] = (softmax(x[n])[c] - [c == labels[n]]) * g[n], where
        g[n] is dy/N, dy or dy[n]. It is NaN in rows whose loss is NaN, and nowhere else if dy is
        finite. Labels have no gradient.

    Raises
    ------
    ShapeError
        If shapes do not fit, C is 0, or a label is not in [0, C).
    DtypeError
        If x is not float32 or float64, or labels are no integers.
    OptionError
        If `reduction` is something else.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs about 4 N C FLOP, an exponential counted as one, and the bytes of x and labels
    once; backward as much again, and the bytes of dx. Losses and their sum are float64 inside. See
    I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning" (MIT Press 2016), equations 6.29 to
    6.33.

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
    """
    op = "softmax_cross_entropy"
    x = _check.array(op, "x", x)
    labels = _check.labels(op, "labels", labels)
    call = _describe(
        x.dtype.name,
        x.shape,
        labels.shape,
        _check.choice(op, "reduction", reduction, spec.REDUCTIONS),
    )
    # As unsigned numbers, negative labels are huge: one pass finds both kinds of error.
    if labels.size and labels.view(np.uint64).max() >= x.shape[1]:
        n = int(labels.view(np.uint64).argmax())
        raise ShapeError(
            f"{op}: labels[{n}] is {labels[n]} but x has C={x.shape[1]} classes; labels must be "
            f"from 0 to {x.shape[1] - 1}"
        )
    return Described(call, (x, labels), out, backend)


@lru_cache(4096)
def _describe(dtype: str, x: tuple[int, ...], labels: tuple[int, ...], reduction: str) -> LossCall:
    """The `LossCall`; every rule about sizes is here."""
    op = "softmax_cross_entropy"
    if len(x) != 2:
        raise ShapeError(f"{op}: x has {len(x)} axes, shape {x}; it must be N C")
    _check.positive_sizes(op, "x", x[1:], "C")
    if labels != x[:1]:
        raise ShapeError(
            f"{op}: labels has shape {labels} but x has N={x[0]} rows; labels must be {x[:1]}"
        )
    return LossCall(dtype, x, reduction)


softmax_cross_entropy = Op(
    _softmax_cross_entropy,
    returns=Array,
    grads=LossGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=spec.softmax_cross_entropy_cases,
    errors=spec.softmax_cross_entropy_errors,
    terms=spec.terms,
    draw={"labels": spec.draw_labels},
    exact=False,
    smooth=True,
)
