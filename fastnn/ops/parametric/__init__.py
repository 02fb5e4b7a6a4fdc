"""PReLU: the front with its docstring and checks, and the operation object."""

from __future__ import annotations

from functools import lru_cache

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.parametric import spec
from fastnn.ops.parametric.spec import PreluCall, PreluGrads

__all__ = ["prelu"]


def _prelu(
    x: Array, w: Array, *, out: Array | None = None, backend: str | None = None
) -> Described:
    """Rectified linear unit with a learned slope for negative numbers, one or one per channel.

    ::

        y[n,c,...] = x[n,c,...]          if x[n,c,...] > 0
        y[n,c,...] = w[c] * x[n,c,...]   else,  w[0] for w[c] if there is one weight

    Parameters
    ----------
    x : N C ...
        Input, float32 or float64; any shape if there is one weight.
    w : C or 1
        Slopes, of the same dtype.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        NaN gives NaN. An empty x gives an empty result, with gradient 0 for w.
        ``backward`` gives ``(x, w)``: dx = dy where x > 0, else w dy, so that the slope at 0 is w,
        as in PyTorch; dw[c] = sum of dy x over all numbers of channel c that are not > 0.

    Raises
    ------
    ShapeError
        If w is neither of shape (1,) nor (C,), or `out` has another shape than x.
    DtypeError
        If an array is not float32 or float64, or dtypes differ.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs two FLOP per element, and the bytes of x and of y once each. Backward needs x and
    w, which ``forward`` keeps; dw is added up in an order that follows from the shape alone, in
    float64. See K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers" (arXiv 1502.01852),
    equations 1 and 3.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[-2.0, -2.0], [3.0, -1.0]])
    >>> fastnn.prelu(x, np.array([0.25, 0.5]))
    array([[-0.5, -1. ],
           [ 3. , -0.5]])
    >>> y, ctx = fastnn.prelu.forward(x, np.array([0.25, 0.5]))
    >>> dx, dw = fastnn.prelu.backward(ctx, np.ones((2, 2)))
    >>> dx
    array([[0.25, 0.5 ],
           [1.  , 0.5 ]])
    >>> dw
    array([-2., -3.])
    """
    x, w = _check.array("prelu", "x", x), _check.array("prelu", "w", w)
    _check.same_dtype("prelu", "x", x, w=w)
    return Described(_describe(_check.dtype_name(x), x.shape, w.shape), (x, w), out, backend)


@lru_cache(4096)
def _describe(dtype: str, x: tuple[int, ...], w: tuple[int, ...]) -> PreluCall:
    """The `PreluCall`; the rule about sizes is here."""
    if w != (1,) and len(x) < 2:
        raise ShapeError(
            f"prelu: w has shape {w} but x has shape {x}, without channels; w must be (1,)"
        )
    if w not in ((1,), x[1:2]) or w == (0,):
        raise ShapeError(
            f"prelu: w has shape {w} but x has C={x[1]} channels; w must be (1,) or {x[1:2]}"
        )
    return PreluCall(dtype, x, w)


prelu = Op(
    _prelu,
    returns=Array,
    grads=PreluGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.cases,
    errors=spec.errors,
    terms=spec.terms,
)
