"""Ring 3: every implementation of every operation against naive."""

import numpy as np
import pytest
from conftest import skip_if_refused

import fastnn
from fastnn import testing


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def test_agrees_with_naive(op, case, dtype, impl):
    arguments = testing.draw(op, case, dtype)
    skip_if_refused(op, impl, op.front(**arguments)[0])
    testing.check_impl(op, impl, case, dtype)


@pytest.mark.parametrize("name", testing.LAYOUTS)
def test_memory_layouts_change_nothing(op, name):
    """Every array in another layout, dy too: the same bits from every implementation."""
    case = next(c for c in op.cases() if c.kind == "core")
    for dtype in ("float32", "float64"):
        arguments = testing.draw(op, case, dtype)
        call = op.front(**arguments)[0]
        dy = testing.draw_dy(op, call)
        moved = {
            k: testing.layout(v, name) if isinstance(v, np.ndarray) and k not in op.updates else v
            for k, v in arguments.items()
        }
        for impl in op.impls:
            if op.impl(impl).supports(call) is not None:
                continue
            plain = {k: v.copy() if k in op.updates else v for k, v in arguments.items()}
            y, ctx = op.forward(**plain, backend=impl)
            grads = op.backward(ctx, dy)
            again = {k: v.copy() if k in op.updates else v for k, v in moved.items()}
            y2, ctx2 = op.forward(**again, backend=impl)
            moved_dy = [testing.layout(d, name) for d in as_tuple(dy)]
            grads2 = op.backward(ctx2, moved_dy if isinstance(dy, tuple) else moved_dy[0])
            pairs = [(as_tuple(y), as_tuple(y2)), (grads, grads2)]
            for a, b in (pair for two in pairs for pair in zip(*two, strict=True)):
                assert (a is None and b is None) or np.array_equal(a, b)


def test_an_array_without_strides_is_like_one_full_of_its_number(op):
    """What np.broadcast_to gives: every element is the same memory."""
    case = next(c for c in op.cases() if c.kind == "core")
    arguments = testing.draw(op, case, "float32")
    given = {
        k: v for k, v in arguments.items() if isinstance(v, np.ndarray) and k not in op.updates
    }
    flat = {k: np.broadcast_to(v.reshape(-1)[:1].reshape(()), v.shape) for k, v in given.items()}
    full = {k: v.copy() for k, v in flat.items()}
    call = op.front(**arguments | full)[0]
    assert op.front(**arguments | flat)[0] == call
    dy = np.ones(as_tuple(testing.draw_dy(op, call))[0].shape, np.float32)
    rest = as_tuple(testing.draw_dy(op, call))[1:]
    for impl in op.impls:
        if op.impl(impl).supports(call) is None:
            seen = []
            for arrays, first in ((flat, np.broadcast_to(np.float32(1), dy.shape)), (full, dy)):
                own = {k: v.copy() if k in op.updates else v for k, v in arguments.items()}
                y, ctx = op.forward(**own | arrays, backend=impl)
                grads = op.backward(ctx, (first, *rest) if rest else first)
                seen.append([*as_tuple(y), *grads])
            for a, b in zip(*seen, strict=True):
                assert (a is None and b is None) or np.array_equal(a, b, equal_nan=True)


def test_core_cases_cover_every_option(op):
    """An option that no core case sets would be tested by nobody."""
    known = set(op.__signature__.parameters) - set(op.array_names) - {"out", "backend"}
    used = set().union(*(c.options for c in op.cases() if c.kind == "core"))
    assert known - used == set()


def test_every_core_case_runs_on_compiled_code_without_being_asked(op, case):
    """No silent fall to a slower backend for plain float32 and float64 input."""
    for dtype in ("float32", "float64"):
        call = op.front(**testing.draw(op, case, dtype))[0]
        best = op.impl(op.impls[0])
        if best.supports(call) is None:
            assert op.explain_call(call).chosen.startswith(best.backend)


def test_no_benchmark_case_falls_back_to_slower_code(op):
    """`explain` over all bench cases: compiled code is chosen, for both dtypes."""
    if fastnn.dispatch.unavailable("cython") is not None:
        pytest.skip("needs the compiled extension")
    rng = np.random.default_rng(0)
    for case in op.cases():
        if case.kind == "bench":
            for dtype in (np.dtype("float32"), np.dtype("float64")):
                arrays = {
                    k: op.draw[k](rng, case, dtype) if k in op.draw else np.empty(shape, dtype)
                    for k, shape in case.arrays.items()
                }
                assert op.explain(**arrays, **case.options).chosen.startswith("cython:"), case.id
