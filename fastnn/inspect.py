"""Looking into models: what layers give and are given back, dead units, and a gradient check.

All of these leave the model as it was: modes, gradients, buffers, random generators and contexts.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from fastnn import _check, _table
from fastnn.dispatch import Op
from fastnn.errors import DtypeError, ShapeError
from fastnn.layers import Hardsigmoid, Layer, Loss, Sigmoid, Tanh
from fastnn.layers._state import generators
from fastnn.layers.base import Array, RandomSource, backward_watcher, generator, watcher
from fastnn.train._objective import LossLike, Objective
from fastnn.train._penalties import Penalty

__all__ = [
    "GradientCheck",
    "LayerStatistics",
    "ParameterStatistics",
    "Statistics",
    "activations",
    "check_model",
    "gradients",
    "is_constant",
    "statistics",
]

AnyLoss = LossLike | Op[..., Any, Any]


def activations(model: Layer, x: Array, *, training: bool = False) -> dict[str, Array]:
    """What every layer gives for x, by its place in the tree, in the order of running.

    Parameters
    ----------
    model
        Any layer; its own result is under "".
    x
        The input.
    training
        Whether the layers are in training mode, else in evaluation mode.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.inspect import activations
    >>> from fastnn.layers import Linear, ReLU, Sequential
    >>> model = Sequential(Linear(3, 4, rng=0), ReLU(), Linear(4, 2, rng=0))
    >>> {name: y.shape for name, y in activations(model, np.ones((5, 3), np.float32)).items()}
    {'0': (5, 4), '1': (5, 4), '2': (5, 2), '': (5, 2)}
    """
    outputs: dict[str, Array] = {}
    with _kept("activations", model, training), _watched(model, outputs, {}):
        model.forward(x, save=False)
    return outputs


def gradients(
    model: Layer, loss: AnyLoss, x: Array, y: Array, *, training: bool = False
) -> dict[str, Array]:
    """The gradient of the loss of one batch for every parameter, by name.

    Parameters
    ----------
    model
        Any layer.
    loss
        A loss or an operation, as for `fastnn.train.Trainer`.
    x, y
        The batch.
    training
        Whether the layers are in training mode, else in evaluation mode.
    """
    objective = Objective("gradients", model, loss)
    with _kept("gradients", model, training):
        model.zero_grad()
        objective.gradient(x, y)
        return {name: dw.copy() for name, _, dw in model.parameters()}


class LayerStatistics(NamedTuple):
    """Figures of what one layer gave."""

    name: str
    """Its place in the tree, "" for the model."""
    kind: str
    """The name of its class."""
    shape: tuple[int, ...]
    """Of its result."""
    mean: float
    std: float
    least: float
    most: float
    saturated: float | None
    """The share of entries within 1 % of a bound of a tanh or sigmoid; None for other layers."""
    units: int
    """Channels of N C ..., on axis 1."""
    dead: int
    """Units that gave exactly 0 everywhere."""
    constant: int
    """Units that gave the same number everywhere, dead ones among them."""
    gradient: float | None
    """The root of the mean square of the gradient of its result; None without a loss."""


class ParameterStatistics(NamedTuple):
    """Figures of one parameter and its gradient."""

    name: str
    shape: tuple[int, ...]
    mean: float
    std: float
    gradient: float | None
    """The root of the mean square of its gradient; None without a loss."""
    flat: float | None
    """The share of entries whose gradient is exactly 0: the loss is flat along them."""


class Statistics(NamedTuple):
    """Figures of all layers, in the order of running, and of all parameters; prints as tables."""

    layers: tuple[LayerStatistics, ...]
    parameters: tuple[ParameterStatistics, ...]

    def __str__(self) -> str:
        rows = [
            [
                row.name or "(model)",
                row.kind,
                *map(_short, (row.mean, row.std, row.least, row.most)),
                _share(row.saturated),
                f"{row.dead}/{row.units}",
                f"{row.constant}/{row.units}",
                _short(row.gradient),
            ]
            for row in self.layers
        ]
        header = "layer class mean std least most saturated dead constant gradient".split()
        table = _table.render(header, rows, right="llrrrrrrrr")
        weights = [
            [row.name, *map(_short, (row.mean, row.std, row.gradient)), _share(row.flat)]
            for row in self.parameters
        ]
        header = "parameter mean std gradient flat".split()
        return table + "\n\n" + _table.render(header, weights, right="lrrrr")


def statistics(
    model: Layer,
    x: Array,
    y: Array | None = None,
    loss: AnyLoss | None = None,
    *,
    training: bool = False,
) -> Statistics:
    """Means, deviations, saturation, dead units and gradients, layer by layer.

    Parameters
    ----------
    model
        Any layer.
    x
        A batch that stands for the data: a unit is dead or constant on it, not in general.
    y, loss
        The targets and a loss, for gradients.
    training
        Whether the layers are in training mode, else in evaluation mode.

    Returns
    -------
    Statistics
        ``layers`` and ``parameters``, a named tuple for each.

    Raises
    ------
    DtypeError
        If `model` is no layer or only one of `y` and `loss` is given.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.inspect import statistics
    >>> from fastnn.layers import Linear, MSELoss, ReLU, Sequential
    >>> model = Sequential(Linear(1, 3, rng=0), ReLU(), Linear(3, 1, rng=0))
    >>> model.params["0.weight"][...] = [[1], [0], [-1]]
    >>> model.params["0.bias"][...] = [0, -1, 0]
    >>> x = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    >>> found = statistics(model, x, x, MSELoss())
    >>> [(layer.name, layer.dead, layer.units) for layer in found.layers]
    [('0', 0, 3), ('1', 1, 3), ('2', 0, 1), ('', 0, 1)]
    >>> [(p.name, round(p.flat, 2)) for p in found.parameters]
    [('0.weight', 0.33), ('0.bias', 0.33), ('2.weight', 0.33), ('2.bias', 0.0)]
    """
    if (y is None) != (loss is None):
        raise DtypeError("statistics: y and loss belong together; give both or neither")
    outputs: dict[str, Array] = {}
    backs: dict[str, Array] = {}
    with _kept("statistics", model, training), _watched(model, outputs, backs):
        if loss is None or y is None:
            model.forward(x, save=False)
        else:
            model.zero_grad()
            Objective("statistics", model, loss).gradient(x, y)
        places = {prefix.removesuffix("."): layer for prefix, layer in model._walk()}
        layers = tuple(
            _layer_row(name, places[name], a, backs.get(name)) for name, a in outputs.items()
        )
        parameters = tuple(
            _parameter_row(name, w, None if loss is None else dw)
            for name, w, dw in model.parameters()
        )
    return Statistics(layers, parameters)


def is_constant(model: Layer, x: Array, *, tolerance: float = 1e-6) -> bool:
    """Whether the model gives the same for all samples of x: whether it has collapsed.

    Parameters
    ----------
    model
        Any layer; it is run in evaluation mode.
    x
        At least two different samples.
    tolerance
        How far apart an output's largest and smallest number may be, in units of the largest
        magnitude, or of 1 if that is larger.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.inspect import is_constant
    >>> from fastnn.layers import Linear, ReLU, Sequential
    >>> model = Sequential(Linear(1, 2, rng=0), ReLU(), Linear(2, 1, rng=0))
    >>> x = np.linspace(-1, 1, 9, dtype=np.float32)[:, None]
    >>> model.params["0.weight"][...] = 1
    >>> is_constant(model, x)
    False
    >>> model.params["0.bias"][...] = -9
    >>> is_constant(model, x)
    True
    """
    tolerance = _check.real("is_constant", "tolerance", tolerance)
    y = np.asarray(activations(model, x)[""], np.float64)
    if not y.ndim or len(y) < 2:
        raise ShapeError(
            f"is_constant: the model gives shape {y.shape}; it takes at least 2 samples to compare"
        )
    spread = float(np.max(y.max(axis=0) - y.min(axis=0), initial=0.0))
    return spread <= tolerance * max(1.0, float(np.max(np.abs(y), initial=0.0)))


class Slope(NamedTuple):
    """The slope of the loss along one direction, by the model and by finite differences."""

    name: str
    """The parameter, or "x"."""
    where: str
    """An entry's index, or "random"."""
    backward: float
    numerical: float
    error: float
    """The difference, beyond rounding, by the size of the gradient: its norm or largest entry."""
    ok: bool


class GradientCheck(NamedTuple):
    """The slopes that were compared; prints as a table."""

    slopes: tuple[Slope, ...]

    @property
    def ok(self) -> bool:
        """Whether all agree."""
        return all(slope.ok for slope in self.slopes)

    @property
    def error(self) -> float:
        """The largest error."""
        return max((slope.error for slope in self.slopes), default=0.0)

    def __str__(self) -> str:
        rows = [
            [s.name, s.where, f"{s.backward:.9g}", f"{s.numerical:.9g}", f"{s.error:.1e}",
             "" if s.ok else "wrong"]
            for s in self.slopes
        ]  # fmt: skip
        header = ["array", "along", "backward", "numerical", "error", ""]
        end = "all agree" if self.ok else f"{sum(not s.ok for s in self.slopes)} are wrong"
        return _table.render(header, rows, right="llrrr") + f"\n{len(rows)} slopes, {end}"


def check_model(
    model: Layer,
    loss: AnyLoss,
    x: Array,
    y: Array,
    *,
    penalties: Sequence[Penalty] = (),
    directions: int = 2,
    entries: int = 2,
    step: float = 1e-6,
    tolerance: float = 1e-5,
    rng: RandomSource = 0,
) -> GradientCheck:
    """Compare the gradients of a whole model with central differences of its loss, in float64.

    ::

        sum of dw * v   against   (L(w + step * v) - L(w - step * v)) / (2 * step)

    for random directions v of each parameter and of x, and for chosen entries of each: the one
    with the largest gradient and random others. The model is copied to float64 for it and keeps its
    mode; random numbers of dropout are the same in every evaluation.

    Parameters
    ----------
    model
        Any layer, of either dtype.
    loss
        A loss or an operation, as for `fastnn.train.Trainer`.
    x, y
        A batch; a small one will do.
    penalties
        As for `fastnn.train.Trainer`; on activities by the layer's place in the model.
    directions, entries
        How many of each there are for each array.
    step
        The step.
    tolerance
        How large an error may be, besides the rounding of L.
    rng
        What draws the directions.

    Returns
    -------
    GradientCheck
        ``ok``, ``error`` and ``slopes``.

    Raises
    ------
    DtypeError, ShapeError, OptionError
        If an argument is not possible.

    Notes
    -----
    It costs two forward passes per slope. Where a step crosses the kink of a ReLU or another
    maximum of a pool, the difference has an error of its own, of about the step's size.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.inspect import check_model
    >>> from fastnn.layers import CrossEntropyLoss, Linear, Sequential, Tanh
    >>> model = Sequential(Linear(4, 5, rng=0), Tanh(), Linear(5, 3, rng=0))
    >>> x = np.random.default_rng(0).standard_normal((6, 4))
    >>> check = check_model(model, CrossEntropyLoss(), x, np.arange(6) % 3)
    >>> check.ok, check.error < 1e-7
    (True, True)
    """
    what = "check_model"
    if not isinstance(model, Layer):
        raise DtypeError(f"{what}: model is {type(model).__name__}; it must be a Layer")
    directions = _check.whole(what, "directions", directions, 0)
    entries = _check.whole(what, "entries", entries, 0)
    step, tolerance = _check.real(what, "step", step), _check.real(what, "tolerance", tolerance)
    draw = generator(what, rng)
    double = _in_float64(model)
    objective = Objective(what, double, _loss_in_float64(loss), penalties)
    x, y = _wide(np.array(x)), _wide(np.asarray(y))
    states = [(source, source.bit_generator.state) for source in generators(double)]

    def begin() -> None:
        for source, state in states:
            source.bit_generator.state = state
        for _, layer in double._walk():
            if hasattr(layer, "reset_state"):
                layer.reset_state()

    def value() -> float:
        begin()
        return objective.value(x, y)[0] + objective.weight_value()

    begin()
    level = abs(objective.gradient(x, y)[0] + objective.weight_gradient())
    arrays = [(name, w, dw.copy()) for name, w, dw in double.parameters()]
    if x.dtype.kind == "f":
        begin()
        arrays.append(("x", x, objective.input_gradient(x, y)))
    slopes = []
    for name, w, dw in arrays:
        for where, v, size in _directions(dw, directions, entries, draw):
            before = w.copy()
            np.copyto(w, before + step * v)
            above = value()
            np.copyto(w, before - step * v)
            below = value()
            np.copyto(w, before)
            backward, numerical = float(np.sum(dw * v)), (above - below) / (2 * step)
            off = abs(backward - numerical)
            # A loss is the sum of many terms: allow some hundred roundings of it.
            rounding = 500 * np.finfo(np.float64).eps * max(level, 1e-3) / step
            beyond = max(float(off - rounding), 0.0)
            error = 0.0 if not beyond else beyond / size if size else math.inf
            slopes.append(Slope(name, where, backward, numerical, error, error <= tolerance))
    return GradientCheck(tuple(slopes))


# -- pieces --------------------------------------------------------------------------------------


def _directions(
    dw: Array, directions: int, entries: int, draw: np.random.Generator
) -> Iterator[tuple[str, Array, float]]:
    """What to move along, and the size that a gradient along it has."""
    if not dw.size:
        return
    for _ in range(directions):
        yield (
            "random",
            np.asarray(draw.standard_normal(dw.shape)),
            float(np.linalg.norm(dw.reshape(-1))),
        )
    largest = int(np.argmax(np.abs(dw)))
    others = draw.integers(dw.size, size=max(entries - 1, 0))
    for flat in dict.fromkeys([largest, *others.tolist()][:entries]):
        v = np.zeros(dw.shape)
        v.reshape(-1)[flat] = 1
        index = tuple(int(i) for i in np.unravel_index(flat, dw.shape))
        yield str(index), v, float(np.max(np.abs(dw)))


def _in_float64(model: Layer) -> Layer:
    """A copy of the model whose parameters and buffers are of float64."""
    double = copy.deepcopy(model)
    for _, layer in double._walk():
        layer._params = {name: a.astype(np.float64) for name, a in layer._params.items()}
        layer._grads = {name: np.zeros(a.shape) for name, a in layer._params.items()}
        layer._buffers = {name: _wide(a) for name, a in layer._buffers.items()}
    return double


def _loss_in_float64(loss: AnyLoss) -> AnyLoss:
    if not isinstance(loss, Loss):
        return loss
    double = copy.deepcopy(loss)
    double._options = {
        name: _wide(value) if isinstance(value, np.ndarray) else value
        for name, value in loss._options.items()
    }
    return double


def _wide(a: Array) -> Array:
    return a.astype(np.float64) if a.dtype.kind == "f" else a


@contextmanager
def _kept(what: str, model: Layer, training: bool) -> Iterator[None]:
    """A mode for a while; then everything but what was computed is as it was."""
    if not isinstance(model, Layer):
        raise DtypeError(f"{what}: model is {type(model).__name__}; it must be a Layer")
    layers = [layer for _, layer in model._walk()]
    before = [
        (layer, layer.training, layer._contexts[:], getattr(layer, "_state_now", None))
        for layer in layers
    ]
    arrays = [(a, a.copy()) for layer in layers for a in layer._buffers.values()]
    arrays += [(dw, dw.copy()) for _, _, dw in model.parameters()]
    states = [(source, source.bit_generator.state) for source in generators(model)]
    model.train(training)
    try:
        yield
    finally:
        for layer, mode, contexts, state in before:
            layer.training = mode
            layer._contexts[:] = contexts
            if hasattr(layer, "_state_now"):
                layer._state_now = state
        for array, value in arrays:
            np.copyto(array, value)
        for source, found in states:
            source.bit_generator.state = found


@contextmanager
def _watched(model: Layer, outputs: dict[str, Array], backs: dict[str, Array]) -> Iterator[None]:
    """Keep what every layer gives, and the gradient that each gets back."""
    names = {id(layer): prefix.removesuffix(".") for prefix, layer in model._walk()}

    def forward(layer: Layer, x: Array, save: bool) -> tuple[Array, Any]:
        y, context = layer._forward(x, save)
        outputs[names[id(layer)]] = y
        return y, context

    def backward(layer: Layer, context: Any, dy: Array, input_grad: bool) -> Array | None:
        backs[names[id(layer)]] = np.asarray(dy)
        return layer._backward(context, dy, input_grad)

    tokens = watcher.set(forward), backward_watcher.set(backward)
    try:
        yield
    finally:
        watcher.reset(tokens[0])
        backward_watcher.reset(tokens[1])


_BOUNDS: dict[type[Layer], tuple[float, float]] = {
    Tanh: (-1.0, 1.0),
    Sigmoid: (0.0, 1.0),
    Hardsigmoid: (0.0, 1.0),
}


def _layer_row(name: str, layer: Layer, y: Array, dy: Array | None) -> LayerStatistics:
    others = tuple(axis for axis in range(y.ndim) if axis != 1) if y.ndim > 1 else None
    if y.size:
        least, most = y.min(axis=others), y.max(axis=others)
    else:
        least = most = np.full(1, math.nan)
    saturated = None
    if type(layer) in _BOUNDS and y.size:
        low, high = _BOUNDS[type(layer)]
        edge = 0.01 * (high - low)
        saturated = float(np.mean((y < low + edge) | (y > high - edge)))
    return LayerStatistics(
        name,
        type(layer).__name__,
        y.shape,
        *_moments(y),
        float(np.min(least)),
        float(np.max(most)),
        saturated,
        int(np.size(least)),
        int(np.sum((least == 0) & (most == 0))),
        int(np.sum(least == most)),
        None if dy is None else _root_mean_square(dy),
    )


def _parameter_row(name: str, w: Array, dw: Array | None) -> ParameterStatistics:
    return ParameterStatistics(
        name,
        w.shape,
        *_moments(w),
        None if dw is None else _root_mean_square(dw),
        None if dw is None else float(np.mean(dw == 0)),
    )


def _moments(a: Array) -> tuple[float, float]:
    if not a.size:
        return math.nan, math.nan
    return float(a.mean(dtype=np.float64)), float(a.std(dtype=np.float64))


def _root_mean_square(a: Array) -> float:
    return math.sqrt(float(np.square(a, dtype=np.float64).mean())) if a.size else math.nan


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
