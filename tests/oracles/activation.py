"""Activations."""

import functools

from fastnn._cases import Case


def any_shape(rng):
    """Zero to four axes, of one to nine entries."""
    return tuple(int(v) for v in rng.integers(1, 10, int(rng.integers(0, 5))))


def _plain_case(rng):
    return Case("core", {"x": any_shape(rng)}, {})


def _plain_torch(name, torch, x, **options):
    return getattr(torch.nn.functional, name)(x, **options)


for _name in ("relu", "selu", "silu", "tanh", "hardsigmoid", "hardswish"):
    globals()[f"{_name}_case"] = _plain_case
for _name in "relu leaky_relu elu selu gelu silu tanh softplus hardswish".split():
    globals()[f"{_name}_torch"] = functools.partial(_plain_torch, _name)


def leaky_relu_case(rng):
    return Case("core", {"x": any_shape(rng)}, {"negative_slope": float(rng.normal())})


def elu_case(rng):
    return Case("core", {"x": any_shape(rng)}, {"alpha": float(rng.uniform(0.1, 3))})


def gelu_case(rng):
    return Case("core", {"x": any_shape(rng)}, {"approximate": str(rng.choice(["none", "tanh"]))})


def softplus_case(rng):
    options = {"beta": float(rng.uniform(0.2, 3)), "threshold": float(rng.choice([0.5, 20]))}
    return Case("core", {"x": any_shape(rng)}, options)


def sigmoid_case(rng):
    return Case("core", {"x": any_shape(rng)}, {"scale": float(rng.normal())})


def sigmoid_torch(torch, x, scale):
    return torch.sigmoid(scale * x)


def hardsigmoid_torch(torch, x):
    """PyTorch's own derivative has 1/6 rounded to float32, so it is written out."""
    return torch.nn.functional.relu6(x + 3) / 6
