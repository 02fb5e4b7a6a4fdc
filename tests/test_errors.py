"""Bad calls: the right error with the numbers in it, before anything is written, on any backend."""

import sys

import numpy as np
import pytest

import fastnn
from fastnn import _check, testing


def test_error_names_the_numbers(op, bad):
    arrays = {k: v for k, v in bad.arguments.items() if isinstance(v, np.ndarray)}
    before = {k: v.copy() for k, v in arrays.items()}
    with pytest.raises(bad.error, match=bad.match) as caught:
        op(**bad.arguments)
    assert isinstance(caught.value, fastnn.FastnnError)
    text = str(caught.value)
    assert text.startswith(f"{op.name}: ") and "\n" not in text
    for k, v in arrays.items():
        assert np.array_equal(v, before[k], equal_nan=v.dtype.kind in "fc"), f"{k} was written to"


def test_a_refused_call_leaves_out_alone(op, bad):
    """Whatever `out` is, the arguments are checked before it is looked at, let alone written to."""
    if op.outputs or {"out", "backend"} & set(bad.arguments):
        return
    for dtype in ("float32", "float64"):
        out = np.full(7, 3.5, dtype)
        with pytest.raises(bad.error, match=bad.match):
            op(**bad.arguments, out=out)
        assert (out == 3.5).all()


def test_errors_are_the_same_on_every_backend(op, bad):
    if "backend" in bad.arguments:
        return
    there = [b for b in fastnn.dispatch.BACKENDS if fastnn.dispatch.unavailable(b) is None]
    for backend in there:
        with pytest.raises(bad.error, match=bad.match):
            op.forward(**bad.arguments, backend=backend)


def test_at_least_twelve_error_cases(op):
    assert len(list(op.errors())) >= 12


def test_backward_checks_its_arguments(op):
    case = next(c for c in op.cases() if c.kind == "core")
    _, ctx = op.forward(**testing.draw(op, case, "float32"))
    y = testing.draw_dy(op, ctx.call)
    rest = y[1:] if isinstance(y, tuple) else ()  # of several gradients the first is the wrong one
    first = y[0] if rest else y

    def with_first(a):
        return (a, *rest) if rest else a

    name = op.outputs[0] if op.outputs else "y"
    other = next(o for o in fastnn.dispatch.OPS.values() if o is not op)
    with pytest.raises(fastnn.DtypeError, match=f"must come from {op.name}.forward"):
        op.backward(None, y)
    with pytest.raises(fastnn.DtypeError, match=f"must come from {other.name}.forward"):
        other.backward(ctx, y)
    with pytest.raises(fastnn.DtypeError, match=f"d{name} is float64 but x is float32"):
        op.backward(ctx, with_first(first.astype(np.float64)))
    with pytest.raises(fastnn.ShapeError, match=f"d{name} has shape"):
        op.backward(ctx, with_first(np.ones((*first.shape, 2), np.float32)))
    with pytest.raises(fastnn.OptionError, match=r"needs=.*names from"):
        op.backward(ctx, y, needs=("nothing",))
    with pytest.raises(fastnn.OptionError, match="needs='x'"):
        op.backward(ctx, y, needs="x")


def test_masked_arrays_and_objects_are_refused():
    masked = np.ma.masked_array(np.ones((2, 3)), mask=False)
    with pytest.raises(fastnn.DtypeError, match="masked"):
        fastnn.relu(masked)
    with pytest.raises(fastnn.DtypeError, match="dtype object"):
        fastnn.relu(np.array([None]))
    with pytest.raises(fastnn.DtypeError, match="dtype complex64"):
        fastnn.relu(np.ones(2, np.complex64))


def test_sizes_beyond_memory_are_memory_errors_not_crashes():
    huge = np.broadcast_to(np.float32(1), (1, 1, 2**20, 2**20))
    with pytest.raises(MemoryError):
        fastnn.conv2d(huge, np.ones((1, 1, 1, 1), np.float32))


def test_one_label_beyond_int64_among_small_ones():
    """As int64, 2**64 - 100 is the label that is ignored."""
    labels = np.array([0, 2**64 - 100], np.uint64)
    with pytest.raises(fastnn.ShapeError, match=r"labels holds 18446744073709551516.*int64"):
        fastnn.softmax_cross_entropy(np.ones((2, 3)), labels)


def test_the_largest_label_that_fits():
    largest = np.array([2**63 - 1], np.uint64)
    assert _check.labels("op", "labels", largest).tolist() == [2**63 - 1]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("wrong", [3, -1, 2**62, -(2**63)])
def test_one_label_out_of_range_in_any_place(monkeypatch, compiled, wrong):
    """The pass of NumPy, which an install without compiled code has, finds what the other does."""
    if not compiled:
        monkeypatch.delitem(sys.modules, "fastnn._ext._loss", raising=False)
    for place in range(5):
        labels = np.array([0, 2, 1, 0, 2])
        _check.below("op", "labels", labels, 3, "x has C=3 classes")
        labels[place] = wrong
        with pytest.raises(fastnn.ShapeError, match=rf"labels\[{place}\] is {wrong} but x has"):
            _check.below("op", "labels", labels, 3, "x has C=3 classes")
