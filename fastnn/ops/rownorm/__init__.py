"""Normalisation of rows of one sample: the fronts with their docstrings, and the operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.ops.rownorm import describe, spec
from fastnn.ops.rownorm.spec import NormGrads, RMSNormGrads

__all__ = ["group_norm", "instance_norm", "layer_norm", "rms_norm"]

_SHARED: dict[str, Any] = {
    "impls": ["cython:twopass", "numba:twopass", "naive"],
    "terms": spec.terms,
    "gain": spec.gain,
    "exact": False,
    "smooth": True,
}


def _layer_norm(
    x: Array,
    normalized_shape: int | Sequence[int],
    w: Array | None = None,
    b: Array | None = None,
    *,
    eps: float = 1e-5,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Layer normalisation: each row shifted and scaled to mean 0 and variance 1, then affine.

    ::

        y[r,i]  = (x[r,i] - mean[r]) / sqrt(var[r] + eps) * w[i] + b[i]

        mean[r] = sum over i of x[r,i] / M
        var[r]  = sum over i of (x[r,i] - mean[r])^2 / M

    where i runs over the last axes, of sizes `normalized_shape`, M is how many numbers they have,
    and r runs over all axes before them.

    Parameters
    ----------
    x : ... normalized_shape
        Input, float32 or float64; any axes before the normalised ones, or none.
    normalized_shape
        Sizes of the last axes of x, a whole number for one axis.
    w : normalized_shape, optional
        Scale, 1 if not given, of the same dtype.
    b : normalized_shape, optional
        Shift, 0 if not given, of the same dtype.
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
        The variance is the biased one, there are no running statistics, and training and
        evaluation are the same. A row of equal numbers gives b. A NaN or an infinity makes its
        whole row NaN, and no other. An empty batch gives an empty result.
        ``backward`` gives ``(x, w, b)``; None for w or b if there was none. With xhat the
        normalised x and g = dy w: dw = sum over r of dy xhat, db = sum over r of dy, dx =
        (g - mean of g - xhat mean of g xhat) / sqrt(var + eps), its means over the row.

    Raises
    ------
    ShapeError
        If sizes do not fit, or a normalised axis has size 0.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option has the wrong type.
    OptionError
        If eps is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs about 8 FLOP per number, and the bytes of x and of y once each where a row fits the
    cache. Statistics are two-pass with float64 totals, so a mean far from 0 costs no digits;
    squares of a float32 row are float32, so deviations beyond 1e18 overflow. The bits of a row do
    not depend on the rows beside it. See J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer
    normalization" (arXiv 1607.06450), equations 3 and 4.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[1.0, 3.0], [10.0, 30.0]])
    >>> y, ctx = fastnn.layer_norm.forward(x, 2, w=np.array([1.0, 2.0]))
    >>> y.round(3)
    array([[-1.,  2.],
           [-1.,  2.]])
    >>> fastnn.layer_norm.backward(ctx, np.ones((2, 2))).w.round(3)
    array([-2.,  2.])
    """
    op = "layer_norm"
    sizes = describe.axes(op, normalized_shape)
    x, w, b, eps = describe.arguments(op, x, w, b, eps)
    call = describe.trailing(
        op, _check.dtype_name(x), x.shape, sizes, describe.shape(w), describe.shape(b), True, eps
    )
    return Described(call, (x, w, b), out, backend)


def _rms_norm(
    x: Array,
    normalized_shape: int | Sequence[int],
    w: Array | None = None,
    *,
    eps: float | None = None,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """RMS normalisation: each row divided by its root mean square, then scaled.

    ::

        y[r,i]  = x[r,i] / sqrt(mean[r] + eps) * w[i]

        mean[r] = sum over i of x[r,i]^2 / M

    where i runs over the last axes, of sizes `normalized_shape`, M is how many numbers they have,
    and r runs over all axes before them.

    Parameters
    ----------
    x : ... normalized_shape
        Input, float32 or float64; any axes before the normalised ones, or none.
    normalized_shape
        Sizes of the last axes of x, a whole number for one axis.
    w : normalized_shape, optional
        Scale, 1 if not given, of the same dtype.
    eps
        Added to the mean square, positive; None is the machine epsilon of the dtype of x, about
        1.2e-7 for float32 and 2.2e-16 for float64.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:twopass") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        A row of zeros gives zeros. A NaN makes its whole row NaN, and no other; an infinity makes
        itself NaN and the rest of its row 0. An empty batch gives an empty result.
        ``backward`` gives ``(x, w)``; None for w if there was none. With xhat the normalised x and
        g = dy w: dw = sum over r of dy xhat, dx = (g - xhat mean of g xhat) / sqrt(mean[r] +
        eps), its mean over the row.

    Raises
    ------
    ShapeError
        If sizes do not fit, or a normalised axis has size 0.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option has the wrong type.
    OptionError
        If eps is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs about 4 FLOP per number, and the bytes of x and of y once each where a row fits the
    cache. Sums have float64 totals; squares of a float32 row are float32, so numbers beyond 1e18
    overflow. The bits of a row do not depend on the rows beside it. See B. Zhang, R. Sennrich,
    "Root mean square layer normalization" (arXiv 1910.07467), equation 4.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[3.0, 4.0], [30.0, 40.0]])  # mean squares 12.5 and 1250
    >>> fastnn.rms_norm(x, 2, w=np.array([12.5**0.5, 0.0])).round(3)
    array([[3., 0.],
           [3., 0.]])
    """
    op = "rms_norm"
    sizes = describe.axes(op, normalized_shape)
    x = _check.array(op, "x", x)
    x, w, _, eps = describe.arguments(op, x, w, None, np.finfo(x.dtype).eps if eps is None else eps)
    call = describe.trailing(
        op, _check.dtype_name(x), x.shape, sizes, describe.shape(w), None, False, eps
    )
    return Described(call, (x, w), out, backend)


def _group_norm(
    x: Array,
    num_groups: int,
    w: Array | None = None,
    b: Array | None = None,
    *,
    eps: float = 1e-5,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Group normalisation: mean 0 and variance 1 for every group of channels of a sample, affine.

    ::

        y[n,c,...] = (x[n,c,...] - mean[n,g]) / sqrt(var[n,g] + eps) * w[c] + b[c]

        mean[n,g]  = sum over c in group g and ... of x[n,c,...] / M
        var[n,g]   = sum over c in group g and ... of (x[n,c,...] - mean[n,g])^2 / M

    where group g has the channels from g C/G to (g + 1) C/G - 1, G is `num_groups` and M is how
    many numbers a group of a sample has.

    Parameters
    ----------
    x : N C ...
        Input, N C, N C L, N C H W or more axes, float32 or float64.
    num_groups
        G; C must be a multiple of it. 1 is layer normalisation of whole samples with an affine
        map per channel, C is instance normalisation.
    w : C, optional
        Scale, 1 if not given, of the same dtype.
    b : C, optional
        Shift, 0 if not given, of the same dtype.
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
        The variance is the biased one, there are no running statistics, and training and
        evaluation are the same. A group of equal numbers gives b. A NaN or an infinity makes its
        whole group of its sample NaN, and no other. An empty batch gives an empty result.
        ``backward`` gives ``(x, w, b)``; None for w or b if there was none. With xhat the
        normalised x and s = dy w: dw = sum over n,... of dy xhat, db = sum over n,... of dy, dx =
        (s - mean of s - xhat mean of s xhat) / sqrt(var + eps), its means over the group.

    Raises
    ------
    ShapeError
        If sizes do not fit, or only the batch of x may have size 0 and another axis has.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option has the wrong type.
    OptionError
        If eps is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs about 8 FLOP per number, and the bytes of x and of y once each where a group of a sample
    fits the cache. Statistics are two-pass with float64 totals, so a mean far from 0 costs no
    digits; squares of float32 numbers are float32, so deviations beyond 1e18 overflow. The bits
    of a sample do not depend on the samples beside it. See Y. Wu, K. He, "Group normalization"
    (arXiv 1803.08494), equations 1, 2 and 7.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[1.0, 3.0, 10.0, 30.0]])
    >>> fastnn.group_norm(x, 2).round(3)
    array([[-1.,  1., -1.,  1.]])
    >>> fastnn.group_norm(x, 1).round(3)
    array([[-0.872, -0.698, -0.087,  1.657]])
    """
    op = "group_norm"
    groups = _check.whole(op, "num_groups", num_groups, 1)
    x, w, b, eps = describe.arguments(op, x, w, b, eps)
    call = describe.channels(
        op, _check.dtype_name(x), x.shape, groups, describe.shape(w), describe.shape(b), eps
    )
    return Described(call, (x, w, b), out, backend)


def _instance_norm(
    x: Array,
    w: Array | None = None,
    b: Array | None = None,
    *,
    eps: float = 1e-5,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Instance normalisation: mean 0 and variance 1 for every channel of a sample, then affine.

    ::

        y[n,c,...] = (x[n,c,...] - mean[n,c]) / sqrt(var[n,c] + eps) * w[c] + b[c]

        mean[n,c]  = sum over ... of x[n,c,...] / M
        var[n,c]   = sum over ... of (x[n,c,...] - mean[n,c])^2 / M

    where M is how many numbers a channel of a sample has. It is group normalisation with a group
    per channel. There are **no running statistics**: those of the sample serve in training and in
    evaluation, as with PyTorch's ``use_input_stats=True``.

    Parameters
    ----------
    x : N C ...
        Input, N C L, N C H W or more axes, float32 or float64.
    w : C, optional
        Scale, 1 if not given, of the same dtype.
    b : C, optional
        Shift, 0 if not given, of the same dtype.
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
        The variance is the biased one. A channel of equal numbers, so also of a single one, gives
        b. A NaN or an infinity makes its whole channel of its sample NaN, and no other. An empty
        batch gives an empty result.
        ``backward`` gives ``(x, w, b)``; None for w or b if there was none. With xhat the
        normalised x: dw = sum over n,... of dy xhat, db = sum over n,... of dy, dx = w / sqrt(var +
        eps) (dy - mean of dy - xhat mean of dy xhat), its means over the channel of a sample.

    Raises
    ------
    ShapeError
        If sizes do not fit, or an axis other than the batch has size 0.
    DtypeError
        If an array is not float32 or float64, dtypes differ, or an option has the wrong type.
    OptionError
        If eps is out of range.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs about 8 FLOP per number, and the bytes of x and of y once each where a channel of a
    sample fits the cache. Statistics are two-pass with float64 totals, so a mean far from 0 costs
    no digits; squares of float32 numbers are float32, so deviations beyond 1e18 overflow. The
    bits of a sample do not depend on the samples beside it. See D. Ulyanov, A. Vedaldi,
    V. Lempitsky, "Instance normalization: the missing ingredient for fast stylization" (arXiv
    1607.08022), equation 4.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[1.0, 3.0], [10.0, 30.0]]])
    >>> fastnn.instance_norm(x, b=np.array([0.0, 5.0])).round(3)
    array([[[-1.,  1.],
            [ 4.,  6.]]])
    """
    op = "instance_norm"
    x, w, b, eps = describe.arguments(op, x, w, b, eps)
    call = describe.channels(
        op, _check.dtype_name(x), x.shape, None, describe.shape(w), describe.shape(b), eps
    )
    return Described(call, (x, w, b), out, backend)


layer_norm = Op(
    _layer_norm,
    returns=Array,
    grads=NormGrads,
    cases=spec.layer_norm_cases,
    errors=spec.layer_norm_errors,
    **_SHARED,
)

group_norm = Op(
    _group_norm,
    returns=Array,
    grads=NormGrads,
    cases=spec.group_norm_cases,
    errors=spec.group_norm_errors,
    **_SHARED,
)

instance_norm = Op(
    _instance_norm,
    returns=Array,
    grads=NormGrads,
    cases=spec.instance_norm_cases,
    errors=spec.instance_norm_errors,
    **_SHARED,
)

rms_norm = Op(
    _rms_norm,
    returns=Array,
    grads=RMSNormGrads,
    cases=spec.rms_norm_cases,
    errors=spec.rms_norm_errors,
    **_SHARED,
)
