"""Dropout, where PyTorch's other random numbers do not matter."""

from fastnn._cases import Case
from oracles.activation import any_shape


def dropout_case(rng):
    options = {"p": float(rng.integers(0, 2)), "training": bool(rng.integers(0, 2)), "rng": 0}
    return Case("core", {"x": any_shape(rng)}, options)


def dropout_torch(torch, x, p, training, rng):
    return torch.nn.functional.dropout(x, p, training)
