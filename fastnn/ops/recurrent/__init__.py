"""Recurrent layers: the fronts with their docstrings and checks, and the operation objects.

One layer in one direction; `fastnn.layers` stacks layers and directions.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fastnn import _check
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import ShapeError
from fastnn.ops.recurrent import spec
from fastnn.ops.recurrent.spec import (
    LstmGrads,
    LstmResult,
    RecurrentCall,
    RecurrentGrads,
    RecurrentResult,
)

__all__ = ["gru", "gru_step", "lstm", "lstm_step", "rnn", "rnn_step"]


def _rnn(
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    *,
    h0: Array | None = None,
    lengths: Array | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    batch_first: bool = False,
    backend: str | None = None,
) -> Described:
    """A plain recurrent layer: every state is a layer of the input and of the state before it.

    ::

        y[t,n,j] = tanh(sum over i of w_ih[j,i] * x[t,n,i] + b_ih[j]
                        + sum over k of w_hh[j,k] * y[t-1,n,k] + b_hh[j]),    y[-1] = h0

    or relu(a) = 0 where a <= 0, else a, in place of tanh.

    Parameters
    ----------
    x : T N I
        N sequences of T steps, float32 or float64.
    w_ih : H I
        Weights of the input, of the same dtype, as are all that follow.
    w_hh : H H
        Weights of the state.
    b_ih, b_hh : H, optional
        Biases; their sum counts.
    h0 : N H, optional
        The states before the first step, 0 if not given.
    lengths : N, optional
        Whole numbers from 0 to T: the steps of each sequence. What x holds beyond them is ignored,
        even a NaN.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    reverse
        Whether steps run from the last to the first, each sequence from its own end; y[t] is still
        the state after the step at t.
    batch_first
        Whether x and y are N T I and N T H.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:rows") to run on; a
        command, never a wish.

    Returns
    -------
    y : T N H
        The states after every step; 0 beyond a sequence's length. A NaN stays in its sequence and
        in the steps after it. An empty batch gives empty results.
    h : N H
        The states after each sequence's last step; h0, or 0, where a length is 0.
        ``backward`` takes ``(dy, dh)``, either may be None, and gives ``(x, w_ih, w_hh, b_ih, b_hh,
        h0)``, back through all steps; None for what was not given. Beyond a sequence's length dy is
        ignored and dx is 0. The slope of relu at 0 is 0.

    Raises
    ------
    ShapeError
        If sizes do not fit, T, I or H is 0, or a length is not from 0 to T.
    DtypeError
        If an array is not float32 or float64, dtypes differ, lengths are no integers, or an option
        has the wrong type.
    OptionError
        If `nonlinearity` is something else.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs 2 T N H (I + H) FLOP forward and twice that backward, and the bytes of x, y and the
    weights. ``forward`` keeps another T N H numbers for ``backward``. Results of a sequence do not
    depend on the batch that it is in. See I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning"
    (MIT Press 2016), equations 10.8 and 10.9, and section 10.2.2 for the gradients.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.ones((3, 1, 1))
    >>> w = np.array([[0.5]])
    >>> fastnn.rnn(x, w, w, nonlinearity="relu").y.ravel()
    array([0.5  , 0.75 , 0.875])
    >>> (y, h), ctx = fastnn.rnn.forward(x, w, w, nonlinearity="relu")
    >>> fastnn.rnn.backward(ctx, (None, np.ones_like(h))).x.ravel()
    array([0.125, 0.25 , 0.5  ])
    """
    cell = f"rnn_{_check.choice('rnn', 'nonlinearity', nonlinearity, ('tanh', 'relu'))}"
    states = {"h0": h0}
    return _described(
        "rnn", cell, x, w_ih, w_hh, b_ih, b_hh, states, lengths, reverse, batch_first, backend
    )


def _lstm(
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    *,
    h0: Array | None = None,
    c0: Array | None = None,
    lengths: Array | None = None,
    reverse: bool = False,
    batch_first: bool = False,
    backend: str | None = None,
) -> Described:
    """A long short-term memory: a state c that gates write to, keep and read, step by step.

    ::

        a[t,n,g,j] = sum over m of w_ih[g*H+j,m] * x[t,n,m] + b_ih[g*H+j]
                     + sum over k of w_hh[g*H+j,k] * y[t-1,n,k] + b_hh[g*H+j]
        i, f, o    = sigmoid(a[t,n,0]), sigmoid(a[t,n,1]), sigmoid(a[t,n,3])
        c[t,n]     = f * c[t-1,n] + i * tanh(a[t,n,2])
        y[t,n]     = o * tanh(c[t,n]),      y[-1], c[-1] = h0, c0

    so the gates' order is PyTorch's: input, forget, cell, output.

    Parameters
    ----------
    x : T N I
        N sequences of T steps, float32 or float64.
    w_ih : 4H I
        Weights of the input, of the same dtype, as are all that follow.
    w_hh : 4H H
        Weights of the state.
    b_ih, b_hh : 4H, optional
        Biases; their sum counts.
    h0, c0 : N H, optional
        The states before the first step, 0 if not given.
    lengths : N, optional
        Whole numbers from 0 to T: the steps of each sequence. What x holds beyond them is ignored,
        even a NaN.
    reverse
        Whether steps run from the last to the first, each sequence from its own end; y[t] is still
        the state after the step at t.
    batch_first
        Whether x and y are N T I and N T H.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:rows") to run on; a
        command, never a wish.

    Returns
    -------
    y : T N H
        The hidden states after every step; 0 beyond a sequence's length. A NaN stays in its
        sequence and in the steps after it. An empty batch gives empty results.
    h, c : N H
        Both states after each sequence's last step; h0 and c0, or 0, where a length is 0.
        ``backward`` takes ``(dy, dh, dc)``, each may be None, and gives ``(x, w_ih, w_hh, b_ih,
        b_hh, h0, c0)``, back through all steps; None for what was not given. Beyond a sequence's
        length dy is ignored and dx is 0.

    Raises
    ------
    ShapeError
        If sizes do not fit, T, I or H is 0, or a length is not from 0 to T.
    DtypeError
        If an array is not float32 or float64, dtypes differ, lengths are no integers, or an option
        has the wrong type.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs 8 T N H (I + H) FLOP forward and twice that backward, and the bytes of x, y and the
    weights. ``forward`` keeps another 5 T N H numbers for ``backward``. Results of a sequence do
    not depend on the batch that it is in. See S. Hochreiter, J. Schmidhuber, "Long short-term
    memory" (Neural Computation 9, 1997), with the forget gate of F. Gers, J. Schmidhuber, F.
    Cummins, "Learning to forget" (Neural Computation 12, 2000), equations 3.1 to 3.6.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x, w = np.zeros((2, 1, 1)), np.zeros((4, 1))
    >>> y, h, c = fastnn.lstm(x, w, w, c0=np.full((1, 1), 8.0))  # all gates are 1/2, g is 0
    >>> c, y.ravel().round(4)
    (array([[2.]]), array([0.4997, 0.482 ]))
    >>> _, ctx = fastnn.lstm.forward(x, w, w, c0=np.full((1, 1), 8.0))
    >>> fastnn.lstm.backward(ctx, (None, None, np.ones((1, 1))), needs=("c0",)).c0
    array([[0.25]])
    """
    states = {"h0": h0, "c0": c0}
    return _described(
        "lstm", "lstm", x, w_ih, w_hh, b_ih, b_hh, states, lengths, reverse, batch_first, backend
    )


def _gru(
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    *,
    h0: Array | None = None,
    lengths: Array | None = None,
    reset_after: bool = True,
    reverse: bool = False,
    batch_first: bool = False,
    backend: str | None = None,
) -> Described:
    """A gated recurrent unit: a gate mixes the old state with a new one, another resets it.

    ::

        a[t,n,g,j] = sum over m of w_ih[g*H+j,m] * x[t,n,m] + b_ih[g*H+j]
        u[v,g,j]   = sum over k of w_hh[g*H+j,k] * v[k] + b_hh[g*H+j]
        r, z       = sigmoid(a[t,n,0] + u[y[t-1,n],0]), sigmoid(a[t,n,1] + u[y[t-1,n],1])
        new        = tanh(a[t,n,2] + r * u[y[t-1,n],2])    with reset_after, as PyTorch has it
        new        = tanh(a[t,n,2] + u[r * y[t-1,n],2])    without, the published form
        y[t,n]     = (1 - z) * new + z * y[t-1,n],      y[-1] = h0

    so the gates' order is PyTorch's: reset, update, new.

    Parameters
    ----------
    x : T N I
        N sequences of T steps, float32 or float64.
    w_ih : 3H I
        Weights of the input, of the same dtype, as are all that follow.
    w_hh : 3H H
        Weights of the state.
    b_ih, b_hh : 3H, optional
        Biases; the last third of b_hh is inside the reset's product, with ``reset_after``.
    h0 : N H, optional
        The states before the first step, 0 if not given.
    lengths : N, optional
        Whole numbers from 0 to T: the steps of each sequence. What x holds beyond them is ignored,
        even a NaN.
    reset_after
        Whether the reset gate applies after the recurrent product, or to the state before it.
    reverse
        Whether steps run from the last to the first, each sequence from its own end; y[t] is still
        the state after the step at t.
    batch_first
        Whether x and y are N T I and N T H.
    backend
        A backend ("cython", "numba", "naive") or an implementation ("cython:rows") to run on; a
        command, never a wish.

    Returns
    -------
    y : T N H
        The states after every step; 0 beyond a sequence's length. A NaN stays in its sequence and
        in the steps after it. An empty batch gives empty results.
    h : N H
        The states after each sequence's last step; h0, or 0, where a length is 0.
        ``backward`` takes ``(dy, dh)``, either may be None, and gives ``(x, w_ih, w_hh, b_ih, b_hh,
        h0)``, back through all steps; None for what was not given. Beyond a sequence's length dy is
        ignored and dx is 0.

    Raises
    ------
    ShapeError
        If sizes do not fit, T, I or H is 0, or a length is not from 0 to T.
    DtypeError
        If an array is not float32 or float64, dtypes differ, lengths are no integers, or an option
        has the wrong type.
    UnsupportedError
        If `backend` cannot run this call.

    Notes
    -----
    Costs 6 T N H (I + H) FLOP forward and twice that backward, and the bytes of x, y and the
    weights. ``forward`` keeps another 5 T N H numbers for ``backward``, 4 without ``reset_after``.
    Results of a sequence do not depend on the batch that it is in. See K. Cho et al., "Learning
    phrase representations using RNN encoder-decoder" (arXiv 1406.1078), equations 5 to 8; J. Chung
    et al. (arXiv 1412.3555) write 1 - z for z.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x, w = np.zeros((3, 1, 1)), np.zeros((3, 1))
    >>> fastnn.gru(x, w, w, h0=np.full((1, 1), 8.0)).y.ravel()  # z is 1/2, the new state 0
    array([4., 2., 1.])
    >>> _, ctx = fastnn.gru.forward(x, w, w, h0=np.full((1, 1), 8.0))
    >>> fastnn.gru.backward(ctx, (None, np.ones((1, 1))), needs=("h0",)).h0
    array([[0.125]])
    """
    cell = "gru" if _check.flag("gru", "reset_after", reset_after) else "gru_classic"
    states = {"h0": h0}
    return _described(
        "gru", cell, x, w_ih, w_hh, b_ih, b_hh, states, lengths, reverse, batch_first, backend
    )


def _described(
    op: str,
    cell: str,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    states: dict[str, Array | None],
    lengths: Array | None,
    reverse: bool,
    batch_first: bool,
    backend: str | None,
) -> Described:
    """What every front does with its arguments."""
    x = _check.array(op, "x", x)
    w_ih = _check.array(op, "w_ih", w_ih)
    w_hh = _check.array(op, "w_hh", w_hh)
    b_ih = _check.optional(op, "b_ih", b_ih)
    b_hh = _check.optional(op, "b_hh", b_hh)
    start = {name: _check.optional(op, name, a) for name, a in states.items()}
    lengths = None if lengths is None else _check.labels(op, "lengths", lengths)
    _check.same_dtype(op, "x", x, w_ih=w_ih, w_hh=w_hh, b_ih=b_ih, b_hh=b_hh, **start)
    call = _describe(
        op,
        _check.dtype_name(x),
        cell,
        x.shape,
        w_ih.shape,
        w_hh.shape,
        None if b_ih is None else b_ih.shape,
        None if b_hh is None else b_hh.shape,
        tuple((name, None if a is None else a.shape) for name, a in start.items()),
        None if lengths is None else lengths.shape,
        _check.flag(op, "reverse", reverse),
        _check.flag(op, "batch_first", batch_first),
    )
    if lengths is not None:
        _check_lengths(op, lengths, call.sizes[0])
    return Described(call, (x, w_ih, w_hh, b_ih, b_hh, *start.values(), lengths), None, backend)


def _check_lengths(op: str, lengths: Array, steps: int) -> None:
    """Every length is from 0 to `steps`; negative ones are huge as unsigned numbers."""
    if lengths.size and lengths.view(np.uint64).max() > steps:
        n = int(lengths.view(np.uint64).argmax())
        raise ShapeError(
            f"{op}: lengths[{n}] is {lengths[n]} but x has T={steps} steps; lengths must be from "
            f"0 to {steps}"
        )


@lru_cache(4096)
def _describe(
    op: str,
    dtype: str,
    cell: str,
    x: tuple[int, ...],
    w_ih: tuple[int, ...],
    w_hh: tuple[int, ...],
    b_ih: tuple[int, ...] | None,
    b_hh: tuple[int, ...] | None,
    states: tuple[tuple[str, tuple[int, ...] | None], ...],
    lengths: tuple[int, ...] | None,
    reverse: bool,
    batch_first: bool,
) -> RecurrentCall:
    """The `RecurrentCall`; every rule about sizes is here."""
    gates = spec.GATES[cell]
    rows = "H" if gates == 1 else f"{gates}H"
    layout = "N T I" if batch_first else "T N I"
    for name, sizes, axes in (
        ("x", x, layout),
        ("w_ih", w_ih, f"{rows} I"),
        ("w_hh", w_hh, f"{rows} H"),
    ):
        if len(sizes) != len(axes.split()):
            raise ShapeError(
                f"{op}: {name} has {len(sizes)} axes, shape {sizes}; it must be {axes}"
            )
    if 0 in w_hh:
        raise ShapeError(f"{op}: w_hh has shape {rows} H = {w_hh}; these must be at least 1")
    hidden = w_hh[1]
    steps, batch = (x[1], x[0]) if batch_first else x[:2]
    _check.positive_sizes(op, "x", (steps, x[2]), "T I")
    if w_hh[0] != gates * hidden:
        raise ShapeError(
            f"{op}: w_hh has shape {w_hh}, so H={hidden}; it must be {rows} H = "
            f"{(gates * hidden, hidden)}"
        )
    wanted: list[tuple[str, tuple[int, ...], str, tuple[int, ...]]]
    wanted = [("w_ih", w_ih, f"x has I={x[2]} and w_hh H={hidden}", (gates * hidden, x[2]))]
    wanted += [
        (name, sizes, f"w_hh has H={hidden}", (gates * hidden,))
        for name, sizes in (("b_ih", b_ih), ("b_hh", b_hh))
        if sizes is not None
    ]
    wanted += [
        (name, sizes, f"x has N={batch} and w_hh H={hidden}", (batch, hidden))
        for name, sizes in states
        if sizes is not None
    ]
    if lengths is not None:
        wanted.append(("lengths", lengths, f"x has N={batch} sequences", (batch,)))
    for name, sizes, why, right in wanted:
        if sizes != right:
            raise ShapeError(f"{op}: {name} has shape {sizes} but {why}; {name} must be {right}")
    there = [sizes is not None for _, sizes in states]
    return RecurrentCall(
        dtype,
        cell,
        x,
        hidden,
        b_ih is not None,
        b_hh is not None,
        there[0],
        any(there[1:]),
        lengths is not None,
        reverse,
        batch_first,
    )


rnn = Op(
    _rnn,
    returns=RecurrentResult,
    grads=RecurrentGrads,
    impls=["cython:rows", "numba:sequences", "naive"],
    cases=spec.rnn_cases,
    errors=spec.rnn_errors,
    terms=spec.terms,
    draw=spec.DRAW,
    exact=False,
    smooth=True,
)

lstm = Op(
    _lstm,
    returns=LstmResult,
    grads=LstmGrads,
    impls=["cython:rows", "numba:sequences", "naive"],
    cases=spec.lstm_cases,
    errors=spec.lstm_errors,
    terms=spec.terms,
    draw=spec.DRAW,
    exact=False,
    smooth=True,
)

gru = Op(
    _gru,
    returns=RecurrentResult,
    grads=RecurrentGrads,
    impls=["cython:rows", "numba:sequences", "naive"],
    cases=spec.gru_cases,
    errors=spec.gru_errors,
    terms=spec.terms,
    draw=spec.DRAW,
    exact=False,
    smooth=True,
)


def rnn_step(
    x: Array,
    h: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    *,
    nonlinearity: str = "tanh",
    backend: str | None = None,
) -> Array:
    """One step of `rnn`, for input that arrives bit by bit: the next state from x N I and h N H.

    Compiled and Numba code give the bits of a call on the whole sequence.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> w = np.array([[0.5]])
    >>> fastnn.rnn_step(np.ones((1, 1)), np.ones((1, 1)), w, w, nonlinearity="relu")
    array([[1.]])
    """
    options = {"nonlinearity": nonlinearity, "backend": backend}
    return rnn(np.asarray(x)[None], w_ih, w_hh, b_ih, b_hh, h0=h, **options).h  # type: ignore[arg-type]


def lstm_step(
    x: Array,
    state: tuple[Array, Array],
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    *,
    backend: str | None = None,
) -> tuple[Array, Array]:
    """One step of `lstm`: the next (h, c), N H each, from x N I and the state (h, c).

    Compiled and Numba code give the bits of a call on the whole sequence.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x, h, c, w = np.zeros((1, 1)), np.zeros((1, 1)), np.full((1, 1), 8.0), np.zeros((4, 1))
    >>> h, c = fastnn.lstm_step(x, (h, c), w, w)
    >>> c
    array([[4.]])
    """
    h, c = state
    _, h, c = lstm(np.asarray(x)[None], w_ih, w_hh, b_ih, b_hh, h0=h, c0=c, backend=backend)
    return h, c


def gru_step(
    x: Array,
    h: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    *,
    reset_after: bool = True,
    backend: str | None = None,
) -> Array:
    """One step of `gru`: the next state from x N I and h N H.

    Compiled and Numba code give the bits of a call on the whole sequence.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> w = np.zeros((3, 1))
    >>> fastnn.gru_step(np.zeros((1, 1)), np.full((1, 1), 8.0), w, w)
    array([[4.]])
    """
    options = {"reset_after": reset_after, "backend": backend}
    return gru(np.asarray(x)[None], w_ih, w_hh, b_ih, b_hh, h0=h, **options).h  # type: ignore[arg-type]
