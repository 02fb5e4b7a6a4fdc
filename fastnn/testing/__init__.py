"""Proof for implementations, yours too: equality with naive, gradients, layouts, tolerances.

Public, so that an implementation that lives outside the package can be held to the same rules::

    fastnn.conv2d.register(Impl("mine:fast", op="conv2d", forward=..., backward=...))
    for case in fastnn.conv2d.cases():
        fastnn.testing.check_impl(fastnn.conv2d, "mine:fast", case, "float32")
"""

from fastnn.testing._compare import Comparison, check_impl, compare, may_refuse, run
from fastnn.testing._draw import draw, draw_dy
from fastnn.testing._gradients import check_gradients, check_gradients_complex
from fastnn.testing._layouts import LAYOUTS, layout

__all__ = [
    "LAYOUTS",
    "Comparison",
    "check_gradients",
    "check_gradients_complex",
    "check_impl",
    "compare",
    "draw",
    "draw_dy",
    "layout",
    "may_refuse",
    "run",
]
