"""Penalties on activations: the front with its docstring and checks, and the operation object."""

from __future__ import annotations

from functools import lru_cache

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import OptionError, ShapeError
from fastnn.ops.sparsity import spec
from fastnn.ops.sparsity.spec import SparsityCall, SparsityGrads

__all__ = ["kl_sparsity"]


def _kl_sparsity(
    x: Array,
    *,
    rho: float = 0.05,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Sparsity penalty: how far each unit's mean activation is from a wished-for small one.

    ::

        m[...] = mean over n of x[n,...]
        y      = sum over ... of  rho * log(rho / m[...]) + (1-rho) * log((1-rho) / (1-m[...]))

    the Kullback-Leibler divergence of coins that show heads with probability m from one with
    probability rho. It is added, times a weight, to the loss of a sparse autoencoder.

    Parameters
    ----------
    x : N ...
        Activations from 0 to 1, as a sigmoid gives them, float32 or float64; a unit for every
        place in the axes after N.
    rho
        The mean that every unit should have, between 0 and 1 and neither.
    out : scalar, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:fused") to run on; a
        command, never a wish.

    Returns
    -------
    y : scalar, an array of shape ()
        Of the dtype of x. A mean of exactly 0 or 1 gives +inf, one outside [0, 1] or of NaN gives
        NaN, and so does an empty batch. Single activations may lie outside.
        ``backward`` gives ``(x,)``: dx[n,...] = dy/N * ((1-rho) / (1 - m[...]) - rho / m[...]), the
        same for all samples; -inf at a mean of 0 and +inf at 1 for a positive dy.

    Raises
    ------
    ShapeError
        If x has no axis, or an axis after N is 0.
    DtypeError
        If x is not float32 or float64, or `rho` is no number.
    OptionError
        If `rho` is not between 0 and 1.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs a FLOP per activation and the bytes of x once; backward the bytes of dx. Means
    and their sum are float64 inside. See A. Ng, "Sparse autoencoder" (CS294A lecture notes,
    Stanford 2011), section 3.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[0.2, 0.0], [0.6, 1.0]])
    >>> y, ctx = fastnn.kl_sparsity.forward(x, rho=0.5)
    >>> float(y.round(4))
    0.0204
    >>> fastnn.kl_sparsity.backward(ctx, np.ones_like(y)).x.round(4)
    array([[-0.2083,  0.    ],
           [-0.2083,  0.    ]])
    """
    x = _check.array("kl_sparsity", "x", x)
    call = _describe(_check.dtype_name(x), x.shape, _check.real("kl_sparsity", "rho", rho))
    return Described(call, (x,), out, backend)


@lru_cache(4096)
def _describe(dtype: str, x: tuple[int, ...], rho: float) -> SparsityCall:
    """The `SparsityCall`; every rule is here."""
    if not x:
        raise ShapeError("kl_sparsity: x has 0 axes, shape (); it must be N ...")
    _check.positive_sizes("kl_sparsity", "x", x[1:], "...")
    if not 0 < rho < 1:
        raise OptionError(f"kl_sparsity: rho={rho}; it must be between 0 and 1 and neither")
    return SparsityCall(dtype, x, rho)


kl_sparsity = Op(
    _kl_sparsity,
    returns=Array,
    grads=SparsityGrads,
    impls=["cython:fused", "numba:fused", "naive"],
    cases=spec.kl_sparsity_cases,
    errors=spec.kl_sparsity_errors,
    terms=spec.terms,
    draw={"x": spec.draw_activations},
    exact=False,
    smooth=True,
)
