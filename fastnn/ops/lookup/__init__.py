"""Embeddings: the front with its docstring and checks, and the operation object."""

from __future__ import annotations

from functools import lru_cache

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import OptionError, ShapeError
from fastnn.ops.lookup import spec
from fastnn.ops.lookup.spec import EmbeddingCall, EmbeddingGrads

__all__ = ["embedding"]


def _embedding(
    indices: Array,
    w: Array,
    *,
    padding_idx: int | None = None,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Rows of a table, by their numbers.

    ::

        y[...,e] = w[indices[...],e]

    Parameters
    ----------
    indices : any shape
        Whole numbers from 0 to V-1 of any integer dtype.
    w : V E
        The table, float32 or float64.
    padding_idx
        A row that learns nothing: its gradient is 0. Forward treats it as any other. From -V to
        V-1, negative numbers count from the end.
    out : ... E, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:sorted") to run on; a
        command, never a wish.

    Returns
    -------
    y : ... E
        Of the dtype of w; NaN and infinity are copied. No indices give an empty result.
        ``backward`` gives ``(w,)``: dw[v] = sum of dy[...] over the places where indices[...] is
        v, added up in float64 in the order of the indices, 0 if there are none. dw is dense.

    Raises
    ------
    ShapeError
        If w is not V E, V or E is 0, or an index is not in [0, V).
    DtypeError
        If w is not float32 or float64, or indices are no integers.
    OptionError
        If `padding_idx` is no row.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs no FLOP and, for M indices, 2 M E elements' bytes; backward M E additions, the
    bytes of dy and of dw once, and scratch memory for V + M whole numbers, in which a counting
    sort finds the places of each row. See D. Knuth, "The Art of Computer Programming" 3
    (Addison-Wesley 1998), section 5.2, algorithm D, for the sort; Y. Bengio et al., "A Neural
    Probabilistic Language Model" (JMLR 3, 2003), section 2, for the table.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> w = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> y, ctx = fastnn.embedding.forward([2, 0, 2], w)
    >>> y
    array([[5., 6.],
           [1., 2.],
           [5., 6.]])
    >>> fastnn.embedding.backward(ctx, np.ones((3, 2))).w
    array([[1., 1.],
           [0., 0.],
           [2., 2.]])
    """
    op = "embedding"
    indices = _check.labels(op, "indices", indices)
    w = _check.array(op, "w", w)
    if padding_idx is not None:
        padding_idx = _check.whole(op, "padding_idx", padding_idx, -_check.MOST)
    call = _describe(_check.dtype_name(w), indices.shape, w.shape, padding_idx)
    _check.below(op, "indices", indices, len(w), "w has V={} rows")
    return Described(call, (indices, w), out, backend)


@lru_cache(4096)
def _describe(
    dtype: str, indices: tuple[int, ...], w: tuple[int, ...], padding_idx: int | None
) -> EmbeddingCall:
    """The `EmbeddingCall`; every rule about sizes is here."""
    if len(w) != 2:
        raise ShapeError(f"embedding: w has {len(w)} axes, shape {w}; it must be V E")
    _check.positive_sizes("embedding", "w", w, "V E")
    if padding_idx is None:
        return EmbeddingCall(dtype, indices, (w[0], w[1]), -1)
    if not -w[0] <= padding_idx < w[0]:
        raise OptionError(
            f"embedding: padding_idx={padding_idx} but w has V={w[0]} rows; it must be from "
            f"{-w[0]} to {w[0] - 1}"
        )
    return EmbeddingCall(dtype, indices, (w[0], w[1]), padding_idx % w[0])


embedding = Op(
    _embedding,
    returns=Array,
    grads=EmbeddingGrads,
    impls=["cython:sorted", "numba:sorted", "naive"],
    cases=spec.embedding_cases,
    errors=spec.embedding_errors,
    terms=spec.terms,
    draw={"indices": spec.draw_indices},
    smooth=True,
)
