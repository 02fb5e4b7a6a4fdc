"""Gradients against central differences, along random directions, with a random dy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn._cases import Case
from fastnn._check import Array
from fastnn.dispatch import Impl, Op
from fastnn.testing._compare import run
from fastnn.testing._draw import draw, draw_dy


def check_gradients(
    op: Op[..., Any],
    impl: Impl | str,
    case: Case,
    *,
    seed: int = 0,
    directions: int = 4,
    step: float = 1e-6,
    tolerance: float = 1e-7,
) -> None:
    """Assert in float64 that backward is the derivative of forward.

    With L(a) = sum of dy * y(a) and a random direction v of every differentiable array a,
    (L(a + h v) - L(a - h v)) / 2h must be the sum of da * v. All entries of a gradient take part
    in each direction, so no wrong one can hide.

    Raises
    ------
    AssertionError
        With the operation, implementation, case and array in its text.
    """
    impl = op.impl(impl) if isinstance(impl, str) else impl
    arguments = draw(op, case, "float64", seed=seed)
    call = op.front(**arguments)[0]
    if call.empty:
        return
    dy = draw_dy(call, seed=seed + 1)
    gradients = run(op, impl, arguments, dy).grads
    rng = np.random.default_rng(seed + 2)
    for name, gradient in gradients.items():
        if gradient is None:
            continue
        for _ in range(directions):
            v = rng.standard_normal(gradient.shape)
            want, condition = _slope(op, impl, arguments, name, v, dy, step)
            got = float(np.sum(gradient * v))
            size = max(float(np.linalg.norm(gradient) * np.linalg.norm(v)), condition)
            assert abs(got - want) <= tolerance * size, (
                f"{op.name} {impl.name} {case.id}: d{name} along a random direction is {got:.12g}, "
                f"central differences give {want:.12g}"
            )


def _slope(
    op: Op[..., Any],
    impl: Impl,
    arguments: Mapping[str, Any],
    name: str,
    v: Array,
    dy: Array,
    step: float,
) -> tuple[float, float]:
    """Slope of L along `v`, and the size of its rounding error, from the magnitudes in L."""
    values = []
    for h in (step, -step):
        moved = dict(arguments)
        moved[name] = arguments[name] + h * v
        values.append(run(op, impl, moved, dy).y)
    rounding = float(np.sum(np.abs(dy * values[0]))) * 1e-8
    return float(np.sum(dy * (values[0] - values[1]))) / (2 * step), rounding
