"""Softmax and its logarithm."""

from fastnn._cases import Case


def softmax_case(rng):
    x = tuple(int(v) for v in rng.integers(1, 10, int(rng.integers(1, 5))))
    return Case("core", {"x": x}, {"axis": int(rng.integers(-len(x), len(x)))})


def softmax_torch(torch, x, axis):
    return torch.nn.functional.softmax(x, dim=axis)


log_softmax_case = softmax_case


def log_softmax_torch(torch, x, axis):
    return torch.nn.functional.log_softmax(x, dim=axis)
