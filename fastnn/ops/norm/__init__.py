"""Normalisation: the fronts with their docstrings and checks, and the operation objects."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.ops.norm import spec
from fastnn.ops.norm.spec import NormCall, NormGrads

__all__ = ["batch_norm"]


def _batch_norm(
    x: Array,
    w: Array | None = None,
    b: Array | None = None,
    *,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    convention: str = "torch",
    eps: float = 1e-5,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Batch normalisation: each channel shifted and scaled to mean 0 and variance 1, then affine.

    ::

        y[n,c,...]  = (x[n,c,...] - mean[c]) / sqrt(var[c] + eps) * w[c] + b[c]

        in training:    mean[c] = sum over n,... of x[n,c,...] / M
                        var[c]  = sum over n,... of (x[n,c,...] - mean[c])^2 / M
        in evaluation:  mean[c] = running_mean[c],  var[c] = running_var[c]

    where M is the number of values per channel.

    Parameters
    ----------
    x : N C ...
        Input, N C, N C L, N C H W or more axes, float32 or float64.
    w : C, optional
        Scale, 1 if not given, of the same dtype.
    b : C, optional
        Shift, 0 if not given, of the same dtype.
    running_mean, running_var : C
        Statistics for evaluation, which needs both. In training both or neither may be given, and
        they are **updated in place**, the only inputs that fastnn ever writes to::

            running_mean = (1 - momentum) * running_mean + momentum * mean
            running_var  = (1 - momentum) * running_var  + momentum * var * M / (M - 1)

        so the running variance takes the unbiased variance, though the biased one normalises. For
        that they must be writable, C-contiguous arrays of the dtype of x. An empty batch leaves
        them alone.
    training
        Whether the statistics are the batch's.
    momentum
        Weight of the new value in a running statistic, from 0 to 1; with ``convention="keras"``
        of the old one, and then 0.99 (Keras) or 0.9 (CS231n) is usual.
    convention
        How running statistics move: ``"torch"`` as above, or ``"keras"``, which is CS231n's too::

            running_mean = momentum * running_mean + (1 - momentum) * mean
            running_var  = momentum * running_var  + (1 - momentum) * var

        with the biased variance. `fastnn.ops.norm.conventions` renames parameters.
    eps
        Added to the variance, positive.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:twopass") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        A NaN or an infinity makes its whole channel NaN in training. An empty batch gives an empty
        result.
        ``backward`` gives ``(x, w, b)``; None for w or b if there was none. With xhat the
        normalised x: dw = sum of dy xhat, db = sum of dy, and in training dx = w / sqrt(var + eps)
        (dy - db/M - xhat dw/M). In evaluation the statistics are constants: dx = w / sqrt(var +
        eps) dy; changing them after ``forward`` does not matter, for it keeps a copy.

    Raises
    ------
    ShapeError
        If sizes do not fit, there is only one value per channel in training (its unbiased variance
        is undefined; with ``convention="keras"`` it is allowed, and gives b), or a running
        statistic to be updated is read-only, strided or overlaps another array.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option has the wrong type.
    OptionError
        If running statistics are missing, eps or momentum are out of range, or the convention is
        unknown.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs about 8 FLOP per value in training, 4 in evaluation, and the bytes of x and of y once each
    where a channel fits the cache. Statistics are taken about a mean near the channel's own, with
    float64 totals, so a mean far from 0 costs no digits. See S. Ioffe, C. Szegedy, "Batch
    normalization: accelerating deep network training by reducing internal covariate shift" (arXiv
    1502.03167), algorithms 1 and 2, and section 3 for the gradients.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[1.0, 10.0], [3.0, 10.0]])
    >>> mean, var = np.zeros(2), np.ones(2)
    >>> fastnn.batch_norm(x, running_mean=mean, running_var=var, training=True).round(3)
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> mean, var
    (array([0.2, 1. ]), array([1.1, 0.9]))
    >>> fastnn.batch_norm(x, running_mean=mean, running_var=var).round(3)
    array([[0.763, 9.487],
           [2.67 , 9.487]])
    """
    op = "batch_norm"
    x = _check.array(op, "x", x)
    w = _check.optional(op, "w", w)
    b = _check.optional(op, "b", b)
    training = _check.flag(op, "training", training)
    _check.same_dtype(op, "x", x, w=w, b=b)
    if not training:
        running_mean = _check.optional(op, "running_mean", running_mean)
        running_var = _check.optional(op, "running_var", running_var)
        _check.same_dtype(op, "x", x, running_mean=running_mean, running_var=running_var)
    elif running_mean is not None or running_var is not None:
        _check_updatable("running_mean", running_mean, x, w, b)
        _check_updatable("running_var", running_var, x, w, b, running_mean)
    call = _describe(
        _check.dtype_name(x),
        x.shape,
        None if w is None else w.shape,
        None if b is None else b.shape,
        None if running_mean is None else running_mean.shape,
        None if running_var is None else running_var.shape,
        training,
        _check.real(op, "momentum", momentum),
        _check.choice(op, "convention", convention, ("torch", "keras")),
        _check.real(op, "eps", eps),
    )
    return Described(call, (x, w, b, running_mean, running_var), out, backend)


def _check_updatable(name: str, running: Array | None, x: Array, *others: Array | None) -> None:
    """`running` can be written to in place and is apart from what has to stay as it is."""
    if running is None:
        return
    if not isinstance(running, np.ndarray):
        raise DtypeError(
            f"batch_norm: {name} is {type(running).__name__}; to be updated it must be an array"
        )
    if running.dtype != x.dtype or not running.dtype.isnative:
        raise DtypeError(
            f"batch_norm: x is {x.dtype} but {name} is {running.dtype}; they must be the same"
        )
    if not running.flags.carray:
        raise ShapeError(
            f"batch_norm: {name} is read-only, strided or misaligned, strides {running.strides}; "
            "to be updated it must be a writable C-contiguous array"
        )
    if any(a is not None and np.may_share_memory(running, a) for a in (x, *others)):
        raise ShapeError(
            f"batch_norm: {name} shares memory with another argument; to be updated it must be "
            "an array of its own"
        )


@lru_cache(4096)
def _describe(
    dtype: str,
    x: tuple[int, ...],
    w: tuple[int, ...] | None,
    b: tuple[int, ...] | None,
    running_mean: tuple[int, ...] | None,
    running_var: tuple[int, ...] | None,
    training: bool,
    momentum: float,
    convention: str,
    eps: float,
) -> NormCall:
    """The `NormCall`; every rule about sizes and options is here."""
    op = "batch_norm"
    if len(x) < 2:
        raise ShapeError(f"{op}: x has {len(x)} axes, shape {x}; it must be N C ...")
    _check.positive_sizes(op, "x", x[1:], "C ...")
    running = {"running_mean": running_mean, "running_var": running_var}
    for name, sizes in {"w": w, "b": b, **running}.items():
        if sizes is not None and sizes != x[1:2]:
            raise ShapeError(
                f"{op}: {name} has shape {sizes} but x has C={x[1]} channels; {name} must be "
                f"{x[1:2]}"
            )
    missing = [name for name, sizes in running.items() if sizes is None]
    if missing and not training:
        raise OptionError(
            f"{op}: {' and '.join(missing)} not given with training=False; evaluation needs both "
            "running statistics"
        )
    if len(missing) == 1:
        raise OptionError(f"{op}: {missing[0]} not given; in training give both or neither")
    unbiased = convention == "torch"
    if training and unbiased and x[0] * math.prod(x[2:]) == 1:
        raise ShapeError(
            f"{op}: x has shape {x}, 1 value per channel; training needs at least 2, for the "
            "unbiased variance"
        )
    if not 0 <= momentum <= 1:
        raise OptionError(f"{op}: momentum={momentum}; it must be from 0 to 1")
    if not 0 < eps < math.inf:
        raise OptionError(f"{op}: eps={eps}; it must be positive and finite")
    return NormCall(
        dtype,
        x,
        w is not None,
        b is not None,
        not missing,
        training,
        momentum if unbiased else 1 - momentum,
        unbiased,
        eps,
    )


batch_norm = Op(
    _batch_norm,
    returns=Array,
    grads=NormGrads,
    impls=["cython:twopass", "numba:twopass", "naive"],
    cases=spec.batch_norm_cases,
    errors=spec.batch_norm_errors,
    terms=spec.terms,
    draw={"running_var": spec.draw_variance},
    gain=spec.gain,
    exact=False,
    smooth=True,
    updates=("running_mean", "running_var"),
)
