"""Normalisation."""

from fastnn._cases import Case


def batch_norm_case(rng):
    n, c, *rest = (int(v) for v in rng.integers(2, 6, int(rng.integers(2, 6))))
    options = {"training": bool(rng.random() < 0.5), "eps": float(rng.choice([1e-5, 1e-2, 1.0]))}
    options["momentum"] = float(rng.random())
    arrays = {"x": (n + 1, c, *rest)}
    if rng.random() < 0.5:
        arrays["w"] = (c,)
    if rng.random() < 0.5:
        arrays["b"] = (c,)
    if not options["training"] or rng.random() < 0.5:
        arrays |= {"running_mean": (c,), "running_var": (c,)}
    return Case("core", arrays, options)


def batch_norm_torch(torch, x, w=None, b=None, running_mean=None, running_var=None, **options):
    return torch.nn.functional.batch_norm(x, running_mean, running_var, w, b, **options)
