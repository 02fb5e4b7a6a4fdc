"""Sizes up to 2**63: fronts agree with whole numbers without bounds, or refuse in clear words."""

import numpy as np
import pytest
from proofs import sizes

import fastnn


@pytest.mark.parametrize("name", sizes.MAKERS)
def test_sizes_agree_with_unbounded_integers(name):
    counts, failures = sizes.run(1500, seed=1, names=[name])
    assert not failures, "\n".join(failures[:5])
    assert counts["agreed"] > 200 and counts["refused"] > 30, counts


def test_the_oracle_finds_a_wrapped_size(monkeypatch):
    """One formula in 32 bits, as a C int would have it."""
    from fastnn.ops.conv import spec

    right = spec.output_size

    def wrapped(*axis):
        return (right(*axis) + 2**31) % 2**32 - 2**31

    monkeypatch.setattr(spec, "output_size", wrapped)
    fastnn.ops.conv._describe.cache_clear()
    fastnn.ops.conv._describe_numbers.cache_clear()
    try:
        assert sizes.run(1500, names=["conv1d"])[1]
    finally:
        fastnn.ops.conv._describe.cache_clear()
        fastnn.ops.conv._describe_numbers.cache_clear()


@pytest.mark.parametrize("name", ["relu", "conv1d", "global_avg_pool"])
def test_a_logical_size_that_memory_cannot_hold_is_a_memory_error(name):
    """2**58 elements in four bytes: the copy that kernels need is refused, nothing is touched."""
    x = np.broadcast_to(np.float32(1), (1, 1, 2**58))
    arguments = (x, np.ones((1, 1, 2), np.float32)) if name == "conv1d" else (x,)
    with pytest.raises(MemoryError):
        getattr(fastnn, name)(*arguments)
