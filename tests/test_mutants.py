"""Ring 5: the tests are tested. check_impl must reject every wrong implementation below."""

import numpy as np
import pytest

import fastnn
from fastnn import testing


def each(change, value):
    """`change` of an array, or of every one of a tuple."""
    return tuple(change(v) for v in value) if isinstance(value, tuple) else change(value)


def mutate_forward(change):
    """An implementation that changes y, the first result, or its arguments in forward."""

    def build(naive):
        def forward(call, *arrays, out, save):
            y, saved = naive.forward(call, *arrays, out=out, save=save)
            return each(lambda a: change(call, a, arrays), y), saved

        return forward, naive.backward

    return build


def mutate_backward(change):
    """An implementation that changes dy before, or gradients after, the right backward."""

    def build(naive):
        def backward(call, saved, dy, needs):
            return change(naive, call, saved, dy, needs)

        return naive.forward, backward

    return build


def _gradients(naive, call, saved, dy, needs):
    return [None if g is None else g.copy() for g in naive.backward(call, saved, dy, needs)]


def _flip_dy(naive, call, saved, dy, needs):
    flipped = each(lambda d: np.flip(d).copy() if d.ndim else -d, dy)
    return naive.backward(call, saved, flipped, needs)


def _roll_dy(naive, call, saved, dy, needs):
    rolled = each(lambda d: np.roll(d, 1, axis=0) if d.ndim else 2 * d, dy)
    return naive.backward(call, saved, rolled, needs)


def _roll_channels(naive, call, saved, dy, needs):
    rolled = each(lambda d: np.roll(d, 1, axis=-1) if d.ndim else 0 * d, dy)
    return naive.backward(call, saved, rolled, needs)


def _add_one(naive, call, saved, dy, needs):
    grads = _gradients(naive, call, saved, dy, needs)
    return [None if g is None else g + 1 for g in grads]


def _double(naive, call, saved, dy, needs):
    grads = _gradients(naive, call, saved, dy, needs)
    return [None if g is None else g * 2 for g in grads]


def _slightly(naive, call, saved, dy, needs):
    grads = _gradients(naive, call, saved, dy, needs)
    return [None if g is None else g * g.dtype.type(1 + 1e-3) for g in grads]


def _always_all(naive, call, saved, dy, needs):
    return naive.backward(call, saved, dy, fields_of(call))


def fields_of(call):
    return ("x", "w", "b")


def _write_dy(naive, call, saved, dy, needs):
    grads = naive.backward(call, saved, dy, needs)
    for d in dy if isinstance(dy, tuple) else (dy,):
        d[...] = 0
    return grads


def _wrong_dtype(naive, call, saved, dy, needs):
    other = np.float64 if call.dtype == "float32" else np.float32
    return [None if g is None else g.astype(other) for g in naive.backward(call, saved, dy, needs)]


def _write_input(call, y, arrays):
    arrays[0][...] = 0
    return y


def _other_dtype(call, y, arrays):
    return y.astype(np.float64 if call.dtype == "float32" else np.float32)


MUTANTS = {
    "y off by one": mutate_forward(lambda call, y, arrays: y + 1),
    "y scaled by 1.001": mutate_forward(lambda call, y, arrays: y * y.dtype.type(1.001)),
    "y flipped": mutate_forward(lambda call, y, arrays: np.flip(y).copy() if y.ndim else -y),
    "y zero": mutate_forward(lambda call, y, arrays: np.zeros_like(y)),
    "y in another dtype": mutate_forward(_other_dtype),
    "y with an axis more": mutate_forward(lambda call, y, arrays: y[None]),
    "y is a view of x": mutate_forward(
        lambda call, y, arrays: (
            np.lib.stride_tricks.as_strided(arrays[0], y.shape) if y.size <= 1 else arrays[0]
        )
    ),
    "input overwritten": mutate_forward(_write_input),
    "dy flipped": mutate_backward(_flip_dy),
    "dy rolled over the batch": mutate_backward(_roll_dy),
    "dy rolled over the last axis": mutate_backward(_roll_channels),
    "one added to gradients": mutate_backward(_add_one),
    "gradients doubled": mutate_backward(_double),
    "gradients scaled by 1.001": mutate_backward(_slightly),
    "gradients in another dtype": mutate_backward(_wrong_dtype),
    "dy overwritten": mutate_backward(_write_dy),
}


def _case(op):
    """A core case in which no mutation is the identity: more than one sample and column."""
    return next(
        c
        for c in op.cases()
        if c.kind == "core" and min(next(iter(c.arrays.values())), default=1) > 1
    )


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutant_is_rejected(op, mutant):
    naive = op.impl("naive")
    forward, backward = MUTANTS[mutant](naive)
    wrong = fastnn.Impl("mutant", op=op.name, forward=forward, backward=backward)
    with pytest.raises(AssertionError):
        testing.check_impl(op, wrong, _case(op), "float32")


def test_needs_ignored_is_rejected():
    op = fastnn.linear
    forward, backward = mutate_backward(_always_all)(op.impl("naive"))
    wrong = fastnn.Impl("mutant", op=op.name, forward=forward, backward=backward)
    with pytest.raises(AssertionError, match="also computed"):
        testing.check_impl(op, wrong, _case(op), "float32")


def test_refusing_a_core_case_is_rejected():
    op = fastnn.relu
    naive = op.impl("naive")
    lazy = fastnn.Impl(
        "lazy",
        op="relu",
        forward=naive.forward,
        backward=naive.backward,
        supports=lambda call: "no wish to",
    )
    with pytest.raises(AssertionError, match="may not be refused: no wish to"):
        testing.check_impl(op, lazy, _case(op), "float32")


def test_the_right_implementation_passes(op):
    naive = op.impl("naive")
    right = fastnn.Impl("right", op=op.name, forward=naive.forward, backward=naive.backward)
    testing.check_impl(op, right, _case(op), "float32")
