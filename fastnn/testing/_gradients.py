"""Gradients against central differences, along random directions, with a random dy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from fastnn._cases import Case
from fastnn.dispatch import Impl, Op
from fastnn.testing._compare import run
from fastnn.testing._draw import draw, draw_dy


def check_gradients(
    op: Op[..., Any, Any],
    impl: Impl | str,
    case: Case,
    *,
    seed: int = 0,
    directions: int = 4,
    step: float = 1e-6,
    tolerance: float = 1e-7,
) -> None:
    """Assert in float64 that backward is the derivative of forward, by central differences.

    With L(a) = sum of dy * y(a) and a random direction v of every differentiable array a,
    (L(a + h v) - L(a - h v)) / 2h must be the sum of da * v. All entries of a gradient take part
    in each direction, so no wrong one can hide.

    Raises
    ------
    AssertionError
        With the operation, implementation, case and array in its text.
    """
    checked = op.impl(impl) if isinstance(impl, str) else impl

    def slope(arguments: dict[str, Any], name: str, v: Any, dy: Any) -> tuple[float, float]:
        values = []
        for h in (step, -step):
            moved = arguments | {name: arguments[name] + h * v}
            values.append(_terms(run(op, checked, moved, dy).outputs, dy))
        rounding = float(np.sum(np.abs(values[0]))) * 1e-8
        return float(np.sum(values[0] - values[1])) / (2 * step), rounding

    _check_slopes(op, checked, case, slope, seed, directions, tolerance)


def check_gradients_complex(
    op: Op[..., Any, Any],
    case: Case,
    *,
    seed: int = 0,
    directions: int = 4,
    tolerance: float = 1e-12,
) -> None:
    """Assert the same of naive by the complex step, which has no rounding error to speak of.

    For an analytic L, Im L(a + i h v) / h is its slope along v up to h^2; with h = 1e-30 that is
    exact to the last digits (W. Squire, G. Trapp, SIAM Review 40, 1998, eq. 6). Naive forward runs
    on complex arrays, past the front, which takes real ones only.

    Raises
    ------
    AssertionError
        With the operation, case and array in its text.
    """
    naive = op.impl("naive")
    step = 1e-30

    def slope(arguments: dict[str, Any], name: str, v: Any, dy: Any) -> tuple[float, float]:
        call, arrays, _, _ = op.front(**arguments)
        moved = [
            a.astype(np.complex128) + (1j * step * v.reshape(a.shape) if k == name else 0)
            if a is not None and k in op.grads._fields
            else a
            for k, a in zip_longest(op.array_names, arrays)  # a front may add arrays of its own
        ]
        y, _ = naive.forward(call._replace(dtype="complex128"), *moved, out=None, save=False)
        terms = _terms(y if op.outputs else (y,), dy)
        return float(np.sum(terms.imag)) / step, 0.0

    _check_slopes(op, naive, case, slope, seed, directions, tolerance)


def _check_slopes(
    op: Op[..., Any, Any],
    impl: Impl,
    case: Case,
    slope: Callable[[dict[str, Any], str, Any, Any], tuple[float, float]],
    seed: int,
    directions: int,
    tolerance: float,
) -> None:
    """Every gradient of backward against `slope` along random directions."""
    arguments = draw(op, case, "float64", seed=seed)
    call = op.front(**arguments)[0]
    if call.empty:
        return
    dy = draw_dy(op, call, seed=seed + 1)
    gradients = run(op, impl, arguments, dy).grads
    rng = np.random.default_rng(seed + 2)
    for name, gradient in gradients.items():
        if gradient is None:
            continue
        for _ in range(directions):
            v: Any = rng.standard_normal(gradient.shape)
            fresh = {k: a.copy() if k in op.updates else a for k, a in arguments.items()}
            want, rounding = slope(fresh, name, v, dy)
            got = float(np.sum(gradient * v))
            size = max(float(np.linalg.norm(gradient) * np.linalg.norm(v)), rounding)
            assert abs(got - want) <= tolerance * size, (
                f"{op.name} {impl.name} {case.id}: d{name} along a random direction is {got:.15g}, "
                f"finite differences give {want:.15g}"
            )


def _terms(outputs: Any, dy: Any) -> Any:
    """The terms of L = sum of dy * y over all differentiable outputs."""
    dys = dy if isinstance(dy, tuple) else (dy,)
    pairs = zip(outputs, dys, strict=False)
    return np.concatenate([np.ravel(y * d) for y, d in pairs])
