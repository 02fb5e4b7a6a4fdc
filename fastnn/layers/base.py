"""What every layer is: named arrays, a mode, and one context between forward and backward."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, overload

import numpy as np

from fastnn import _check, io
from fastnn.dispatch import Op
from fastnn.errors import DtypeError, OptionError, StateError
from fastnn.layers._state import fitted

if TYPE_CHECKING:
    from fastnn.layers._summary import Summary

Array = np.ndarray[Any, Any]

RandomSource: TypeAlias = (
    int | np.random.Generator | np.random.BitGenerator | np.random.SeedSequence | None
)
"""A generator to draw from, a seed for a fresh one, or None for a fresh unpredictable one."""


class Layer(ABC):
    """State around a function: parameters with their gradients, buffers, a mode, one context.

    **Training mode** (at first, and after `train`): `forward` saves what `backward` needs, in
    place of what an earlier `forward` saved. **Evaluation mode** (after `eval`): `forward` saves
    nothing, which is the light way to infer. ``forward(x, save=True)`` and ``save=False`` overrule
    the mode; what batch norm and dropout compute depends on the mode alone. `backward` uses up
    what was saved: each needs a `forward` of its own. In a container the outermost call decides,
    so a batch norm that is frozen by `eval` inside a model in training is differentiated as well.

    Gradients **add up** in `grads` until `zero_grad`. Parameters, gradients and buffers stay the
    same arrays for life: write into them (``layer.params["weight"][...] = w``), since optimisers
    hold them. Do not change a parameter between `forward` and its `backward`. A layer serves one
    training loop at a time; evaluation without `save` is safe in several threads.

    To write a layer, call ``super().__init__()``, then `add_parameter`, `add_buffer` and
    `add_child`, and define ``_forward(x, save) -> (y, context)`` and
    ``_backward(context, dy, input_grad) -> dx or None``, which adds to ``self.grads``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Layer
    >>> class Scale(Layer):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.add_parameter("weight", np.full(1, 3.0))
    ...     def _forward(self, x, save):
    ...         return x * self.params["weight"], x
    ...     def _backward(self, x, dy, input_grad):
    ...         self.grads["weight"][0] += np.sum(dy * x)
    ...         return dy * self.params["weight"] if input_grad else None
    >>> layer = Scale()
    >>> layer(np.array([1.0, 2.0]))
    array([3., 6.])
    >>> layer.backward(np.array([1.0, 1.0]))
    array([3., 3.])
    >>> layer.grads["weight"]
    array([3.])
    """

    def __init__(self) -> None:
        self.training = True
        self._params: dict[str, Array] = {}
        self._grads: dict[str, Array] = {}
        self._buffers: dict[str, Array] = {}
        self._children: dict[str, Layer] = {}
        self._contexts: list[Any] = []  # at most one; a list, for None may be a context

    # -- to be defined by a layer ----------------------------------------------------------------

    @abstractmethod
    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        """The result, and what `_backward` needs; that is thrown away unless `save`."""

    @abstractmethod
    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        """The gradient of x, or None unless `input_grad`; adds the parameters' to ``_grads``."""

    def extra_repr(self) -> str:
        """The text between the parentheses of the layer's repr."""
        return ""

    def add_parameter(self, name: str, value: Array) -> None:
        """Own `value`, float32 or float64, as parameter `name`, with a gradient of zeros."""
        value = _check.array(type(self).__name__, name, value)
        self._params[self._new_name(name)] = np.require(value, requirements=["C", "A", "W", "O"])
        self._grads[name] = np.zeros(value.shape, value.dtype)

    def add_buffer(self, name: str, value: Array) -> None:
        """Own `value` as buffer `name`: part of the state, with no gradient."""
        self._buffers[self._new_name(name)] = np.require(value, requirements=["W", "O"])

    def add_child(self, name: str, layer: Layer) -> None:
        """Own `layer` under `name`; it may be in the tree only once, as it keeps one context."""
        what = type(self).__name__
        if not isinstance(layer, Layer):
            raise DtypeError(f"{what}: {name} is {type(layer).__name__}; it must be a Layer")
        known = {id(part) for _, part in self._walk()}
        if any(id(part) in known for _, part in layer._walk()):
            raise OptionError(
                f"{what}: {name} is or holds a {type(layer).__name__} that is in here already; a "
                "layer keeps one context, so it may be used once"
            )
        self._children[self._new_name(name)] = layer

    def _new_name(self, name: str) -> str:
        taken = (*self._params, *self._buffers, *self._children)
        if not name or "." in name or name in taken:
            raise OptionError(
                f"{type(self).__name__}: name {name!r}; it must be new, not empty and have no dot"
            )
        return name

    # -- running ---------------------------------------------------------------------------------

    def forward(self, x: Array, *, save: bool | None = None) -> Array:
        """Compute the layer's result; save what `backward` needs if in training mode.

        Parameters
        ----------
        x
            The input; it is never written to, but saved by reference.
        save
            True or False overrules the mode, see the class.
        """
        save = self.training if save is None else save
        self._contexts.clear()  # first: two contexts at once would double the memory
        watch = watcher.get()
        y, context = self._forward(x, save) if watch is None else watch(self, x, save)
        if save:
            self._contexts.append(context)
        return y

    def __call__(self, x: Array, *, save: bool | None = None) -> Array:
        """`forward`."""
        return self.forward(x, save=save)

    @overload
    def backward(self, dy: Array, *, input_grad: Literal[True] = True) -> Array: ...
    @overload
    def backward(self, dy: Array, *, input_grad: Literal[False]) -> None: ...
    @overload
    def backward(self, dy: Array, *, input_grad: bool) -> Array | None: ...
    def backward(self, dy: Array, *, input_grad: bool = True) -> Array | None:
        """Add the parameters' gradients to `grads` and return the gradient of x.

        Parameters
        ----------
        dy
            The gradient of the last `forward`'s result, of its shape and dtype.
        input_grad
            False skips the gradient of x, as the first layer of a network can; the result is
            then None.

        Raises
        ------
        StateError
            If no `forward` saved anything since the last `backward`.
        """
        if not self._contexts:
            raise StateError(
                f"{type(self).__name__}: backward has nothing saved; each backward needs its own "
                "forward before it, in training mode or with save=True"
            )
        context = self._contexts.pop()
        watch = backward_watcher.get()
        if watch is not None:
            return watch(self, context, dy, input_grad)
        return self._backward(context, dy, input_grad)

    def drop_context(self) -> None:
        """Free what `forward` saved, here and in all children."""
        for _, layer in self._walk():
            layer._contexts.clear()

    def train(self, mode: bool = True) -> Self:
        """Put this layer and all its children in training mode; return it."""
        for _, layer in self._walk():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Put this layer and all its children in evaluation mode; return it."""
        return self.train(False)

    # -- arrays ----------------------------------------------------------------------------------

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield this layer and all below it, each with the prefix of its arrays' names."""
        yield prefix, self
        for name, child in self._children.items():
            yield from child._walk(f"{prefix}{name}.")

    @property
    def children(self) -> Mapping[str, Layer]:
        """The layers directly inside this one, by name."""
        return MappingProxyType(self._children)

    def parameters(self) -> Iterator[tuple[str, Array, Array]]:
        """(name, parameter, gradient) of this layer and all its children, as optimisers take."""
        for prefix, layer in self._walk():
            for name, param in layer._params.items():
                yield prefix + name, param, layer._grads[name]

    @property
    def params(self) -> Mapping[str, Array]:
        """Parameters by name, the children's as "child.name"; the arrays may be written to."""
        return MappingProxyType({name: param for name, param, _ in self.parameters()})

    @property
    def grads(self) -> Mapping[str, Array]:
        """Gradients, under the names of `params`."""
        return MappingProxyType({name: grad for name, _, grad in self.parameters()})

    @property
    def buffers(self) -> Mapping[str, Array]:
        """Arrays of the state that have no gradient, by name, the children's as "child.name"."""
        walk = self._walk()
        return MappingProxyType({p + name: a for p, la in walk for name, a in la._buffers.items()})

    def zero_grad(self) -> None:
        """Set every gradient to zero, in place."""
        for _, _, grad in self.parameters():
            grad.fill(0)

    # -- state -----------------------------------------------------------------------------------

    def _state(self) -> dict[str, Array]:
        return {
            prefix + name: array
            for prefix, layer in self._walk()
            for name, array in (layer._params | layer._buffers).items()
        }

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers, under PyTorch's names such as "0.weight"."""
        return {name: array.copy() for name, array in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy `state` into the parameters and buffers, once every name, shape and dtype fits.

        Raises
        ------
        StateError
            If names are missing or unexpected; the text lists them all.
        ShapeError, DtypeError
            If an array does not fit. After any error the layer is as it was.
        """
        own = self._state()
        for name, value in fitted(type(self).__name__, own, state).items():
            np.copyto(own[name], value)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, see `fastnn.io.save`."""
        io.save(path, self._state())

    def load(self, path: str | os.PathLike[str], *, limit: int = io.LIMIT) -> None:
        """Read the state from a file, see `fastnn.io.load` and `load_state_dict`."""
        self.load_state_dict(io.load(path, limit=limit))

    def __getstate__(self) -> dict[str, Any]:
        """All but the context, which belongs to the forward call and not to a copy."""
        return self.__dict__ | {"_contexts": []}

    def __repr__(self) -> str:
        if not self._children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {child!r}" for name, child in self._children.items()]
        inner = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inner}\n)"

    def summary(self, input_shape: tuple[int, ...], *, dtype: Any = None) -> Summary:
        """Shapes, parameters, FLOP and bytes of every layer, see `fastnn.layers.summary`."""
        from fastnn.layers._summary import summary

        return summary(self, input_shape, dtype=dtype)


watcher: ContextVar[Callable[[Layer, Array, bool], tuple[Array, Any]] | None] = ContextVar(
    "fastnn_watcher", default=None
)
"""What calls ``layer._forward(x, save)`` in place of `Layer.forward`, to see every layer run."""

backward_watcher: ContextVar[Callable[[Layer, Any, Array, bool], Array | None] | None] = ContextVar(
    "fastnn_backward_watcher", default=None
)
"""What calls ``layer._backward(context, dy, input_grad)``, to see or change every gradient."""


class OpLayer(Layer):
    """A layer whose work is one operation.

    `op` is the operation, and `_roles` says which parameter each of its differentiable arrays
    after x is, in the order of the operation's arguments.
    """

    op: ClassVar[Op[..., Any, Any]]
    _roles: ClassVar[Mapping[str, str]] = {}

    def _options(self) -> dict[str, Any]:
        """The keyword arguments of the operation."""
        return {}

    def _operands(self) -> list[Array | None]:
        return [self._params.get(name) for name in self._roles.values()]

    def _check_options(self, *x: int, dtype: np.dtype[Any] = _check.F4) -> None:
        """Let the operation itself check the options, on an empty batch of samples of shape x."""
        self.op.front(np.empty((0, *x), dtype), *self._operands(), **self._options())

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        if save:
            return self.op.forward(x, *self._operands(), **self._options())
        return self.op(x, *self._operands(), **self._options()), None

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        wanted = [pair for pair in self._roles.items() if pair[1] in self._params]
        needs = _needs(input_grad, *[field for field, _ in wanted])
        if not needs:
            return None
        gradients = self.op.backward(context, dy, needs=needs)
        for field, name in wanted:
            self._grads[name] += getattr(gradients, field)
        dx: Array | None = gradients.x
        return dx


@lru_cache(256)
def _needs(input_grad: bool, *fields: str) -> tuple[str, ...]:
    """The gradients to ask for; one object for all layers, which `Op.backward` knows again."""
    return ("x",) * input_grad + fields


class WeightedLayer(OpLayer):
    """An `OpLayer` with "weight" and perhaps "bias", drawn as PyTorch draws them."""

    _roles: ClassVar[Mapping[str, str]] = {"w": "weight", "b": "bias"}

    def _draw(
        self,
        shape: tuple[int, ...],
        bias: bool,
        rng: RandomSource,
        dtype: Any,
        *,
        outputs: int | None = None,
    ) -> None:
        """Add both, uniform on +-1/sqrt(product of all sizes of the weight but the first).

        The bias has `outputs` entries, or as many as the weight has rows.
        """
        what = type(self).__name__
        kind, source = float_dtype(what, dtype), generator(what, rng)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        # Drawn in float64 for either dtype, so that one seed means one network.
        self.add_parameter("weight", source.uniform(-bound, bound, shape).astype(kind))
        if _check.flag(what, "bias", bias):
            self.add_parameter(
                "bias", source.uniform(-bound, bound, outputs or shape[0]).astype(kind)
            )


def generator(what: str, rng: RandomSource) -> np.random.Generator:
    """The generator that `rng` is or stands for."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as err:
        raise OptionError(
            f"{what}: rng={rng!r}; it must be a numpy Generator, a seed of at least 0 or None"
        ) from err


def float_dtype(what: str, dtype: Any) -> np.dtype[Any]:
    """`dtype` as the native float32 or float64."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError as err:
        raise DtypeError(f"{what}: dtype={dtype!r}; it must be float32 or float64") from err
    if found not in (_check.F4, _check.F8):
        raise DtypeError(f"{what}: dtype={found}; it must be float32 or float64")
    return found
