"""Slices of the long runs in `proofs`: special numbers, errors, and training runs."""

import numpy as np
import pytest
from proofs import (
    batches,
    errors,
    files,
    integers,
    overlap,
    sequences,
    special,
    threads,
    training,
)  # fmt: skip

import fastnn
from fastnn._cases import Case
from fastnn.testing._compare import Results, compare

COMPILED = fastnn.dispatch.unavailable("cython") is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_numbers_at_every_place(dtype):
    count, failures = special.run((1, 5, 17), [(1, 1), (2, 3), (3, 3)], (dtype,))
    assert not failures, "\n".join(failures[:5])
    assert count > 100_000


def test_a_lost_nan_is_seen():
    x = special.planted(1, (2, 2), "float32")
    assert special.difference(np.nan_to_num(x), x) is not None
    assert special.difference(x, x) is None


def test_errors_stay_inside_their_bounds():
    found = errors.run_all(300)
    assert found["calls"] > 200
    assert all(units <= 1 for units, _ in found["worst"].values()), found["worst"]


def test_small_integers_give_the_same_bits():
    compared, failures = integers.run(2000)
    assert not failures, "\n".join(failures[:5])
    assert compared


def test_a_wrong_bit_is_seen():
    right = Results((np.ones(3),), {"x": np.ones(3), "b": None}, {})
    assert integers.different(right, right) is None
    wrong = right._replace(grads={"x": np.nextafter(np.ones(3), 2), "b": None})
    assert integers.different(wrong, right) == "dx"


def test_out_in_the_bytes_of_an_input():
    right, refused, failures = overlap.run(1500)
    assert not failures, "\n".join(failures[:5])
    assert right > 1000 and refused


def test_bits_of_many_threads_again_and_again():
    calls, failures = threads.run(1, ("float32",))
    assert not failures and calls > 1000, failures


def test_batches_of_any_size():
    calls, failures = batches.run((1, 2, 33), ("float32",))
    assert not failures and calls > 500, failures[:5]


def test_sets_of_lengths():
    assert not sequences.run(1500)


@pytest.mark.parametrize("kind", files.kinds())
def test_spoiled_files(kind):
    _, grown, read, refused, failures = files.run(kind, 1500)
    assert not failures, "\n".join(failures[:5])
    assert grown < 64 and read and refused


def test_the_terms_of_a_gradient_may_be_larger_than_it():
    """A row of one number has gradient 0, the difference of two that are 316 times dy."""
    case = Case("core", {"x": (8, 6, 1), "w": (6,)}, {})
    for impl in fastnn.instance_norm.impls:
        found = compare(fastnn.instance_norm, impl, case, "float32")
        assert found.passed, f"{impl}: {found.backward:.2g} times the bound"


@pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_training_run_has_one_hash(dtype):
    """For any number of threads, and resumed from a checkpoint."""
    seen = {training.digest(dtype, threads, 24) for threads in (1, 2, 3, 8)}
    assert len(seen | {training.digest(dtype, 2, 24, resumed=True)}) == 1
    other = training.digest("float64" if dtype == "float32" else "float32", 1, 24)
    assert other not in seen  # it is a hash of the numbers
