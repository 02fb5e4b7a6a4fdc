"""Dropout: the front with its docstring and checks, and the operation object."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import OptionError
from fastnn.ops.noise import spec
from fastnn.ops.noise.spec import DropoutCall, DropoutGrads

__all__ = ["dropout"]

# Strings, for naming the classes would import numpy.random.
RandomSource: TypeAlias = (
    "int | np.random.Generator | np.random.BitGenerator | np.random.SeedSequence | None"
)


def _dropout(
    x: Array,
    p: float = 0.5,
    *,
    training: bool = True,
    rng: RandomSource = None,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Set random elements to zero in training, and scale the others up to keep the mean.

    ::

        y[i] = x[i] / (1 - p)  if bits[i] >= round(p * 2^32), else 0    in training
        y[i] = x[i]                                                     in evaluation

    where bits[i] are 32 random bits: word i % 4 of block i // 4 of Philox4x32-10, i the row-major
    place in x. The 128-bit key that `rng` gives is its key of 64 bits, then the upper half of its
    counter; the lower half is the block. So element i's fate depends on key and i alone: it is the
    same for every backend, number of threads and dtype.

    Parameters
    ----------
    x : any shape
        Input, float32 or float64.
    p
        The probability of a zero, from 0 to 1, taken to a multiple of 2^-32.
    training
        Whether anything is dropped.
    rng
        A NumPy generator, from which each call draws a new key, or a seed, which stands for one
        and the same key. It must be given in training if p > 0; nothing uses global random state.
    out : shape of x, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : shape of x
        A dropped element gives 0 though it be NaN or infinite; p = 1 drops all. In evaluation, and
        for p = 0, y is a copy of x. An empty x gives an empty result.
        ``backward`` gives ``(x,)``: dx[i] = dy[i] / (1 - p) where x[i] was kept, else 0; the bits
        are made again from the key, not stored.

    Raises
    ------
    DtypeError
        If an array is not float32 or float64, or an option has the wrong type.
    OptionError
        If p is out of range, or `rng` is missing or not possible.
    ShapeError
        If `out` has another shape than x.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs two FLOP and about 12 whole-number operations per element, and the bytes of x and
    of y once each; backward is forward on dy. See N. Srivastava et al., "Dropout: a simple way to
    prevent neural networks from overfitting" (JMLR 15, 2014), section 4, scaled in training
    ("inverted"), and J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
    section 3.3.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.ones(8)
    >>> y, ctx = fastnn.dropout.forward(x, 0.5, rng=1)
    >>> y
    array([2., 2., 0., 2., 0., 2., 2., 0.])
    >>> np.array_equal(fastnn.dropout.backward(ctx, x).x, y)
    True
    >>> fastnn.dropout(x, training=False)
    array([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    x = _check.array("dropout", "x", x)
    call = _describe(
        _check.dtype_name(x),
        x.shape,
        _check.real("dropout", "p", p),
        _check.flag("dropout", "training", training),
    )
    return Described(call, (x, _key(call, rng)), out, backend)


def _key(call: DropoutCall, rng: Any) -> Array | None:
    """128 bits from `rng`, or None if nothing is dropped."""
    if not call.random:
        return None
    if rng is None:
        raise OptionError(
            f"dropout: rng not given with training=True and p={call.p}; it must be a numpy "
            "Generator or a seed"
        )
    try:
        source = np.random.default_rng(rng)
    except (TypeError, ValueError) as err:
        raise OptionError(
            f"dropout: rng={rng!r}; it must be a numpy Generator or a seed of at least 0"
        ) from err
    return source.integers(0, 2**64, 2, np.uint64)


@lru_cache(4096)
def _describe(dtype: str, x: tuple[int, ...], p: float, training: bool) -> DropoutCall:
    """The `DropoutCall`; the rule about p is here."""
    if not 0 <= p <= 1:
        raise OptionError(f"dropout: p={p}; it must be from 0 to 1")
    return DropoutCall(dtype, x, p, training)


dropout = Op(
    _dropout,
    returns=Array,
    grads=DropoutGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.cases,
    errors=spec.errors,
    terms=spec.terms,
    exact=False,
    smooth=True,
)
