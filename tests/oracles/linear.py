"""Dense layers."""

from fastnn._cases import Case


def linear_case(rng):
    i, o = (int(v) for v in rng.integers(1, 40, 2))
    leading = (int(v) for v in rng.integers(1, 5, int(rng.integers(0, 4))))
    arrays = {"x": (*leading, i), "w": (o, i)}
    if rng.random() < 0.5:
        arrays["b"] = (o,)
    return Case("core", arrays, {})


def linear_torch(torch, x, w, b=None):
    return torch.nn.functional.linear(x, w, b)
