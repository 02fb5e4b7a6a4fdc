"""Convolution."""

from fastnn._cases import Case


def pads_first(torch, x, padding):
    """x with zeros around it, for per-side padding, which PyTorch's convolutions lack."""
    sides = [p if isinstance(p, tuple) else (p, p) for p in padding]
    return torch.nn.functional.pad(x, [side for pair in reversed(sides) for side in pair])


def conv2d_case(rng):
    groups = int(rng.integers(1, 4))
    c, k = groups * int(rng.integers(1, 5)), groups * int(rng.integers(1, 5))
    r, s = (int(v) for v in rng.integers(1, 5, 2))
    options = {
        "stride": tuple(int(v) for v in rng.integers(1, 4, 2)),
        "dilation": tuple(int(v) for v in rng.integers(1, 4, 2)),
        "groups": groups,
        "padding": tuple(tuple(int(v) for v in rng.integers(0, 4, 2)) for _ in range(2)),
    }
    span = [d * (t - 1) + 1 for d, t in zip(options["dilation"], (r, s), strict=True)]
    h, w = (n + int(v) for n, v in zip(span, rng.integers(0, 9, 2), strict=True))
    if rng.random() < 0.2:
        options |= {"padding": "same", "stride": 1}
    arrays = {"x": (int(rng.integers(1, 4)), c, h, w), "w": (k, c // groups, r, s)}
    if rng.random() < 0.5:
        arrays["b"] = (k,)
    return Case("core", arrays, options)


def conv2d_torch(torch, x, w, b=None, *, padding=0, **options):
    if isinstance(padding, tuple):
        x, padding = pads_first(torch, x, padding), 0
    return torch.nn.functional.conv2d(x, w, b, padding=padding, **options)
