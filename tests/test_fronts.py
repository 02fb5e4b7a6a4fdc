"""Fronts and backward against arguments of any kind: the package's own error, or success."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import _check, testing
from fastnn.errors import FastnnError

hypothesis = pytest.importorskip("hypothesis", reason="needs hypothesis, of the extra 'test'")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

NUMBERS = st.one_of(
    st.integers(-3, 9),
    st.sampled_from([2**31 - 1, 2**31, 2**31 + 1, 2**63 - 1, 2**63, -(2**63), 10**30]),
    st.floats(width=64),
    st.booleans(),
    st.complex_numbers(),
    st.fractions(),
    st.decimals(),
    st.sampled_from([np.int8(-1), np.uint64(2**63), np.float16(1), np.bool_(True), np.int64(3)]),
)
DTYPES = [
    "f4", "f8", ">f4", ">f8", "f2", "g", "c8", "i1", "i8", "u8", "?", "O", "U3", "S2", "M8[s]",
    "m8[s]", "V3", [("a", "f4")],
]  # fmt: skip
ARRAYS = st.builds(
    lambda dtype, shape: np.zeros(shape, dtype),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=6).map(tuple),
)
TEXTS = st.one_of(
    st.text(max_size=5),
    st.binary(max_size=3),
    st.sampled_from(
        ["same", "valid", "causal", "mean", "none", "reflect", "numba", "cython:im2col"]
    ),
)
LEAVES = st.one_of(st.none(), NUMBERS, TEXTS, ARRAYS, st.just(object()), st.just(int), st.just(...))
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=2),
        st.frozensets(st.integers(), max_size=2),
    ),
    max_leaves=6,
)

relaxed = settings(
    max_examples=50, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip


@relaxed
@given(data=st.data())
def test_any_arguments_are_taken_or_refused(op, data):
    cases = [c for c in op.cases() if c.kind != "bench"]
    arguments = testing.draw(op, data.draw(st.sampled_from(cases)), "float32")
    names = [*op.__signature__.parameters]
    for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
        arguments[name] = data.draw(ANYTHING)
    before = {k: v.tobytes() for k, v in arguments.items() if isinstance(v, np.ndarray)}
    try:
        described = op.front(**arguments)
        op.select(described.call, described.backend)
        str(described.call), described.call.flops, described.call.bytes
        if described.out is not None and not op.outputs:
            fastnn.dispatch._check_out(op.name, described.out, described.call, described.arrays)
    except FastnnError as error:
        assert str(error).startswith(f"{op.name}: ") and "\n" not in str(error)
    for name, bytes_before in before.items():
        assert arguments[name].tobytes() == bytes_before, f"{name} was written to"


@relaxed
@given(data=st.data())
def test_any_dy_and_needs_are_taken_or_refused(op, data):
    case = next(c for c in op.cases() if c.kind == "core")
    _, ctx = op.forward(**testing.draw(op, case, "float64"))
    dy = data.draw(st.one_of(ANYTHING, st.just(testing.draw_dy(op, ctx.call))))
    needs = data.draw(st.one_of(ANYTHING, st.just(op.grads._fields)))
    try:
        op.backward(ctx, dy, needs=needs)
    except FastnnError as error:
        assert str(error).startswith(f"{op.name}: ")


# What the random arguments found, each with its cause.


def test_rows_of_unequal_lengths_are_no_array():
    with pytest.raises(fastnn.DtypeError, match=r"relu: x is a list that is no array"):
        fastnn.relu([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("needs", [0, "x", ["y"], [[]], {"x": 1}, np.array(["x"]), (np.ones(2),)])
def test_needs_that_are_no_names(needs):
    y, ctx = fastnn.relu.forward(np.ones(3))
    with pytest.raises(fastnn.OptionError, match="relu: needs="):
        fastnn.relu.backward(ctx, y, needs=needs)


@pytest.mark.parametrize("given", [np.ones(0), np.ones(2), np.zeros((), "V3"), 1, None])
def test_a_choice_that_is_no_text(given):
    with pytest.raises(fastnn.OptionError, match="mse_loss: reduction="):
        fastnn.mse_loss(np.ones(3), np.ones(3), reduction=given)


def test_a_time_is_no_number():
    """np.timedelta64 is a subclass of np.integer."""
    with pytest.raises(fastnn.DtypeError, match=r"softplus: beta=.*must be a number"):
        fastnn.softplus(np.ones(3), beta=np.timedelta64(1, "s"))
    with pytest.raises(fastnn.DtypeError, match=r"conv2d: groups=.*whole number"):
        fastnn.conv2d(*np.ones((2, 1, 1, 1, 1)), groups=np.timedelta64(1))


def test_an_int_that_no_float_holds():
    with pytest.raises(fastnn.OptionError, match="softplus: beta is an int of over 1024 bits"):
        fastnn.softplus(np.ones(3), beta=10**400)


def test_a_message_stays_one_line():
    with pytest.raises(fastnn.DtypeError) as caught:
        fastnn.softplus(np.ones(3), beta=np.ones((2, 1)))
    assert "\n" not in str(caught.value) and "array([[1.], [1.]])" in str(caught.value)


def test_labels_at_an_odd_address_are_copied():
    labels = np.frombuffer(b"\0" + np.arange(5).tobytes(), np.int64, 5, offset=1)
    assert not labels.flags.aligned
    taken = _check.labels("op", "labels", labels)
    assert taken.flags.aligned
    assert np.array_equal(taken, labels)
