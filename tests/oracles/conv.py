"""Convolution."""

from fastnn._cases import Case


def pads_first(torch, x, padding):
    """x with zeros around it, for per-side padding, which PyTorch's convolutions lack."""
    sides = [p if isinstance(p, tuple) else (p, p) for p in padding]
    return torch.nn.functional.pad(x, [side for pair in reversed(sides) for side in pair])


def any_conv(rng, axes):
    """A random convolution with so many spatial axes."""
    groups = int(rng.integers(1, 4))
    c = groups * int(rng.choice([1, 1, 2, 4]))
    k = groups * int(rng.integers(1, 5))
    window = several(rng, 1, 5, axes)
    options = {
        "stride": several(rng, 1, 4, axes),
        "dilation": several(rng, 1, 4, axes),
        "groups": groups,
        "padding": tuple(several(rng, 0, 4, 2) for _ in range(axes)),
    }
    span = [d * (t - 1) + 1 for d, t in zip(options["dilation"], window, strict=True)]
    sizes = (n + int(v) for n, v in zip(span, rng.integers(0, 9, axes), strict=True))
    if rng.random() < 0.2:
        options |= {"padding": "same", "stride": 1}
    arrays = {"x": (int(rng.integers(1, 4)), c, *sizes), "w": (k, c // groups, *window)}
    if rng.random() < 0.5:
        arrays["b"] = (k,)
    return Case("core", arrays, options)


def several(rng, low, high, count):
    return tuple(int(v) for v in rng.integers(low, high, count))


def conv1d_case(rng):
    return any_conv(rng, 1)


def conv1d_torch(torch, x, w, b=None, *, padding=0, **options):
    if isinstance(padding, tuple):
        x, padding = pads_first(torch, x, padding), 0
    return torch.nn.functional.conv1d(x, w, b, padding=padding, **options)


def conv2d_case(rng):
    return any_conv(rng, 2)


def conv2d_torch(torch, x, w, b=None, *, padding=0, **options):
    if isinstance(padding, tuple):
        x, padding = pads_first(torch, x, padding), 0
    return torch.nn.functional.conv2d(x, w, b, padding=padding, **options)


def any_conv_transpose(rng, axes):
    """A random transposed convolution with so many spatial axes."""
    groups = int(rng.integers(1, 4))
    c, per_group = groups * int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 4]))
    window, sizes = several(rng, 1, 5, axes), several(rng, 1, 9, axes)
    stride, dilation = several(rng, 1, 4, axes), several(rng, 1, 4, axes)
    pairs = list(zip(window, sizes, stride, dilation, strict=True))
    most = [((n - 1) * s + d * (t - 1)) // 2 for t, n, s, d in pairs]
    options = {
        "stride": stride,
        "dilation": dilation,
        "groups": groups,
        "padding": tuple(int(rng.integers(0, min(m, 4) + 1)) for m in most),
        "output_padding": tuple(int(rng.integers(0, max(s, d))) for _, _, s, d in pairs),
    }
    arrays = {"x": (int(rng.integers(1, 4)), c, *sizes), "w": (c, per_group, *window)}
    if rng.random() < 0.5:
        arrays["b"] = (per_group * groups,)
    return Case("core", arrays, options)


def conv_transpose1d_case(rng):
    return any_conv_transpose(rng, 1)


def conv_transpose1d_torch(torch, x, w, b=None, **options):
    return torch.nn.functional.conv_transpose1d(x, w, b, **options)


def conv_transpose2d_case(rng):
    return any_conv_transpose(rng, 2)


def conv_transpose2d_torch(torch, x, w, b=None, **options):
    return torch.nn.functional.conv_transpose2d(x, w, b, **options)


def unfold_case(rng):
    options = {
        "kernel_size": several(rng, 1, 4, 2),
        "stride": several(rng, 1, 4, 2),
        "padding": several(rng, 0, 3, 2),
        "dilation": several(rng, 1, 3, 2),
    }
    pairs = zip(options["kernel_size"], options["dilation"], strict=True)
    sizes = (d * (t - 1) + 1 + int(rng.integers(0, 8)) for t, d in pairs)
    return Case("core", {"x": (*several(rng, 1, 4, 2), *sizes)}, options)


def unfold_torch(torch, x, **options):
    return torch.nn.functional.unfold(x, **options)


def fold_case(rng):
    one = unfold_case(rng)
    n, c, h, w = one.arrays["x"]
    options = one.options
    keys = ("kernel_size", "stride", "padding", "dilation")
    axes = zip((h, w), *(options[k] for k in keys), strict=True)
    places = [(size + 2 * p - d * (t - 1) - 1) // s + 1 for size, t, s, p, d in axes]
    r, s = options["kernel_size"]
    columns = (n, c * r * s, places[0] * places[1])
    return one._replace(arrays={"x": columns}, options={"output_size": (h, w), **options})


def fold_torch(torch, x, **options):
    return torch.nn.functional.fold(x, **options)
