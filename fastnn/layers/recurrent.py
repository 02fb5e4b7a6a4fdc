"""Recurrent layers: several layers and both directions around the operations of one."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _check, ops
from fastnn.dispatch import Op
from fastnn.errors import OptionError, ShapeError
from fastnn.layers.base import Array, Layer, RandomSource, float_dtype, generator
from fastnn.layers.dropout import Dropout
from fastnn.layers.shape import same_shape

_KINDS = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}


class _Recurrent(Layer):
    """Stack `op` in layers and directions; parameters have PyTorch's names and order."""

    op: ClassVar[Op[..., Any, Any]]
    _gates: ClassVar[int]
    _states: ClassVar[tuple[str, ...]] = ("h0",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        last_only: bool = False,
        stateful: bool = False,
        rng: RandomSource = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        what = type(self).__name__
        self.input_size = _check.whole(what, "input_size", input_size, 1)
        self.hidden_size = _check.whole(what, "hidden_size", hidden_size, 1)
        self.num_layers = _check.whole(what, "num_layers", num_layers, 1)
        self.bias = _check.flag(what, "bias", bias)
        self.batch_first = _check.flag(what, "batch_first", batch_first)
        self.bidirectional = _check.flag(what, "bidirectional", bidirectional)
        self.last_only = _check.flag(what, "last_only", last_only)
        self.stateful = _check.flag(what, "stateful", stateful)
        if stateful and bidirectional:
            raise OptionError(
                f"{what}: stateful=True with bidirectional=True; a direction that starts at the "
                "end has no state to go on from"
            )
        self._state_now: tuple[Array, ...] | None = None
        source = generator(what, rng)
        self._add_weights(source, float_dtype(what, dtype))
        self.dropout = Dropout(dropout, rng=source).p
        if self.dropout > 0:
            for layer in range(self.num_layers - 1):
                self.add_child(f"dropout_l{layer}", Dropout(self.dropout, rng=source))

    @property
    def _directions(self) -> tuple[str, ...]:
        """The ends of the parameters' names."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def _add_weights(self, source: np.random.Generator, kind: np.dtype[Any]) -> None:
        """Add every parameter, uniform on +-1/sqrt(H), in the order of their names."""
        rows, bound = self._gates * self.hidden_size, 1 / math.sqrt(self.hidden_size)
        for layer in range(self.num_layers):
            first = self.hidden_size * len(self._directions) if layer else self.input_size
            shapes = {"w_ih": (rows, first), "w_hh": (rows, self.hidden_size)}
            for end in self._directions:
                for field, name in _KINDS.items():
                    shape = shapes.get(field, (rows,))
                    if field in shapes or self.bias:
                        # Drawn in float64 for either dtype, so that one seed means one network.
                        value = source.uniform(-bound, bound, shape).astype(kind)
                        self.add_parameter(f"{name}_l{layer}{end}", value)

    def _options(self) -> dict[str, Any]:
        """The keyword arguments of the operation that a cell has of its own."""
        return {}

    # -- state -----------------------------------------------------------------------------------

    @property
    def state(self) -> tuple[Array, ...] | None:
        """Where a stateful layer goes on from: h, for LSTM h and c, each layers N H; None: 0."""
        return self._state_now

    @state.setter
    def state(self, value: tuple[Array, ...] | None) -> None:
        if value is not None and len(value) != len(self._states):
            raise ShapeError(
                f"{type(self).__name__}: state has {len(value)} arrays; it must have "
                f"{len(self._states)}, layers N H each"
            )
        self._state_now = None if value is None else tuple(np.asarray(a) for a in value)

    def reset_state(self) -> None:
        """Let the next `forward` start from states of 0."""
        self._state_now = None

    # -- running ---------------------------------------------------------------------------------

    def forward(self, x: Array, *, save: bool | None = None, lengths: Array | None = None) -> Array:
        """Compute the layer's result, see `Layer.forward`.

        Parameters
        ----------
        x
            T N I, or N T I if `batch_first`.
        save
            True or False overrules the mode, see `Layer`.
        lengths
            The steps of each sequence, N whole numbers; all T if not given.
        """
        return super().forward((x, lengths), save=save)  # type: ignore[arg-type]

    def __call__(
        self, x: Array, *, save: bool | None = None, lengths: Array | None = None
    ) -> Array:
        """`forward`."""
        return self.forward(x, save=save, lengths=lengths)

    def _forward(self, x: Any, save: bool) -> tuple[Array, Any]:
        values, lengths = x
        state, contexts, last = self._state_now if self.stateful else None, [], []
        for layer in range(self.num_layers):
            results = []
            for end in self._directions:
                start = {} if state is None else self._start(state, layer)
                options = {**self._options(), **start, "lengths": lengths, "reverse": bool(end)}
                names = [f"{name}_l{layer}{end}" for name in _KINDS.values()]
                arrays = (values, *(self._params.get(name) for name in names))
                options["batch_first"] = self.batch_first
                if save:
                    result, context = self.op.forward(*arrays, **options)
                    contexts.append(context)
                else:
                    result = self.op(*arrays, **options)
                results.append(result)
            last.append(results)
            values = _joined([result.y for result in results])
            dropout = self._children.get(f"dropout_l{layer}")
            if dropout is not None:
                values = dropout.forward(values, save=save)
        if self.stateful:
            self._state_now = tuple(
                np.stack([r[0][1 + i] for r in last]) for i in range(len(self._states))
            )
        if self.last_only:
            values = _joined([result.h for result in last[-1]])
        return values, (contexts, values.shape)

    def _start(self, state: tuple[Array, ...], layer: int) -> dict[str, Array]:
        what = type(self).__name__
        for name, a in zip(self._states, state, strict=True):
            if a.ndim != 3 or len(a) != self.num_layers:
                raise ShapeError(
                    f"{what}: the state's {name[0]} has shape {a.shape}; it must be layers N H "
                    f"with {self.num_layers} layers"
                )
        return {name: a[layer] for name, a in zip(self._states, state, strict=True)}

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        contexts, shape = context
        dy = np.asarray(dy)
        same_shape(type(self).__name__, dy, shape)
        size, directions = self.hidden_size, self._directions
        fields = [field for field in _KINDS if self.bias or field.startswith("w")]
        for layer in reversed(range(self.num_layers)):
            need = input_grad or layer > 0
            total: Array | None = None
            for d, end in enumerate(directions):
                piece = np.ascontiguousarray(dy[..., d * size : (d + 1) * size])
                only_h = self.last_only and layer == self.num_layers - 1
                given: tuple[Array | None, ...] = (None, piece) if only_h else (piece, None)
                given += (None,) * (len(self._states) - 1)
                found = self.op.backward(
                    contexts[layer * len(directions) + d],
                    given,
                    needs=(*(("x",) if need else ()), *fields),
                )
                for field in fields:
                    self._grads[f"{_KINDS[field]}_l{layer}{end}"] += getattr(found, field)
                if need:
                    total = found.x if total is None else total + found.x
            if total is None:
                return None
            dropout = self._children.get(f"dropout_l{layer - 1}") if layer else None
            dy = total if dropout is None else dropout.backward(total)
        return dy

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        for name, usual in (
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
            ("last_only", False),
            ("stateful", False),
        ):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


def _joined(parts: list[Array]) -> Array:
    """The directions' results side by side."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


class RNN(_Recurrent):
    """Plain recurrent layers, one on top of the other, see `fastnn.rnn`.

    ::

        h[t] = tanh(weight_ih_l0 x[t] + bias_ih_l0 + weight_hh_l0 h[t-1] + bias_hh_l0)

    ``x`` is T N I; ``y`` is T N D*H, the last layer's states after every step, with D = 2 if
    `bidirectional`, else 1. Parameters are named as PyTorch names them, ``weight_ih_l1_reverse``
    and so on, and drawn uniformly from +-1/sqrt(H) in that order. ``layer(x, lengths=...)`` takes
    sequences of different lengths.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    num_layers
        Each layer after the first reads the states of the one before it.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    bias
        Whether there are any.
    batch_first
        Whether x and y are N T I and N T D*H.
    dropout
        The probability of a zero in training, in what goes from one layer to the next.
    bidirectional
        Whether each layer also runs from the end; y has both directions side by side.
    last_only
        Whether y is N D*H, only the states after each direction's last step.
    stateful
        Whether `forward` starts from the state in which the last one ended, and keeps its own, for
        sequences in pieces. Gradients end at the border (truncated backpropagation through time).
        `state` can be read and set, `reset_state` forgets it.
    rng
        A NumPy generator to draw from, a seed, or None.
    dtype
        float32 or float64.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If a size or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import RNN
    >>> layer = RNN(3, 4, num_layers=2, bidirectional=True, rng=0)
    >>> layer
    RNN(3, 4, num_layers=2, bidirectional=True)
    >>> y = layer(np.ones((5, 2, 3), np.float32))
    >>> y.shape
    (5, 2, 8)
    >>> layer.backward(np.ones_like(y)).shape
    (5, 2, 3)
    >>> layer.params["weight_ih_l1_reverse"].shape
    (4, 8)
    """

    op = ops.rnn
    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        nonlinearity: str = "tanh",
        **options: Any,
    ) -> None:
        self.nonlinearity = _check.choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, num_layers, **options)

    def _options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        more = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}"
        return super().extra_repr() + more


class LSTM(_Recurrent):
    """Long short-term memories, one on top of the other, see `fastnn.lstm`.

    ::

        i, f, g, o = weight_ih_l0 x[t] + bias_ih_l0 + weight_hh_l0 h[t-1] + bias_hh_l0, in 4 parts
        c[t] = sigmoid(f) * c[t-1] + sigmoid(i) * tanh(g)
        h[t] = sigmoid(o) * tanh(c[t])

    All else is as in `RNN`; the state of a stateful layer is (h, c).

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    num_layers
        Each layer after the first reads the states of the one before it.
    forget_bias
        What the forget gate's bias is at first, in all; None: drawn like the rest. 1 lets a new
        network remember (R. Jozefowicz, W. Zaremba, I. Sutskever, "An empirical exploration of
        recurrent network architectures", ICML 2015).
    bias, batch_first, dropout, bidirectional, last_only, stateful, rng, dtype
        As in `RNN`.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If a size or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import LSTM
    >>> layer = LSTM(3, 4, batch_first=True, last_only=True, forget_bias=1.0, rng=0)
    >>> y = layer(np.ones((2, 5, 3), np.float32), lengths=[5, 3])
    >>> y.shape
    (2, 4)
    >>> layer.backward(np.ones_like(y)).shape
    (2, 5, 3)
    """

    op = ops.lstm
    _gates = 4
    _states = ("h0", "c0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        forget_bias: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, **options)
        if forget_bias is None:
            return
        value = _check.real("LSTM", "forget_bias", forget_bias)
        if not self.bias:
            raise OptionError(f"LSTM: forget_bias={forget_bias} with bias=False; it needs biases")
        forget = slice(self.hidden_size, 2 * self.hidden_size)
        for name, param in self._params.items():
            if name.startswith("bias"):
                param[forget] = value if name.startswith("bias_ih") else 0


class GRU(_Recurrent):
    """Gated recurrent units, one on top of the other, see `fastnn.gru`.

    ::

        a, u = weight_ih_l0 x[t] + bias_ih_l0, weight_hh_l0 h[t-1] + bias_hh_l0, in 3 parts each
        r, z = sigmoid(a1 + u1), sigmoid(a2 + u2)
        n    = tanh(a3 + r * u3)
        h[t] = (1 - z) * n + z * h[t-1]

    All else is as in `RNN`.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    num_layers
        Each layer after the first reads the states of the one before it.
    reset_after
        Whether r applies after the recurrent product, as in PyTorch, or to h[t-1] before it.
    bias, batch_first, dropout, bidirectional, last_only, stateful, rng, dtype
        As in `RNN`.

    Raises
    ------
    ShapeError, DtypeError, OptionError
        If a size or an option is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import GRU
    >>> layer = GRU(3, 4, stateful=True, rng=0).eval()
    >>> x = np.ones((6, 2, 3), np.float32)
    >>> pieces = np.concatenate([layer(x[:4]), layer(x[4:])])
    >>> layer.reset_state()
    >>> np.array_equal(layer(x), pieces)
    True
    """

    op = ops.gru
    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset_after: bool = True,
        **options: Any,
    ) -> None:
        self.reset_after = _check.flag("GRU", "reset_after", reset_after)
        super().__init__(input_size, hidden_size, num_layers, **options)

    def _options(self) -> dict[str, Any]:
        return {"reset_after": self.reset_after}

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")
