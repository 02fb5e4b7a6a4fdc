"""What a model costs, layer by layer: shapes, parameters, FLOP and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check, _table, dispatch
from fastnn.errors import DtypeError
from fastnn.layers.base import Array, Layer, float_dtype, watcher

Calls = list[tuple[dispatch.Op[..., Any, Any], Any]]


class LayerCost(NamedTuple):
    """One layer of a summary; the costs are its own, without those of layers inside it."""

    name: str
    """Its place in the tree, as in the names of its arrays: "3.body.0", and "" for the model."""
    kind: str
    """The name of its class."""
    output: tuple[int, ...] | None
    """The shape of its result, None if it was not run."""
    parameters: int
    """Elements of its parameters."""
    flops: int
    """Floating-point operations of its operations' forward pass."""
    bytes: int
    """Bytes that these must read and write at least once."""


class Summary(NamedTuple):
    """The answer of `summary`; print it to read it."""

    input: tuple[int, ...]
    """The shape of x."""
    dtype: str
    """The element type of x."""
    rows: tuple[LayerCost, ...]
    """One for the model and each layer inside it, in the order of the tree."""

    @property
    def parameters(self) -> int:
        """Elements of all parameters."""
        return sum(row.parameters for row in self.rows)

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward pass."""
        return sum(row.flops for row in self.rows)

    @property
    def bytes(self) -> int:
        """Bytes that the operations of the forward pass must read and write at least once."""
        return sum(row.bytes for row in self.rows)

    def __str__(self) -> str:
        cells = [
            [row.name or "(model)", row.kind, str(row.output or "not run"), *_counts(row)]
            for row in self.rows
        ]
        cells.append(["total", "", "", *_counts(self)])
        header = ("layer", "class", "output", "parameters", "FLOP", "bytes")
        return f"x {self.input} {self.dtype}\n" + _table.render(header, cells, right="lllrrr")


def _counts(costs: LayerCost | Summary) -> list[str]:
    return [f"{n:,}" for n in (costs.parameters, costs.flops, costs.bytes)]


def summary(
    model: Layer, input_shape: tuple[int, ...], *, dtype: DTypeLike | None = None
) -> Summary:
    """What a forward pass of `model` costs in evaluation mode, layer by layer.

    Nothing is computed: the layers run on zeros in a `fastnn.dispatch.dry_run`, and what is
    reported is what the operations say of their own calls. Work that layers do in NumPy, such as
    the sum of a `Residual` or the copy of a `Concat`, is not in it. The model is left as it was.

    Parameters
    ----------
    model
        Any layer.
    input_shape
        The whole shape of x, with the batch: FLOP and bytes grow with it.
    dtype
        float32 or float64; the default is that of the model's first parameter, or float32.

    Returns
    -------
    Summary
        Prints as a table; ``rows``, ``parameters``, ``flops`` and ``bytes`` are the data.

    Raises
    ------
    DtypeError, ShapeError
        If `model` is no layer, `dtype` or `input_shape` is not possible, or x does not fit a layer.

    Examples
    --------
    >>> from fastnn.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, summary
    >>> model = Sequential(Conv2d(1, 6, 5), ReLU(), MaxPool2d(2), Flatten(), Linear(864, 10))
    >>> print(summary(model, (1, 1, 28, 28)))
    x (1, 1, 28, 28) float32
    layer    class       output          parameters     FLOP    bytes
    -------  ----------  --------------  ----------  -------  -------
    (model)  Sequential  (1, 10)                  0        0        0
    0        Conv2d      (1, 6, 24, 24)         156  172,800   17,584
    1        ReLU        (1, 6, 24, 24)           0    3,456   27,648
    2        MaxPool2d   (1, 6, 12, 12)           0    3,456   17,280
    3        Flatten     (1, 864)                 0        0        0
    4        Linear      (1, 10)              8,650   17,280   38,096
    total                                     8,806  196,992  100,608
    >>> model.summary((1, 1, 28, 28)).parameters
    8806
    """
    if not isinstance(model, Layer):
        raise DtypeError(f"summary: model is {type(model).__name__}; it must be a Layer")
    sizes = tuple(_check.whole("summary", "input_shape", n, 0) for n in input_shape)
    if dtype is None:
        dtype = next((param.dtype for _, param, _ in model.parameters()), np.float32)
    x = np.zeros(sizes, float_dtype("summary", dtype))
    outputs: dict[int, tuple[int, ...]] = {}
    own: dict[int, Calls] = {}
    with _kept(model), dispatch.dry_run() as calls:

        def watch(layer: Layer, x: Array, save: bool) -> tuple[Array, Any]:
            outside = calls[:]
            calls.clear()
            y, context = layer._forward(x, save)
            own.setdefault(id(layer), []).extend(calls)
            outputs[id(layer)] = y.shape
            calls[:] = outside
            return y, context

        token = watcher.set(watch)
        try:
            model.forward(x, save=False)
        finally:
            watcher.reset(token)
    rows = []
    for prefix, layer in model._walk():
        ran = [call for _, call in own.get(id(layer), [])]
        rows.append(
            LayerCost(
                prefix.removesuffix("."),
                type(layer).__name__,
                outputs.get(id(layer)),
                sum(param.size for param in layer._params.values()),
                sum(call.flops for call in ran),
                sum(call.bytes for call in ran),
            )
        )
    return Summary(sizes, x.dtype.name, tuple(rows))


@contextmanager
def _kept(model: Layer) -> Iterator[None]:
    """Evaluation mode for a while; then all modes and contexts are as they were."""
    before = [(layer, layer.training, layer._contexts[:]) for _, layer in model._walk()]
    model.eval()
    try:
        yield
    finally:
        for layer, training, contexts in before:
            layer.training = training
            layer._contexts[:] = contexts
