"""Neighbours in a `Sequential` that run together: the same numbers, with less memory moved.

Three things are done, all in forward, and each layer gets the context of a `forward` of its own:

* An activation runs in place on a result that nobody else keeps.
* A convolution is taken a few images at a time, so that the normalisation, activation and pooling
  after it find its result in the cache; before a pooling it is never in memory as a whole.
* ReLU goes behind max-pooling, where there is less to do: max(relu(x)) = relu(max(x)). The gradient
  is that of the layers in their order: where the maximum is not positive, ReLU lets none through;
  where it is, the first maximum is the same in both orders. The pooling's context does ReLU's part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from fastnn import _config
from fastnn._memory import empty
from fastnn.dispatch import Context, Impl
from fastnn.layers import activation, conv, linear, norm, pool, rownorm
from fastnn.layers.base import Array, Layer, OpLayer, watcher

CHUNK = 4 << 20
"""Bytes of a convolution's result that should still be in a cache when its chunk is complete."""

SMALL = 1 << 15
"""Bytes of x below which moving memory costs less than finding out what could be spared."""

_NORM_AFTER: dict[type, Any] = {conv.Conv1d: norm.BatchNorm1d, conv.Conv2d: norm.BatchNorm2d}
_POOLS: set[type] = {pool.MaxPool1d, pool.MaxPool2d}
_FRESH: set[type] = _POOLS | {  # their result is a new array, and their context does not hold it
    conv.Conv1d,
    conv.Conv2d,
    conv.ConvTranspose1d,
    conv.ConvTranspose2d,
    linear.Linear,
    norm.BatchNorm1d,
    norm.BatchNorm2d,
    rownorm.LayerNorm,
    rownorm.RMSNorm,
    rownorm.GroupNorm,
    rownorm.InstanceNorm1d,
    rownorm.InstanceNorm2d,
}
_FROM_RESULT: set[type] = {activation.ReLU, activation.Sigmoid, activation.Tanh}
"""Activations that keep their result and not what they were given."""
_IN_PLACE: set[type] = _FROM_RESULT | {
    activation.LeakyReLU,
    activation.ELU,
    activation.SELU,
    activation.GELU,
    activation.SiLU,
    activation.Softplus,
    activation.Hardsigmoid,
    activation.Hardswish,
}
_METHODS = {"forward", "backward", "_forward", "_backward"}


class _Tail(NamedTuple):
    """What runs with the layer before it; in this order, and each may be missing."""

    norm: OpLayer | None = None
    act: OpLayer | None = None
    pool: OpLayer | None = None

    @property
    def layers(self) -> list[OpLayer]:
        return [layer for layer in self if layer is not None]


def forward(layers: Sequence[Layer], x: Array, save: bool) -> Array:
    """What ``layers[-1](... layers[0](x))`` gives; the layers save what they would save."""
    policy = _config.policy.get()
    apart = policy.fuse is False or policy.stand_in is not None or watcher.get() is not None
    i = 0
    while i < len(layers):
        head = layers[i]
        tail = None if apart or getattr(x, "nbytes", 0) < SMALL else _tail(layers, i, save)
        x = head.forward(x, save=save) if tail is None else _sandwich(head, tail, x, save)
        i += 1 if tail is None else 1 + len(tail.layers)
    return x


def _tail(layers: Sequence[Layer], i: int, save: bool) -> _Tail | None:
    """The layers after layer i that can run with it, if there are any."""
    head = layers[i]
    if type(head) not in _FRESH or not _untouched(head):
        return None
    following: Iterator[Any] = takewhile(_untouched, layers[i + 1 : i + 4])
    tail = _Tail()
    layer: Any = next(following, None)
    if type(layer) is _NORM_AFTER.get(type(head)) and not (save or layer.training):
        tail, layer = tail._replace(norm=layer), next(following, None)
    if type(layer) in (_FROM_RESULT if save else _IN_PLACE):
        tail, layer = tail._replace(act=layer), next(following, None)
    if type(layer) in _POOLS and (
        type(tail.act) is activation.ReLU and _full_windows(layer)
        if tail.act is not None
        else type(head) in _NORM_AFTER
    ):
        tail = tail._replace(pool=layer)
    return tail if tail.layers else None


def _untouched(layer: Layer) -> bool:
    """Whether the layer does what its class says: methods may be replaced in a single one."""
    return _METHODS.isdisjoint(vars(layer))


def _full_windows(layer: Any) -> bool:
    """Whether every window has a cell inside: one without is -inf, also after ReLU."""
    padding, dilation = layer.padding, layer.dilation
    return _all_are(padding, 0) or (_all_are(dilation, 1) and not layer.ceil_mode)


def _all_are(value: Any, wanted: int) -> bool:
    if isinstance(value, tuple):
        return all(_all_are(one, wanted) for one in value)
    return bool(value == wanted)


class _Step(NamedTuple):
    """A layer's operation on given arrays: what `Op.forward` finds out before it runs."""

    layer: OpLayer
    call: Any
    impl: Impl
    arrays: tuple[Array | None, ...]

    @classmethod
    def of(cls, layer: OpLayer, x: Array) -> _Step:
        call, arrays, _, _ = layer.op.front(x, *layer._operands(), **layer._options())
        return cls(layer, call, layer.op.select(call), arrays)

    @property
    def ours(self) -> bool:
        """Whether the package's own code runs, of which is known what it saves and how it writes.

        Convolutions save x first and only x has samples; poolings save one array of winners; an
        activation may write over x and, if it is one of _FROM_RESULT, saves its result.
        """
        return bool(self.impl._module)

    def run(self, x: Array, out: Array | None, save: bool) -> tuple[Array, Any]:
        return self.impl.forward(self.call, x, *self.arrays[1:], out=out, save=save)

    def sized(self, n: int) -> _Step:
        """The same on n samples: never another implementation."""
        call = self.call
        sizes = {name: (n, *getattr(call, name)[1:]) for name in _sized_fields(call._fields)}
        return self._replace(call=call._replace(**sizes))

    def keep(self, saved: Any, impl: Impl | None = None) -> None:
        context: Context[Any] = Context(self.layer.op, self.call, impl or self.impl, saved)
        self.layer._contexts.append(context)


@lru_cache
def _sized_fields(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Those fields of a call that are shapes with the batch first."""
    return tuple(name for name in ("x", "y", "out") if name in fields)


def _sandwich(head: Layer, tail: _Tail, x: Array, save: bool) -> Array:
    """`head`, then `tail`, on x."""
    for layer in (head, *tail.layers):
        layer._contexts.clear()
    if type(head) in _NORM_AFTER:
        assert isinstance(head, OpLayer)
        y = _in_chunks(_Step.of(head, x), tail, save)
        if y is not None:
            return y
    y = head.forward(x, save=save)
    if tail.norm is not None:
        y = tail.norm.forward(y, save=False)
    shape, pool, winners = y.shape, None, None
    if tail.pool is not None:
        pool = _Step.of(tail.pool, y)
        y, winners = pool.run(y, None, save)
    act, kept = None, None
    if tail.act is not None:
        act = _Step.of(tail.act, y)
        y, kept = act.run(y, y if act.ours else None, save)
    if save:
        _keep(pool, winners, act, kept, shape)
    return y


def _in_chunks(conv: _Step, tail: _Tail, save: bool) -> Array | None:
    """A convolution and its tail, some images at a time; None if that is not worth it."""
    (x, *_), n, shape = conv.arrays, conv.call.x[0], conv.call.out
    images = CHUNK // (math.prod(shape[1:]) * np.dtype(conv.call.dtype).itemsize) or 1
    if x is None or n <= images:
        return None
    steps, results = [conv], []
    for layer in (tail.norm, tail.pool):
        if layer is not None:
            results.append(empty((images, *steps[-1].call.out[1:]), conv.call.dtype))
            steps.append(_Step.of(layer, results[-1]))
    y = empty((n, *steps[-1].call.out[1:]), conv.call.dtype)
    results.append(y)
    act = None if tail.act is None else _Step.of(tail.act, y)
    if not all(step.ours for step in (*steps, act) if step is not None):
        return None
    saved: list[list[Any]] = [[] for _ in steps]
    for start in range(0, n, images):
        part = slice(start, min(start + images, n))
        size = part.stop - start
        given = x[part]
        for step, result, parts in zip(steps, results, saved, strict=True):
            out = result[part] if result is y else result[:size]
            parts.append(step.sized(size).run(given, out, save)[1])
            given = out
        if act is not None:
            act.sized(size).run(given, given, False)
    if save:
        conv.keep((x, *saved[0][0][1:]))
        pool = None if tail.pool is None else steps[-1].sized(n)
        _keep(pool, np.concatenate(saved[-1]) if pool else None, act, y, shape)
    return y


def _keep(
    pool: _Step | None, winners: Any, act: _Step | None, kept: Any, shape: tuple[int, ...]
) -> None:
    """The contexts of a pooling and of an activation that ran after it, but is before it."""
    if pool is None or act is None:
        for step, saved in ((pool, winners), (act, kept)):
            if step is not None:
                step.keep(saved)
        return
    pool.keep((winners, kept), _both(pool.impl, act))
    act._replace(call=act.call._replace(x=shape)).keep(None, _PASSED)


def _both(pool: Impl, act: _Step) -> Impl:
    """Backward through the activation, then the pooling: as forward ran, in reverse."""

    def backward(call: Any, saved: Any, dy: Array, needs: tuple[str, ...]) -> Any:
        winners, kept = saved
        (inner,) = act.impl.backward(act.call, kept, dy, needs)
        return pool.backward(call, winners, inner, needs)

    return Impl(pool.name, op=pool.op, forward=pool.forward, backward=backward)


def _pass(call: Any, saved: Any, dy: Array, needs: tuple[str, ...]) -> tuple[Array | None, ...]:
    return (dy if "x" in needs else None,)


_PASSED = Impl("passed", op="relu", forward=_pass, backward=_pass)  # type: ignore[arg-type]
"""Of a ReLU whose part the pooling's context does."""
