"""Activations."""

from fastnn._cases import Case


def any_shape(rng):
    """Zero to four axes, of one to nine entries."""
    return tuple(int(v) for v in rng.integers(1, 10, int(rng.integers(0, 5))))


def relu_case(rng):
    return Case("core", {"x": any_shape(rng)}, {})


def relu_torch(torch, x):
    return torch.nn.functional.relu(x)
