"""Pooling."""

from fastnn._cases import Case


def sizes(rng, spans, most=9):
    """N, C and spatial sizes of at least `spans`."""
    spatial = (int(n + v) for n, v in zip(spans, rng.integers(0, most, len(spans)), strict=True))
    return (*(int(v) for v in rng.integers(1, 4, 2)), *spatial)


def _max_case(rng, axes):
    window = tuple(int(v) for v in rng.integers(1, 5, axes))
    dilation = tuple(int(v) for v in rng.integers(1, 3, axes))
    span = [d * (t - 1) + 1 for d, t in zip(dilation, window, strict=True)]
    options = {
        "kernel_size": window,
        "stride": tuple(int(v) for v in rng.integers(1, 4, axes)),
        # PyTorch: half of the window, not of its span
        "padding": tuple(int(rng.integers(0, t // 2 + 1)) for t in window),
        "dilation": dilation,
        "ceil_mode": bool(rng.random() < 0.5),
    }
    return Case("core", {"x": sizes(rng, span)}, options)


def max_pool1d_case(rng):
    return _max_case(rng, 1)


def max_pool2d_case(rng):
    return _max_case(rng, 2)


max_pool2d_with_indices_case = max_pool2d_case


def max_pool1d_torch(torch, x, **options):
    return torch.nn.functional.max_pool1d(x, **options)


def max_pool2d_torch(torch, x, **options):
    return torch.nn.functional.max_pool2d(x, **options)


def max_pool2d_with_indices_torch(torch, x, **options):
    return torch.nn.functional.max_pool2d(x, **options, return_indices=True)


def max_unpool2d_case(rng):
    n, c, p, q = (int(v) for v in rng.integers(1, 6, 4))
    size = (p + int(rng.integers(0, 9)), q + int(rng.integers(0, 9)))
    arrays = {"x": (n, c, p, q), "indices": (n, c, p, q)}
    return Case("core", arrays, {"output_size": size})


def max_unpool2d_torch(torch, x, indices, *, output_size):
    # kernel_size only checks output_size: it must be within a stride of (P - 1) * stride + kernel
    kernel = tuple(h - p + 1 for h, p in zip(output_size, x.shape[2:], strict=True))
    return torch.nn.functional.max_unpool2d(x, indices, kernel, 1, output_size=output_size)


def _avg_case(rng, axes):
    window = tuple(int(v) for v in rng.integers(1, 6, axes))
    options = {
        "kernel_size": window,
        "stride": tuple(int(v) for v in rng.integers(1, 4, axes)),
        "padding": tuple(int(rng.integers(0, t // 2 + 1)) for t in window),
        "ceil_mode": bool(rng.random() < 0.5),
        "count_include_pad": bool(rng.random() < 0.5),
    }
    if axes == 2 and rng.random() < 0.3:
        options["divisor_override"] = int(rng.integers(1, 9))
    return Case("core", {"x": sizes(rng, window, 30)}, options)


def avg_pool1d_case(rng):
    return _avg_case(rng, 1)


def avg_pool2d_case(rng):
    return _avg_case(rng, 2)


def avg_pool1d_torch(torch, x, **options):
    return torch.nn.functional.avg_pool1d(x, **options)


def avg_pool2d_torch(torch, x, **options):
    return torch.nn.functional.avg_pool2d(x, **options)


def adaptive_avg_pool2d_case(rng):
    wish = tuple(None if rng.random() < 0.1 else int(v) for v in rng.integers(1, 12, 2))
    return Case("core", {"x": sizes(rng, (1, 1), 20)}, {"output_size": wish})


adaptive_max_pool2d_case = adaptive_avg_pool2d_case


def adaptive_avg_pool2d_torch(torch, x, **options):
    return torch.nn.functional.adaptive_avg_pool2d(x, **options)


def adaptive_max_pool2d_torch(torch, x, **options):
    return torch.nn.functional.adaptive_max_pool2d(x, **options)


def global_avg_pool_case(rng):
    return Case("core", {"x": sizes(rng, (1,) * int(rng.integers(1, 4)))}, {})


global_max_pool_case = global_avg_pool_case


def global_avg_pool_torch(torch, x):
    return x.mean(tuple(range(2, x.ndim)))


def global_max_pool_torch(torch, x):
    return torch.nn.functional.adaptive_max_pool1d(x.flatten(2), 1)[..., 0]
