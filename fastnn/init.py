"""Initial values of parameters: functions that fill an array in place, and one for whole models.

Layers draw their own values as PyTorch does when they are made; these are for those who want
others::

    fastnn.init.apply(model, fastnn.init.he_normal, rng=0)
    fastnn.init.apply(model, fastnn.init.constant, parameters="*bias*", value=0.1)
    fastnn.init.orthogonal(layer.params["weight_hh_l0"], rng=rng)

Everything is drawn in float64 and rounded, so that one seed means one network for either dtype.
The schemes that look at fans take weights as layers have them, outputs first: O I, or K C R S.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastnn import _check
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.layers import ConvTranspose1d, ConvTranspose2d, Layer
from fastnn.layers._filter import Filter, takes
from fastnn.layers.base import Array, RandomSource, generator

__all__ = [
    "Fans",
    "apply",
    "constant",
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "truncated_normal",
    "uniform",
]

L = TypeVar("L", bound=Layer)

_BLOCK = 1 << 16  # entries that are drawn at a time


class Fans(NamedTuple):
    """How many inputs each output of a layer is made of, and the other way round."""

    fan_in: int
    fan_out: int


def fans(shape: tuple[int, ...]) -> Fans:
    """Inputs per output and outputs per input of a weight of this shape, outputs first.

    For K C R S they are C*R*S and K*R*S, for O I just I and O. In a grouped convolution C is that
    of one group, and fan_out is that of all groups, as in PyTorch.

    Raises
    ------
    ShapeError
        If there are fewer than two axes.

    Examples
    --------
    >>> from fastnn.init import fans
    >>> fans((10, 400))
    Fans(fan_in=400, fan_out=10)
    >>> fans((32, 3, 7, 7))
    Fans(fan_in=147, fan_out=1568)
    """
    if len(shape) < 2:
        raise ShapeError(f"fans: shape {shape}; it must have outputs and inputs, O I or K C R S")
    window = math.prod(shape[2:])
    return Fans(shape[1] * window, shape[0] * window)


def constant(a: Array, *, value: float, rng: RandomSource = None) -> Array:
    """Fill `a` with `value`; `rng` is there so that all schemes are called alike."""
    a[...] = _check.real("constant", "value", value)
    return a


def uniform(a: Array, *, low: float = -1.0, high: float = 1.0, rng: RandomSource = None) -> Array:
    """Fill `a` with numbers that are uniform between `low` and `high`."""
    low, high = _check.real("uniform", "low", low), _check.real("uniform", "high", high)
    if not -math.inf < low <= high < math.inf:
        raise OptionError(f"uniform: low={low}, high={high}; they must be finite and in order")
    _shape("uniform", a)
    source = generator("uniform", rng)
    return _draw(a, lambda n: source.uniform(low, high, n))


def normal(a: Array, *, mean: float = 0.0, std: float = 1.0, rng: RandomSource = None) -> Array:
    """Fill `a` with numbers from a normal distribution."""
    mean, std = _check.real("normal", "mean", mean), _positive("normal", "std", std)
    _shape("normal", a)
    source = generator("normal", rng)
    return _draw(a, lambda n: source.normal(mean, std, n))


def truncated_normal(
    a: Array,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    bound: float = 2.0,
    rng: RandomSource = None,
) -> Array:
    """Fill `a` from a normal distribution, drawing again what is beyond `bound` deviations.

    `std` is that of the normal distribution; for ``bound=2`` that of the result is 0.88 times it.

    Raises
    ------
    OptionError
        If `std` is below 0, or `bound` below 0.1: too little would be kept.
    """
    what = "truncated_normal"
    mean, std = _check.real(what, "mean", mean), _positive(what, "std", std)
    if not _check.real(what, "bound", bound) >= 0.1:
        raise OptionError(f"{what}: bound={bound}; it must be at least 0.1 standard deviations")
    source = generator(what, rng)
    drawn = source.standard_normal(_shape(what, a)).reshape(-1)
    wrong = np.flatnonzero(np.abs(drawn) > bound)
    while wrong.size:
        drawn[wrong] = source.standard_normal(wrong.size)
        wrong = wrong[np.abs(drawn[wrong]) > bound]
    return _fill(a, mean + std * drawn.reshape(a.shape))


def glorot_uniform(a: Array, *, gain: float = 1.0, rng: RandomSource = None) -> Array:
    """Fill `a` uniformly from +-gain*sqrt(6 / (fan_in + fan_out)), also known as Xavier's.

    It keeps the variance of activations and of gradients about the same from layer to layer, for
    activations that are like x near 0, such as tanh (X. Glorot, Y. Bengio, "Understanding the
    difficulty of training deep feedforward neural networks", AISTATS 2010, equation 16).

    Parameters
    ----------
    a
        The weight to fill, outputs first.
    gain
        A factor.
    rng
        A NumPy generator to draw from, a seed, or None.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.init import glorot_uniform
    >>> w = glorot_uniform(np.empty((100, 50)), rng=0)
    >>> bool(abs(w).max() < np.sqrt(6 / 150)), round(float(w.var() * 150), 2)
    (True, 2.02)
    """
    n = sum(fans(_shape("glorot_uniform", a)))
    return _spread("glorot_uniform", a, gain, n / 2, True, rng)


def glorot_normal(a: Array, *, gain: float = 1.0, rng: RandomSource = None) -> Array:
    """Fill `a` normally, with deviation gain*sqrt(2 / (fan_in + fan_out)); see `glorot_uniform`."""
    n = sum(fans(_shape("glorot_normal", a)))
    return _spread("glorot_normal", a, gain, n / 2, False, rng)


def he_uniform(
    a: Array, *, negative_slope: float = 0.0, mode: str = "fan_in", rng: RandomSource = None
) -> Array:
    """Fill `a` uniformly, with the deviation of `he_normal`, also known as Kaiming's."""
    gain, n = _he("he_uniform", a, negative_slope, mode)
    return _spread("he_uniform", a, gain, n, True, rng)


def he_normal(
    a: Array, *, negative_slope: float = 0.0, mode: str = "fan_in", rng: RandomSource = None
) -> Array:
    """Fill `a` normally, with deviation sqrt(2 / (1 + negative_slope**2) / fan).

    It keeps the variance of activations (for "fan_in") or of gradients (for "fan_out") the same
    from layer to layer for a leaky ReLU of that slope (K. He, X. Zhang, S. Ren, J. Sun, "Delving
    deep into rectifiers", arXiv 1502.01852, equations 10 and 14).
    """
    gain, n = _he("he_normal", a, negative_slope, mode)
    return _spread("he_normal", a, gain, n, False, rng)


def lecun_uniform(a: Array, *, rng: RandomSource = None) -> Array:
    """Fill `a` uniformly from +-sqrt(3 / fan_in); see `lecun_normal`."""
    n = fans(_shape("lecun_uniform", a)).fan_in
    return _spread("lecun_uniform", a, 1.0, n, True, rng)


def lecun_normal(a: Array, *, rng: RandomSource = None) -> Array:
    """Fill `a` normally, with deviation sqrt(1 / fan_in).

    See Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp" (1998), section 4.6; with
    `fastnn.layers.SELU` it makes networks that normalise themselves.
    """
    n = fans(_shape("lecun_normal", a)).fan_in
    return _spread("lecun_normal", a, 1.0, n, False, rng)


def orthogonal(a: Array, *, gain: float = 1.0, rng: RandomSource = None) -> Array:
    """Fill `a`, as a matrix of its first axis by all others, with orthonormal rows or columns.

    Rows if there are fewer of them, else columns; uniformly among all such matrices, by the QR
    decomposition of a normal one with the signs of R's diagonal moved to Q (A. Saxe, J. McClelland,
    S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", arXiv 1312.6120; F. Mezzadri, arXiv math-ph/0609050, section 5).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.init import orthogonal
    >>> w = orthogonal(np.empty((2, 3)), rng=0)
    >>> np.allclose(w @ w.T, np.eye(2))
    True
    """
    shape = _shape("orthogonal", a)
    fans(shape)  # two axes at least
    gain = _check.real("orthogonal", "gain", gain)
    rows, columns = shape[0], math.prod(shape[1:])
    drawn = generator("orthogonal", rng).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.where(np.diagonal(r) < 0, -gain, gain)
    return _fill(a, (q if rows >= columns else q.T).reshape(shape))


def apply(
    model: L,
    scheme: Callable[..., Array],
    *,
    parameters: Filter = None,
    rng: RandomSource = None,
    **options: Any,
) -> L:
    """Fill parameters of a model anew.

    Parameters
    ----------
    model
        Any layer; its parameters stay the same arrays.
    scheme
        A function of this module, or one that is called like them: ``scheme(array, rng=rng)``.
    parameters
        Which parameters: a pattern for their names such as ``"*.bias"``, a function of name and
        array, or None for those of two and more axes.
    rng
        A NumPy generator to draw from, a seed, or None.
    **options
        The scheme's.

    Returns
    -------
    model
        The same.

    Raises
    ------
    DtypeError
        If `model` is no layer.
    OptionError
        If no parameter is chosen.

    Notes
    -----
    The gates of recurrent layers are filled one by one, each as the matrix that it is, and the
    weights of transposed convolutions, which have the inputs first, are turned round for it.

    Examples
    --------
    >>> from fastnn import init
    >>> from fastnn.layers import Linear, Sequential, Tanh
    >>> model = Sequential(Linear(8, 16), Tanh(), Linear(16, 4))
    >>> model = init.apply(model, init.glorot_normal, rng=0)
    >>> model = init.apply(model, init.constant, parameters="*.bias", value=0)
    >>> model.params["2.bias"]
    array([0., 0., 0., 0.], dtype=float32)
    """
    if not isinstance(model, Layer):
        raise DtypeError(f"apply: model is {type(model).__name__}; it must be a Layer")
    source = generator("apply", rng)
    found = [
        (layer, array)
        for prefix, layer in model._walk()
        for name, array in layer._params.items()
        if takes(parameters, prefix + name, array)
    ]
    if not found:
        raise OptionError(
            f"apply: parameters={parameters!r} chooses none of "
            f"{', '.join(model.params) or 'a model without parameters'}"
        )
    for layer, array in found:
        for part in _matrices(layer, array):
            scheme(part, rng=source, **options)
    return model


def _matrices(layer: Layer, array: Array) -> list[Array]:
    """Views of a parameter, outputs first, that are initialised each for itself."""
    gates = getattr(layer, "_gates", 1)
    if gates > 1:
        return list(array.reshape(gates, -1, *array.shape[1:]))
    if isinstance(layer, ConvTranspose1d | ConvTranspose2d) and array.ndim > 1:
        return [array.swapaxes(0, 1)]
    return [array]


def _he(what: str, a: Array, negative_slope: float, mode: str) -> tuple[float, int]:
    slope = _check.real(what, "negative_slope", negative_slope)
    _check.choice(what, "mode", mode, ("fan_in", "fan_out"))
    n: int = getattr(fans(_shape(what, a)), mode)
    return math.sqrt(2 / (1 + slope * slope)), n


def _spread(what: str, a: Array, gain: float, n: float, flat: bool, rng: RandomSource) -> Array:
    """Fill `a` around 0 with deviation gain/sqrt(n), uniformly if `flat`, else normally."""
    if not n:
        raise ShapeError(f"{what}: a has shape {a.shape}; its sizes must be at least 1")
    std = _check.real(what, "gain", gain) / math.sqrt(n)
    source = generator(what, rng)
    if flat:
        bound = math.sqrt(3) * std
        return _draw(a, lambda n: source.uniform(-bound, bound, n))
    return _draw(a, lambda n: std * source.standard_normal(n))


def _shape(what: str, a: Array) -> tuple[int, ...]:
    if not isinstance(a, np.ndarray) or a.dtype not in (_check.F4, _check.F8):
        found = getattr(a, "dtype", type(a).__name__)
        raise DtypeError(f"{what}: a is {found}; it must be an array of float32 or float64")
    shape: tuple[int, ...] = a.shape
    return shape


def _draw(a: Array, draw: Callable[[int], Array]) -> Array:
    """Fill `a` in row-major order with what `draw` gives for a number of entries.

    Block by block: all of a float32 weight in float64 would be twice the size of the weight itself.
    """
    if not a.flags.c_contiguous:
        return _fill(a, draw(a.size).reshape(a.shape))
    flat = a.reshape(-1)
    for start in range(0, a.size, _BLOCK):
        part = flat[start : start + _BLOCK]
        part[...] = draw(part.size)
    return a


def _fill(a: Array, values: Any) -> Array:
    a[...] = values
    return a


def _positive(what: str, name: str, value: float) -> float:
    number = _check.real(what, name, value)
    if not 0 <= number < math.inf:
        raise OptionError(f"{what}: {name}={value}; it must be at least 0 and finite")
    return number
