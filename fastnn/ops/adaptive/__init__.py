"""Adaptive and global pooling: the fronts with their docstrings and checks, and the operations."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.adaptive import cases
from fastnn.ops.avgpool import spec
from fastnn.ops.avgpool.spec import Axis, WindowCall, WindowGrads

__all__ = ["adaptive_avg_pool2d", "adaptive_max_pool2d", "global_avg_pool", "global_max_pool"]


def _adaptive_avg_pool2d(
    x: Array,
    output_size: int | tuple[int | None, int | None],
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Average pooling to a given size, with windows that share the image out evenly.

    ::

        y[n,c,p,q] = mean of x[n, c, h, w] over floor(p*H/P) <= h < ceil((p+1)*H/P),
                                                floor(q*W/Q) <= w < ceil((q+1)*W/Q)

    Parameters
    ----------
    x : N C H W
        Images, float32 or float64.
    output_size
        (P, Q), or one number for both; None keeps the size of x along that axis.
    out : N C P Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C P Q
        Windows tile if P divides H, else neighbours overlap by a row; with P > H rows repeat. NaN
        and Inf follow IEEE 754 and stay in their windows. An empty batch gives an empty result.
        ``backward`` gives ``(x,)``: dx is the sum over the windows of a cell of dy by their sizes.

    Raises
    ------
    ShapeError
        If x is not N C H W, or a size is less than 1.
    DtypeError
        If an array is not float32 or float64, or `output_size` is no whole number.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs about N C H W FLOP and the bytes of x and of y once each, backward as much. The
    windows are those of K. He et al., "Spatial pyramid pooling in deep convolutional networks"
    (arXiv 1406.4729), appendix A.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1.0, 2, 6], [3, 4, 8]]]])
    >>> y, ctx = fastnn.adaptive_avg_pool2d.forward(x, (1, 2))
    >>> y
    array([[[[2.5, 5. ]]]])
    >>> fastnn.adaptive_avg_pool2d.backward(ctx, np.ones_like(y)).x
    array([[[[0.25, 0.5 , 0.25],
             [0.25, 0.5 , 0.25]]]])
    """
    return _adaptive("adaptive_avg_pool2d", x, output_size, out, backend)


def _adaptive_max_pool2d(
    x: Array,
    output_size: int | tuple[int | None, int | None],
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Described:
    """Max-pooling to a given size, with windows that share the image out evenly.

    ::

        y[n,c,p,q] = max of x[n, c, h, w] over floor(p*H/P) <= h < ceil((p+1)*H/P),
                                               floor(q*W/Q) <= w < ceil((q+1)*W/Q)

    Parameters
    ----------
    x : N C H W
        Images, float32 or float64.
    output_size
        (P, Q), or one number for both; None keeps the size of x along that axis.
    out : N C P Q, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C P Q
        Windows tile if P divides H, else neighbours overlap by a row; with P > H rows repeat. A
        NaN in a window wins. An empty batch gives an empty result.
        ``backward`` gives ``(x,)``: dx is the sum of dy over the windows that a cell has won. The
        winner is the first maximum in row-major order, or the first NaN.

    Raises
    ------
    ShapeError
        If x is not N C H W, or a size is less than 1.
    DtypeError
        If an array is not float32 or float64, or `output_size` is no whole number.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs about N C H W FLOP, all comparisons, and the bytes of x and of y once each;
    ``forward`` keeps the winners for ``backward``, 8 N C P Q bytes. The windows are those of K. He
    et al., "Spatial pyramid pooling in deep convolutional networks" (arXiv 1406.4729), appendix A.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1.0, 2, 6], [3, 4, 4]]]])
    >>> y, ctx = fastnn.adaptive_max_pool2d.forward(x, (1, 2))
    >>> y
    array([[[[4., 6.]]]])
    >>> fastnn.adaptive_max_pool2d.backward(ctx, np.ones_like(y)).x
    array([[[[0., 0., 1.],
             [0., 1., 0.]]]])
    """
    return _adaptive("adaptive_max_pool2d", x, output_size, out, backend)


def _global_avg_pool(
    x: Array, *, out: Array | None = None, backend: str | None = None
) -> Described:
    """Global average pooling: the mean of each channel of each sample.

    ::

        y[n,c] = mean over all spatial positions i of x[n,c,i]

    Parameters
    ----------
    x : N C ...
        Samples with any number of spatial axes, at least one; float32 or float64.
    out : N C, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C
        What `adaptive_avg_pool2d` to size 1 gives, without its axes of size 1. NaN and Inf follow
        IEEE 754. An empty batch gives an empty result.
        ``backward`` gives ``(x,)``: dx is dy[n,c] by the number of positions, everywhere.

    Raises
    ------
    ShapeError
        If x has less than three axes, or one of size 0 other than the batch.
    DtypeError
        If an array is not float32 or float64.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs one FLOP per element and the bytes of x once, backward as much. See M. Lin,
    Q. Chen, S. Yan, "Network in network" (arXiv 1312.4400), section 3.2.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1.0, 2, 6], [3, 4, 8]]]])
    >>> y, ctx = fastnn.global_avg_pool.forward(x)
    >>> y
    array([[4.]])
    >>> fastnn.global_avg_pool.backward(ctx, 6 * np.ones_like(y)).x
    array([[[[1., 1., 1.],
             [1., 1., 1.]]]])
    """
    return _global("global_avg_pool", x, out, backend)


def _global_max_pool(
    x: Array, *, out: Array | None = None, backend: str | None = None
) -> Described:
    """Global max-pooling: the largest number of each channel of each sample.

    ::

        y[n,c] = max over all spatial positions i of x[n,c,i]

    Parameters
    ----------
    x : N C ...
        Samples with any number of spatial axes, at least one; float32 or float64.
    out : N C, optional
        Where to write the result.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:direct") to run on; a
        command, never a wish.

    Returns
    -------
    y : N C
        What `adaptive_max_pool2d` to size 1 gives, without its axes of size 1. A NaN wins. An empty
        batch gives an empty result.
        ``backward`` gives ``(x,)``: dx is dy[n,c] at the winner, the first maximum in row-major
        order or the first NaN, and 0 elsewhere.

    Raises
    ------
    ShapeError
        If x has less than three axes, or one of size 0 other than the batch.
    DtypeError
        If an array is not float32 or float64.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Forward costs one FLOP per element, all comparisons, and the bytes of x once; ``forward`` keeps
    the winners for ``backward``, 8 N C bytes. See M. Oquab et al., "Is object localization for
    free?" (CVPR 2015), section 3.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.array([[[[1.0, 2, 6], [3, 4, 6]]]])
    >>> y, ctx = fastnn.global_max_pool.forward(x)
    >>> y
    array([[6.]])
    >>> fastnn.global_max_pool.backward(ctx, np.ones_like(y)).x
    array([[[[0., 0., 1.],
             [0., 0., 0.]]]])
    """
    return _global("global_max_pool", x, out, backend)


def _adaptive(
    op: str, x: Array, output_size: Any, out: Array | None, backend: str | None
) -> Described:
    """What the fronts of adaptive pooling share."""
    x = _check.array(op, "x", x)
    _check.ndim(op, "x", x, "N C H W")
    if isinstance(output_size, tuple | list):
        if len(output_size) != 2:
            raise ShapeError(
                f"{op}: output_size={output_size!r} has {len(output_size)} entries; it needs 2"
            )
        sizes = tuple(output_size)
    else:
        sizes = (output_size, output_size)
    steps = tuple(
        size if wish is None else _check.whole(op, "output_size", wish, 1)
        for wish, size in zip(sizes, x.shape[2:], strict=True)
    )
    return Described(
        _describe(op, "C H W", _check.dtype_name(x), x.shape, steps), (x,), out, backend
    )


def _global(op: str, x: Array, out: Array | None, backend: str | None) -> Described:
    """What the fronts of global pooling share."""
    x = _check.array(op, "x", x)
    if x.ndim < 3:
        raise ShapeError(
            f"{op}: x has {x.ndim} axes, shape {x.shape}; it must be N C and at least one more"
        )
    return Described(_describe(op, "C ...", _check.dtype_name(x), x.shape, ()), (x,), out, backend)


@lru_cache(4096)
def _describe(
    op: str, letters: str, dtype: str, x: tuple[int, ...], steps: tuple[int, ...]
) -> WindowCall:
    """The `WindowCall` with `steps` windows per axis, or with one over all axes."""
    _check.positive_sizes(op, "x", x[1:], letters)
    sizes = x[2:] if steps else (math.prod(x[2:]),)
    axes = tuple(Axis(size, n) for size, n in zip(sizes, steps or (1,), strict=True))
    return WindowCall(dtype, x, axes, (*x[:2], *steps))


adaptive_avg_pool2d = Op(
    _adaptive_avg_pool2d,
    returns=Array,
    grads=WindowGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.adaptive_cases,
    errors=cases.adaptive_errors,
    terms=spec.terms,
    exact=False,
    smooth=True,
)
adaptive_max_pool2d = Op(
    _adaptive_max_pool2d,
    returns=Array,
    grads=WindowGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.adaptive_cases,
    errors=cases.adaptive_errors,
    terms=spec.terms,
)
global_avg_pool = Op(
    _global_avg_pool,
    returns=Array,
    grads=WindowGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.global_cases,
    errors=cases.global_errors,
    terms=spec.terms,
    exact=False,
    smooth=True,
)
global_max_pool = Op(
    _global_max_pool,
    returns=Array,
    grads=WindowGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=cases.global_cases,
    errors=cases.global_errors,
    terms=spec.terms,
)
