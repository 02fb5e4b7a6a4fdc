"""Linear layers: the fronts with their docstrings and checks, and the operation objects."""

from __future__ import annotations

from functools import lru_cache

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.dense import spec
from fastnn.ops.dense.spec import LinearCall, LinearGrads

__all__ = ["linear"]


def _linear(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Affine map of the last axis: each output is a weighted sum of all inputs.

    ::

        y[...,o] = b[o] + sum over i of  x[...,i] * w[o,i]

    Parameters
    ----------
    x : ... I
        Input, at least one axis, float32 or float64.
    w : O I
        Weights, of the same dtype, laid out as PyTorch's.
    b : O, optional
        Added to every output.
    out : ... O, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:gemm") to run on; a
        command, never a wish.

    Returns
    -------
    y : ... O
        An empty batch gives an empty result.
        ``backward`` gives ``(x, w, b)``; b is None if there was none. With the leading axes of x
        flattened to rows: dx = dy w, dw = transposed dy x, db = the column sums of dy.

    Raises
    ------
    ShapeError
        If sizes do not fit, or I or O is 0.
    DtypeError
        If an array is not float32 or float64, or dtypes differ.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs 2 M I O FLOP for M rows, and the bytes of x, w, b and y once each; each of dx and
    dw costs as much again. See I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning" (MIT Press
    2016), section 6.5.6 for the gradients of a matrix product.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[1.0, 2.0, 3.0]])
    >>> w = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    >>> fastnn.linear(x, w, np.array([10.0, 20.0]))
    array([[11., 26.]])
    >>> y, ctx = fastnn.linear.forward(x, w)
    >>> fastnn.linear.backward(ctx, np.array([[1.0, 2.0]]), needs=("x", "w"))
    LinearGrads(x=array([[3., 2., 2.]]), w=array([[1., 2., 3.],
           [2., 4., 6.]]), b=None)
    """
    x, w, b = _check.weighted("linear", x, w, b)
    call = _describe(_check.dtype_name(x), x.shape, w.shape, None if b is None else b.shape)
    return Described(call, (x, w, b), out, backend)


@lru_cache(4096)
def _describe(
    dtype: str, x: tuple[int, ...], w: tuple[int, ...], b: tuple[int, ...] | None
) -> LinearCall:
    """The `LinearCall`; every rule about sizes is here."""
    if not x:
        raise ShapeError("linear: x has 0 axes, shape (); it must be ... I, at least one axis")
    if len(w) != 2:
        raise ShapeError(f"linear: w has {len(w)} axes, shape {w}; it must be O I")
    _check.positive_sizes("linear", "w", w, "O I")
    if x[-1] != w[1]:
        raise ShapeError(
            f"linear: x has I={x[-1]} inputs, shape {x}, but w takes I={w[1]}; these must be equal"
        )
    if b is not None and b != w[:1]:
        raise ShapeError(f"linear: b has shape {b} but w has O={w[0]} outputs; b must be {w[:1]}")
    return LinearCall(dtype, x, w, b is not None)


linear = Op(
    _linear,
    returns=Array,
    grads=LinearGrads,
    impls=["cython:gemm", "numba:direct", "naive"],
    cases=spec.linear_cases,
    errors=spec.linear_errors,
    terms=spec.terms,
    smooth=True,
)
