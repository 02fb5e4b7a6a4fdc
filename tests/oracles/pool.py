"""Pooling."""

from fastnn._cases import Case


def max_pool2d_case(rng):
    window = tuple(int(v) for v in rng.integers(1, 5, 2))
    dilation = tuple(int(v) for v in rng.integers(1, 3, 2))
    span = [d * (t - 1) + 1 for d, t in zip(dilation, window, strict=True)]
    options = {
        "kernel_size": window,
        "stride": tuple(int(v) for v in rng.integers(1, 4, 2)),
        # PyTorch: half of the window, not of its span
        "padding": tuple(int(rng.integers(0, t // 2 + 1)) for t in window),
        "dilation": dilation,
        "ceil_mode": bool(rng.random() < 0.5),
    }
    sizes = (int(n + v) for n, v in zip(span, rng.integers(0, 9, 2), strict=True))
    return Case("core", {"x": (*(int(v) for v in rng.integers(1, 4, 2)), *sizes)}, options)


def max_pool2d_torch(torch, x, **options):
    return torch.nn.functional.max_pool2d(x, **options)
