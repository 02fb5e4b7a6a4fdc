"""Resampling and padding."""

from fastnn._cases import Case


def interpolate_case(rng):
    options = {}
    if rng.random() < 0.5:
        options = {"mode": "bilinear", "align_corners": bool(rng.random() < 0.5)}
    axes = 1 if not options and rng.random() < 0.3 else 2
    if rng.random() < 0.5:
        options["size"] = tuple(int(v) for v in rng.integers(1, 17, axes))
    else:
        # PyTorch works out nearest neighbours in float32, where 1/scale must not be rounded down
        options["scale_factor"] = tuple(
            float(v) for v in rng.choice([0.5, 1, 1.5, 2, 2.5, 4], axes)
        )
    return Case("core", {"x": tuple(int(v) for v in rng.integers(2, 9, 2 + axes))}, options)


def interpolate_torch(torch, x, size=None, *, align_corners=False, **options):
    if options.get("mode") == "bilinear":
        options["align_corners"] = align_corners
    return torch.nn.functional.interpolate(x, size, **options)


def pad_case(rng):
    x = tuple(int(v) for v in rng.integers(2, 7, int(rng.integers(3, 6))))
    mode = str(rng.choice(["constant", "reflect", "replicate"]))
    if mode == "constant":
        padding = rng.integers(0, 4, 2 * int(rng.integers(1, len(x) + 1)))
        return Case("core", {"x": x}, {"padding": _plain(padding), "value": float(rng.normal())})
    axes = len(x) - 2  # what PyTorch has: all but N C
    most = [n - 1 if mode == "reflect" else 4 for n in reversed(x[2:])]
    padding = [rng.integers(0, most[i // 2] + 1) for i in range(2 * axes)]
    return Case("core", {"x": x}, {"padding": _plain(padding), "mode": mode})


def _plain(padding):
    return tuple(int(p) for p in padding)


def pad_torch(torch, x, *, padding, **options):
    return torch.nn.functional.pad(x, padding, **options)
