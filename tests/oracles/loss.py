"""Losses of scores against classes."""

import numpy as np

from fastnn._cases import Case

REDUCTIONS = ("none", "mean", "sum")


def classes(rng, axes):
    """N C and up to two more axes."""
    return tuple(int(v) for v in rng.integers(1, 9 if axes else 30, 2 + axes))


def softmax_cross_entropy_case(rng):
    x = classes(rng, int(rng.integers(0, 3)))
    options = {"reduction": str(rng.choice(REDUCTIONS))}
    arrays = {"x": x, "labels": (x[0], *x[2:])}
    if rng.random() < 0.5:
        arrays["w"] = x[1:2]
    if rng.random() < 0.5:
        options["label_smoothing"] = float(rng.random())
    if rng.random() < 0.5 and np.prod(arrays["labels"]) > 1:
        options["ignore_index"] = int(rng.choice([-100, -1, x[1] - 1]))
    return Case("core", arrays, options)


def softmax_cross_entropy_torch(torch, x, labels, *, w=None, **options):
    if w is not None:
        w = w.detach()
    return torch.nn.functional.cross_entropy(x, labels, w, **options)


def soft_cross_entropy_case(rng):
    x = classes(rng, int(rng.integers(0, 3)))
    arrays = {"x": x, "target": x}
    if rng.random() < 0.5:
        arrays["w"] = x[1:2]
    smoothing = float(rng.choice([0.0, rng.random()]))
    options = {"reduction": str(rng.choice(REDUCTIONS)), "label_smoothing": smoothing}
    return Case("core", arrays, options)


def soft_cross_entropy_torch(torch, x, target, *, w=None, **options):
    return torch.nn.functional.cross_entropy(x, target, w, **options)


def multi_margin_loss_case(rng):
    x = classes(rng, 0)
    arrays = {"x": x, "labels": x[:1]}
    if rng.random() < 0.5:
        arrays["w"] = x[1:2]
    options = {
        "p": int(rng.integers(1, 3)),
        "margin": float(rng.choice([0.5, 1.0, 3.0])),
        "divide_by_classes": bool(rng.random() < 0.5),
        "reduction": str(rng.choice(REDUCTIONS)),
    }
    return Case("core", arrays, options)


def multi_margin_loss_torch(torch, x, labels, *, w=None, divide_by_classes, **options):
    y = torch.nn.functional.multi_margin_loss(x, labels, weight=w, **options)
    return y if divide_by_classes else y * x.shape[1]
