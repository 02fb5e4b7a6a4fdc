"""Slices of the long runs in `proofs`: special numbers, errors, and training runs."""

import numpy as np
import pytest
from proofs import errors, special, training

import fastnn

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
    assert found["integers"] > 50 and found["integers wrong"] == 0, found["worst"]
    assert all(units <= errors.SLACK for units, _ in found["worst"].values()), found["worst"]


@pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_training_run_has_one_hash(dtype):
    """For any number of threads, and resumed from a checkpoint."""
    seen = {training.digest(dtype, threads, 24) for threads in (1, 2, 3, 8)}
    assert len(seen | {training.digest(dtype, 2, 24, resumed=True)}) == 1
    other = training.digest("float64" if dtype == "float32" else "float32", 1, 24)
    assert other not in seen  # it is a hash of the numbers
