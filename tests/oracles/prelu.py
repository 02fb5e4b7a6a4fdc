"""PReLU."""

from fastnn._cases import Case


def prelu_case(rng):
    x = tuple(int(v) for v in rng.integers(1, 10, int(rng.integers(1, 5))))
    return Case("core", {"x": x, "w": (x[1],) if len(x) > 1 and rng.integers(0, 2) else (1,)}, {})


def prelu_torch(torch, x, w):
    return torch.nn.functional.prelu(x, w)
