"""An implementation against naive: bitwise on integers, within a derived bound on normal data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Case
from fastnn._check import Array
from fastnn.dispatch import Bound, Impl, Op
from fastnn.testing._draw import Data, draw, draw_dy


class Comparison(NamedTuple):
    """How far an implementation is from naive, in units of the allowed bound."""

    refused: str | None  # why the implementation does not take the call; then the rest is 0
    forward: float
    backward: float
    error: float  # worst error relative to the sum of magnitudes
    passed: bool


class Results(NamedTuple):
    """Everything that one forward and backward call produced."""

    outputs: tuple[Array, ...]
    grads: Mapping[str, Any]  # Array or None
    updated: Mapping[str, Array]


def run(
    op: Op[..., Any, Any],
    impl: Impl,
    arguments: Mapping[str, Any],
    dy: Any,
    needs: tuple[str, ...] | None = None,
) -> Results:
    """Forward and backward of `impl` on copies of `arguments`; running statistics come back.

    An empty batch goes to naive, as it does in dispatch: kernels are never asked.
    """
    own = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
    call, arrays, _, _ = op.front(**own)
    impl = op.impl("naive") if call.empty else impl
    y, saved = impl.forward(call, *arrays, out=None, save=True)
    outputs = tuple(y) if op.outputs else (y,)
    fields: tuple[str, ...] = op.grads._fields
    wanted = fields if needs is None else needs
    grads = dict(zip(fields, impl.backward(call, saved, dy, wanted), strict=True))
    return Results(outputs, grads, {k: own[k] for k in op.updates if own.get(k) is not None})


def compare(
    op: Op[..., Any, Any],
    impl: Impl | str,
    case: Case,
    dtype: str,
    *,
    kind: Data = "normal",
    seed: int = 0,
) -> Comparison:
    """Compare `impl` with naive on one case.

    The bound is ``4 ceil(log2 K) eps`` of the sum of magnitudes, K the length of the longest sum,
    and twice that backward; on integer data operations made of sums, products and comparisons
    must agree bitwise (the figure is then 0 or infinite). What the implementation has a `Bound`
    for is held to that.
    """
    impl = op.impl(impl) if isinstance(impl, str) else impl
    arguments = draw(op, case, dtype, seed=seed, kind=kind)
    call = op.front(**arguments)[0]
    why = impl.supports(call)
    if why is not None:
        return Comparison(why, 0.0, 0.0, 0.0, True)
    dy = draw_dy(op, call, seed=seed + 1, kind=kind)
    got = run(op, impl, arguments, dy)
    key = (op.name, case.id, dtype, kind, seed)
    if key not in _references:
        if len(_references) >= _REFERENCES_KEPT:
            _references.clear()
        _references[key] = _reference(op, arguments, dy)
    want, scale = _references[key]
    return held(op, impl, call, got, want, scale, bitwise=kind == "integer" and op.exact)


def held(
    op: Op[..., Any, Any],
    impl: Impl,
    call: Any,
    got: Results,
    want: Results,
    scale: Results,
    *,
    bitwise: bool,
    slack: float = 1.0,
) -> Comparison:
    """How far `got` is from `want`, in units of `slack` times the bound relative to `scale`."""
    plain = slack * bound(op, call)
    limit = 0.0 if bitwise else plain
    own = impl.bounds(call)
    forward = relative = 0.0
    names = op.outputs or ("y",)
    for name, y, exact, size in zip(names, got.outputs, want.outputs, scale.outputs, strict=True):
        units, error = _distance(y, exact, *_allowed(own.get(name), size, limit, plain))
        forward, relative = max(forward, units), max(relative, error)
    pairs = [(got.updated[k], v, np.abs(v).max()) for k, v in want.updated.items()]
    for updated, exact, top in pairs:
        forward = max(forward, _distance(updated, exact, top, limit)[0])
    backward = 0.0
    for name, exact in want.grads.items():
        gradient = got.grads[name]
        if gradient is None or exact is None:
            backward = max(backward, 0.0 if gradient is exact else np.inf)
        else:
            size, most = _allowed(own.get(name), scale.grads[name], limit, plain)
            units, error = _distance(gradient, exact, size, 2 * most)
            backward, relative = max(backward, units), max(relative, error)
    return Comparison(None, forward, backward, relative, max(forward, backward) <= 1)


# Naive is slow by design, and every implementation is held against the same numbers.
_REFERENCES_KEPT = 16
_references: dict[tuple[object, ...], tuple[Results, Results]] = {}


def _reference(
    op: Op[..., Any, Any], arguments: Mapping[str, Any], dy: Any
) -> tuple[Results, Results]:
    """What naive says in float64, and the sums of magnitudes behind it."""
    widened = {k: wide(v) for k, v in arguments.items()}
    want = run(op, op.impl("naive"), widened, wide(dy))
    return want, magnitudes(op, widened, dy, want)


def bound(op: Op[..., Any, Any], call: Any) -> float:
    """The allowed error of a forward result, relative to the sum of magnitudes."""
    eps = float(np.finfo(call.dtype).eps)
    return 4 * max(1, int(op.terms(call) - 1).bit_length()) * eps


def _allowed(own: Bound | None, scale: Array, limit: float, plain: float) -> tuple[Array, float]:
    """What an error is relative to, and how large it may be: the operation's rule, or `own`."""
    if own is None or (limit == 0.0 and own.integers):
        return scale, limit
    return _top(scale, 0.0), own.growth * plain


def wide(value: Any) -> Any:
    """Float arrays as float64: the naive code on them is as good as exact."""
    if isinstance(value, tuple) and any(isinstance(v, np.ndarray) for v in value):
        return tuple(wide(v) for v in value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.float64)
    return value


def _map(dy: Any, function: Any) -> Any:
    """`function` of dy, or of each array if there are several."""
    return tuple(function(d) for d in dy) if isinstance(dy, tuple) else function(dy)


def magnitudes(op: Op[..., Any, Any], exact: Mapping[str, Any], dy: Any, want: Results) -> Results:
    """Sums of magnitudes: the same operation on absolute values, for sums and products.

    Where the operation is no such sum, the largest entry of a result, or of dy times the
    operation's `gain`, stands for it.
    """
    up = _map(wide(dy), np.abs)
    if not op.exact:
        top = max(float(d.max(initial=0.0)) for d in (up if isinstance(up, tuple) else (up,)))
        tops = dict.fromkeys(want.grads, top)
        if op.gain is not None:
            tops[next(iter(tops))] *= max(1.0, op.gain(op.front(**exact).call, exact))
        grads = {k: None if g is None else _top(g, tops[k]) for k, g in want.grads.items()}
        return Results(tuple(_top(y, 0.0) for y in want.outputs), grads, {})
    naive = op.impl("naive")
    absolute = {k: _absolute(v) for k, v in exact.items()}
    products, winners = run(op, naive, absolute, up), run(op, naive, exact, up)
    joined = {
        k: None if g is None else np.maximum(np.abs(g), np.abs(winners.grads[k]))
        for k, g in products.grads.items()
    }
    both = zip(products.outputs, want.outputs, strict=True)
    return Results(tuple(np.maximum(np.abs(p), np.abs(y)) for p, y in both), joined, {})


def _absolute(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.abs(value)
    return value


def _top(a: Array, least: float) -> Array:
    return np.asarray(max(float(np.abs(a).max(initial=0.0)), least))


def _distance(got: Array, want: Array, scale: Any, limit: float) -> tuple[float, float]:
    """Worst |got - want| in units of limit * scale, and relative to scale; shapes must agree."""
    if got.shape != want.shape:
        return np.inf, np.inf
    if got.size == 0:
        return 0.0, 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.atleast_1d(np.abs(got.astype(np.float64) - want))
    error[np.atleast_1d((got == want) | (np.isnan(got) & np.isnan(want)))] = 0.0
    error[np.isnan(error)] = np.inf
    if not error.any():
        return 0.0, 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = float(np.nanmax(np.where(error > 0, error / scale, 0.0)))
    return (relative / limit if limit else np.inf), relative


def check_impl(
    op: Op[..., Any, Any], impl: Impl | str, case: Case, dtype: str, *, seed: int = 0
) -> None:
    """Assert that an implementation computes what naive does, and nothing else.

    Checks results and all gradients on integer and on normal data, shapes and dtypes, that every
    gradient is skipped when it is not needed, that inputs are left alone, and that zero `dy` gives
    zero gradients. A call that the implementation refuses passes, unless it is a core case that no
    other implementation of its backend takes.

    Raises
    ------
    AssertionError
        With the operation, implementation and case in its text.
    """
    impl = op.impl(impl) if isinstance(impl, str) else impl
    where = f"{op.name} {impl.name} {dtype} {case.id}"
    kinds: tuple[Data, ...] = ("integer", "normal")
    for kind in kinds:
        found = compare(op, impl, case, dtype, kind=kind, seed=seed)
        if found.refused is not None:
            assert may_refuse(op, impl, case, dtype), (
                f"{where}: a core case may not be refused: {found.refused}"
            )
            return
        assert found.passed, (
            f"{where}: {kind} data: error in units of the bound is {found.forward:.3g} forward, "
            f"{found.backward:.3g} backward; it must be at most 1"
        )
    arguments = draw(op, case, dtype, seed=seed)
    dy = draw_dy(op, op.front(**arguments)[0], seed=seed + 1)
    _check_form(op, impl, where, arguments, dy)
    _check_inputs_untouched(op, impl, where, arguments, dy)


def may_refuse(op: Op[..., Any, Any], impl: Impl, case: Case, dtype: str) -> bool:
    """Whether `impl` may refuse `case`: a core one only if another of its backend takes it."""
    call = op.front(**draw(op, case, dtype))[0]
    others = (op.impl(name) for name in op.impls if name != impl.name)
    return case.kind != "core" or any(
        other.backend == impl.backend and other.supports(call) is None for other in others
    )


def _check_form(
    op: Op[..., Any, Any], impl: Impl, where: str, arguments: dict[str, Any], dy: Any
) -> None:
    """Shapes, dtypes, `needs`, and zero gradients for zero dy."""
    call, arrays, _, _ = op.front(**arguments)
    given = dict(zip(op.array_names, arrays, strict=False))  # a front may add arrays of its own
    whole = run(op, impl, arguments, dy)
    for y in whole.outputs[: op.has_gradient or 1]:
        assert y.dtype == call.dtype, f"{where}: y is {y.dtype}; it must be {call.dtype}"
    for name, gradient in whole.grads.items():
        if gradient is None:
            assert given[name] is None, f"{where}: d{name} is None but {name} was given"
            continue
        array = given[name]
        assert array is not None and gradient.shape == array.shape, (
            f"{where}: d{name} has shape {gradient.shape}; it must be {name}'s"
        )
        assert gradient.dtype == call.dtype, f"{where}: d{name} is {gradient.dtype}"
        alone = run(op, impl, arguments, dy, needs=(name,)).grads
        assert np.array_equal(alone[name], gradient, equal_nan=True), (
            f"{where}: d{name} alone differs from d{name} with the others"
        )
        others = [k for k, g in alone.items() if k != name and g is not None]
        assert not others, f"{where}: needs=({name!r},) also computed {others}"
    nothing = run(op, impl, arguments, _map(dy, np.zeros_like)).grads
    for name, gradient in nothing.items():
        assert gradient is None or not gradient.any(), f"{where}: zero dy gives d{name} != 0"


def _check_inputs_untouched(
    op: Op[..., Any, Any], impl: Impl, where: str, arguments: dict[str, Any], dy: Any
) -> None:
    before = {k: v.copy() for k, v in arguments.items() if isinstance(v, np.ndarray)}
    dys = dy if isinstance(dy, tuple) else (dy,)
    dys_before = [d.copy() for d in dys]
    call, arrays, _, _ = op.front(**arguments)
    impl = op.impl("naive") if call.empty else impl
    y, saved = impl.forward(call, *arrays, out=None, save=True)
    gradients = impl.backward(call, saved, dy, op.grads._fields)
    results = (*(y if op.outputs else (y,)), *gradients)
    for name, array in before.items():
        if name not in op.updates:
            same = np.array_equal(arguments[name], array, equal_nan=array.dtype.kind == "f")
            assert same, f"{where}: input {name} was written to"
            for result in results:
                assert result is None or not np.may_share_memory(result, arguments[name]), (
                    f"{where}: a result shares memory with {name}"
                )
    for d, d_before in zip(dys, dys_before, strict=True):
        assert np.array_equal(d, d_before), f"{where}: dy was written to"
