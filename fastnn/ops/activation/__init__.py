"""Activations, element by element: the operation objects; their fronts are next door.

All are one mechanism: a front names a function and its two parameters, and every implementation
has one forward and one backward that serve all functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ParamSpec

from fastnn._cases import Bad, Case
from fastnn._check import Array
from fastnn.dispatch import Described, Op
from fastnn.errors import OptionError
from fastnn.ops.activation import _rectifiers, _sigmoids, spec
from fastnn.ops.activation.spec import ActivationGrads

__all__ = [
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "leaky_relu",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]

P = ParamSpec("P")

_IMPLS = ("cython:direct", "numba:direct", "naive")


def _op(
    front: Callable[P, Described],
    cases: Callable[[], Iterator[Case]],
    errors: Callable[[], Iterator[Bad]],
    *,
    smooth: bool = False,
) -> Op[P, Array, ActivationGrads]:
    front.__module__ = __name__  # implementations are looked for beside this file
    return Op(
        front,
        returns=Array,
        grads=ActivationGrads,
        impls=_IMPLS,
        cases=cases,
        errors=errors,
        terms=spec.terms,
        exact=False,
        smooth=smooth,
    )


_rectifiers._relu.__module__ = __name__
relu = Op(
    _rectifiers._relu,
    returns=Array,
    grads=ActivationGrads,
    impls=["cython:direct", "numba:direct", "naive"],
    cases=spec.cases(),
    errors=spec.errors(),
    terms=spec.terms,
)
leaky_relu = _op(
    _rectifiers._leaky_relu,
    spec.cases({}, {"negative_slope": 0.2}, {"negative_slope": -1.5}),
    spec.errors(negative_slope=spec.finite_errors("negative_slope")),
)
elu = _op(
    _rectifiers._elu,
    spec.cases({}, {"alpha": 0.7}, {"alpha": 2.5}),
    spec.errors(alpha=spec.finite_errors("alpha")),
)
selu = _op(_rectifiers._selu, spec.cases(), spec.errors())
hardsigmoid = _op(_rectifiers._hardsigmoid, spec.cases(), spec.errors())
hardswish = _op(_rectifiers._hardswish, spec.cases(), spec.errors())
gelu = _op(
    _sigmoids._gelu,
    spec.cases({}, {"approximate": "tanh"}, {"approximate": "none"}),
    spec.errors(
        approximate=(
            ("erf", OptionError, r"approximate='erf'; it must be one of none, tanh"),
            (None, OptionError, r"approximate=None; it must be one of none, tanh"),
        )
    ),
)
silu = _op(_sigmoids._silu, spec.cases(), spec.errors(), smooth=True)
sigmoid = _op(
    _sigmoids._sigmoid,
    spec.cases({}, {"scale": 2.5}, {"scale": -0.5}),
    spec.errors(scale=spec.finite_errors("scale")),
    smooth=True,
)
tanh = _op(_sigmoids._tanh, spec.cases(), spec.errors(), smooth=True)
softplus = _op(
    _sigmoids._softplus,
    spec.cases({}, {"beta": 2.0}, {"beta": 0.5, "threshold": 0.25}, {"threshold": 1000.0}),
    spec.errors(
        beta=(
            *spec.finite_errors("beta"),
            (0.0, OptionError, r"beta=0.0; it must be positive"),
            (-2, OptionError, r"beta=-2.0; it must be positive"),
        ),
        threshold=spec.finite_errors("threshold"),
    ),
)
