"""Losses."""

from fastnn._cases import Case


def softmax_cross_entropy_case(rng):
    n, c = (int(v) for v in rng.integers(1, 30, 2))
    reduction = str(rng.choice(["none", "mean", "sum"]))
    return Case("core", {"x": (n, c), "labels": (n,)}, {"reduction": reduction})


def softmax_cross_entropy_torch(torch, x, labels, **options):
    return torch.nn.functional.cross_entropy(x, labels, **options)
