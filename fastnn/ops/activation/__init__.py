"""Activations: the fronts with their docstrings and checks, and the operation objects."""

from __future__ import annotations

from functools import lru_cache

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.ops.activation import spec
from fastnn.ops.activation.spec import ActivationCall, ActivationGrads

__all__ = ["relu"]


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
    x = _check.array("relu", "x", x)
    return Described(_describe(x.dtype.name, x.shape), (x,), out, backend)


@lru_cache(4096)
def _describe(dtype: str, x: tuple[int, ...]) -> ActivationCall:
    """The call, made once: there are no rules about its sizes."""
    return ActivationCall(dtype, x)


relu = Op(
    _relu,
    returns=Array,
    grads=ActivationGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.relu_cases,
    errors=spec.relu_errors,
    terms=spec.terms,
)
