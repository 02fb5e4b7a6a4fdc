"""Losses that are a sum over elements."""

import warnings

from fastnn._cases import Case
from oracles.activation import any_shape

REDUCTIONS = ("none", "mean", "sum")


def pair(rng, **options):
    """A case of x and target with a random reduction."""
    shape = any_shape(rng)
    options = {"reduction": str(rng.choice(REDUCTIONS)), **options}
    return Case("core", {"x": shape, "target": shape}, options)


mse_loss_case = l1_loss_case = pair


def mse_loss_torch(torch, x, target, **options):
    return torch.nn.functional.mse_loss(x, target, **options)


def l1_loss_torch(torch, x, target, **options):
    return torch.nn.functional.l1_loss(x, target, **options)


def huber_loss_case(rng):
    return pair(rng, delta=float(rng.uniform(0.1, 3)))


def huber_loss_torch(torch, x, target, **options):
    return torch.nn.functional.huber_loss(x, target, **options)


def binary_cross_entropy_with_logits_case(rng):
    case = pair(rng)
    arrays = dict(case.arrays)
    for name in ("w", "pos_weight"):
        if rng.random() < 0.5:
            start = int(rng.integers(0, len(arrays["x"]) + 1))
            arrays[name] = tuple(int(rng.choice([1, n])) for n in arrays["x"][start:])
    return case._replace(arrays=arrays)


def binary_cross_entropy_with_logits_torch(torch, x, target, *, w=None, **options):
    return torch.nn.functional.binary_cross_entropy_with_logits(x, target, w, **options)


def kl_div_case(rng):
    case = pair(rng, log_target=bool(rng.random() < 0.5))
    if case.arrays["x"] and rng.random() < 0.3:
        case = case._replace(options={**case.options, "reduction": "batchmean"})
    return case


def kl_div_torch(torch, x, target, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "reduction: 'mean' divides")
        return torch.nn.functional.kl_div(x, target, **options)
