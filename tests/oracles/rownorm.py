"""Layer, group, instance and RMS normalisation."""

from fastnn._cases import Case

EPS = (1e-5, 1e-2, 1.0)


def _sizes(rng, least, most):
    return tuple(int(v) for v in rng.integers(1, 7, int(rng.integers(least, most + 1))))


def _case(rng, x, w, names, **options):
    arrays = {"x": x} | {name: w for name in names if rng.random() < 0.5}
    return Case("core", arrays, options)


def _trailing_case(rng, names, eps):
    shape = _sizes(rng, 1, 3)
    shape = (*shape[:-1], shape[-1] + 1)
    return _case(rng, _sizes(rng, 0, 3) + shape, shape, names, normalized_shape=shape, eps=eps)


def layer_norm_case(rng):
    return _trailing_case(rng, "wb", float(rng.choice(EPS)))


def layer_norm_torch(torch, x, normalized_shape, w=None, b=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, w, b, eps)


def rms_norm_case(rng):
    return _trailing_case(rng, "w", None if rng.random() < 0.3 else float(rng.choice(EPS)))


def rms_norm_torch(torch, x, normalized_shape, w=None, eps=None):
    return torch.nn.functional.rms_norm(x, normalized_shape, w, eps)


def group_norm_case(rng):
    groups, per_group = (int(v) for v in rng.integers(1, 5, 2))
    c = groups * per_group
    x = (int(rng.integers(2, 5)), c, *_sizes(rng, 0, 3))  # one number in all is refused there
    return _case(rng, x, (c,), "wb", num_groups=groups, eps=float(rng.choice(EPS[1:])))


def group_norm_torch(torch, x, num_groups, w=None, b=None, eps=1e-5):
    if w is None and b is not None:  # PyTorch's backward says "tensor does not have a device"
        w = torch.ones_like(b)
    return torch.nn.functional.group_norm(x, num_groups, w, b, eps)


def instance_norm_case(rng):
    n, c, *rest = (int(v) for v in rng.integers(1, 6, int(rng.integers(3, 6))))
    x = (n, c, rest[0] + 1, *rest[1:])
    return _case(rng, x, (c,), "wb", eps=float(rng.choice(EPS)))


def instance_norm_torch(torch, x, w=None, b=None, eps=1e-5):
    return torch.nn.functional.instance_norm(x, weight=w, bias=b, eps=eps)
