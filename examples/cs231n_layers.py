"""CS231n's layers as a drop-in module: its checks, its image filters, its timing cell.

Convolution, max-pooling, batch norm and group norm with the course's names and caches: published
values, gradients against differences, naive against fast; two filters on two pictures; and the
times of its notebook's cell. Data: the course's kitten.jpg and puppy.jpg, in images.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from timeit import default_timer
from typing import Any

import numpy as np
from _example import Example, main

from fastnn import layers, plot
from fastnn._extras import need
from fastnn.compat import cs231n
from fastnn.datasets._find import find

Array = np.ndarray[Any, Any]

CONV = {"stride": 2, "pad": 1}
POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}
# Milliseconds of the course's Cython layers, forward and backward, on one core like ours.
CYTHON = {"convolution": (9.3, 4.8), "pooling": (3.5, 8.5)}


def published(example: Example) -> None:
    """The notebook's own numbers."""
    x = np.linspace(-0.1, 0.5, 96).reshape(2, 3, 4, 4)
    w = np.linspace(-0.2, 0.3, 144).reshape(3, 3, 4, 4)
    b = np.linspace(-0.1, 0.2, 3)
    want = np.array([-0.08759809, -0.10987781, -0.18387192, -0.2109216])
    for name in ("naive", "fast"):
        out, _ = getattr(cs231n, f"conv_forward_{name}")(x, w, b, CONV)
        far = float(cs231n.rel_error(out[0, 0].reshape(-1), want))
        example.figure(f"conv_forward_{name}: published values", far, at_most=1e-7)
    x = np.linspace(-0.3, 0.4, 96).reshape(2, 3, 4, 4)
    want = np.array([-0.26315789, -0.24842105, -0.20421053, -0.18947368])
    for name in ("naive", "fast"):
        out, _ = getattr(cs231n, f"max_pool_forward_{name}")(x, POOL)
        far = float(cs231n.rel_error(out[0, 0].reshape(-1), want))
        example.figure(f"max_pool_forward_{name}: published values", far, at_most=1e-6)
        example.weights({name: out})


def slopes(example: Example) -> None:
    """Every layer's gradients against central differences."""
    rng = example.rng(0)
    x, w, b = (rng.standard_normal(s) for s in ((3, 4, 6, 6), (2, 4, 3, 3), (2,)))
    gamma, beta = rng.standard_normal((2, 4))
    shaped = [a.reshape(1, 4, 1, 1) for a in (gamma, beta)]
    one = {"stride": 1, "pad": 1}
    c = cs231n
    cells: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[Array]]] = {
        "conv_naive": (
            lambda *a: c.conv_forward_naive(*a, CONV), c.conv_backward_naive, [x, w, b],
        ),
        "conv_fast": (lambda *a: c.conv_forward_fast(*a, CONV), c.conv_backward_fast, [x, w, b]),
        "max_pool_naive": (
            lambda a: c.max_pool_forward_naive(a, POOL), c.max_pool_backward_naive, [x],
        ),
        "max_pool_fast": (
            lambda a: c.max_pool_forward_fast(a, POOL), c.max_pool_backward_fast, [x],
        ),
        "spatial_batchnorm": (
            lambda *a: c.spatial_batchnorm_forward(*a, {"mode": "train"}),
            c.spatial_batchnorm_backward, [x, gamma, beta],
        ),
        "spatial_groupnorm": (
            lambda *a: c.spatial_groupnorm_forward(*a, 2, {}),
            c.spatial_groupnorm_backward, [x, *shaped],
        ),
        "conv_relu": (
            lambda *a: c.conv_relu_forward(*a, one), c.conv_relu_backward, [x, w, b],
        ),
        "conv_relu_pool": (
            lambda *a: c.conv_relu_pool_forward(*a, one, POOL), c.conv_relu_pool_backward,
            [x, w, b],
        ),
    }  # fmt: skip
    for name, (forward, backward, arrays) in cells.items():
        example.figure(f"{name}: gradients", _slope(forward, backward, arrays, rng), at_most=1e-7)


def _slope(
    forward: Callable[..., Any], backward: Callable[..., Any], arrays: list[Array],
    rng: np.random.Generator,
) -> float:  # fmt: skip
    """The distance of all gradients from differences, relative to their size."""
    out, cache = forward(*arrays)
    dout = rng.standard_normal(out.shape)
    found = backward(dout, cache)
    worst = 0.0
    for array, dw in zip(arrays, found if isinstance(found, tuple) else (found,), strict=True):
        by_steps = cs231n.eval_numerical_gradient_array(lambda _: forward(*arrays)[0], array, dout)
        worst = max(worst, float(np.linalg.norm(dw - by_steps) / np.linalg.norm(by_steps)))
    return worst


def filtered(example: Example) -> None:
    """Grey levels and horizontal edges of two pictures, by a convolution made by hand."""
    pillow: Any = need("cs231n_layers", "PIL.Image", "Pillow", "images")
    side = 200
    x = np.empty((2, 3, side, side))
    for number, name in enumerate(("kitten.jpg", "puppy.jpg")):
        with pillow.open(find("cs231n_layers", example.data, (name,), ("images",))) as picture:
            least = min(picture.size)
            left, top = ((full - least) // 2 for full in picture.size)
            square = picture.convert("RGB").crop((left, top, left + least, top + least))
            x[number] = np.asarray(square.resize((side, side))).transpose(2, 0, 1)
    w = np.zeros((2, 3, 3, 3))
    w[0, :, 1, 1] = (0.3, 0.6, 0.1)
    w[1, 2] = ((1, 2, 1), (0, 0, 0), (-1, -2, -1))  # of blue
    out, _ = cs231n.conv_forward_fast(x, w, np.array([0.0, 128.0]), {"stride": 1, "pad": 1})
    drawn, axes = plot.figure(2, 3, figsize=(9, 6.2))
    for number in range(2):
        titles = ("picture", "grey", "edges of blue") if not number else ("", "", "")
        whole = x[number : number + 1] / 255
        plot.tiles(whole, title=titles[0], ax=axes[number, 0])
        for kind in range(2):
            image = np.clip(out[number, kind], 0, 255)[np.newaxis]
            plot.tiles(image, title=titles[1 + kind], ax=axes[number, 1 + kind])
    example.picture(drawn, "filtered")
    example.weights({"filtered": out})


def timed(example: Example) -> None:
    """The notebook's cell: float64, naive once, fast as often as it takes."""
    rng = example.rng(1)
    n = 2 if example.quick else 100
    x, w, b = (rng.standard_normal(s) for s in ((n, 3, 31, 31), (25, 3, 3, 3), (25,)))
    cells: dict[str, tuple[str, list[Any]]] = {
        "convolution": ("conv", [x, w, b, CONV]),
        "pooling": ("max_pool", [rng.standard_normal((n, 3, 32, 32)), POOL]),
    }
    for title, (name, given) in cells.items():
        results: dict[str, Any] = {}
        times: dict[str, tuple[float, float]] = {}
        for kind in ("naive", "fast"):
            forward = getattr(cs231n, f"{name}_forward_{kind}")
            backward = getattr(cs231n, f"{name}_backward_{kind}")
            out, cache = forward(*given)
            dout = rng.standard_normal(out.shape) if kind == "naive" else results["dout"]
            results["dout"] = dout
            repeats = 1 if kind == "naive" else 30
            rounds = []
            for _ in range(repeats):
                start = default_timer()
                out, cache = forward(*given)
                middle = default_timer()
                found = backward(dout, cache)
                rounds.append((middle - start, default_timer() - middle))
            first, second = np.median(rounds, axis=0)
            times[kind] = float(first), float(second)
            results[kind] = [out, *(found if isinstance(found, tuple) else (found,))]
        far = max(
            float(np.linalg.norm(a - f) / np.linalg.norm(a))
            for a, f in zip(results["naive"], results["fast"], strict=True)
        )
        example.figure(f"{title}: naive and fast apart", far, at_most=1e-12)
        for number, way in enumerate(("forward", "backward")):
            slow, fast = times["naive"][number], times["fast"][number]
            example.figure(
                f"{title} {way}", f"{1e3 * fast:.3g} ms, {slow / fast:,.0f} times naive",
                report=None if example.quick else f"{CYTHON[title][number]} ms, Cython",
            )  # fmt: skip


def run(example: Example) -> None:
    """All of it, and the gradients of a net of these layers."""
    published(example)
    slopes(example)
    filtered(example)
    timed(example)
    rng = example.rng(2)
    model = layers.Sequential(
        layers.Conv2d(3, 6, 3, padding=1, rng=rng),
        layers.BatchNorm2d(6),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.GroupNorm(2, 6),
        layers.Flatten(),
        layers.Linear(6 * 4 * 4, 10, rng=rng),
    )
    x = rng.standard_normal((5, 3, 8, 8))
    example.check(model, layers.CrossEntropyLoss(), x, np.arange(5), rng=example.rng(3))


if __name__ == "__main__":
    sys.exit(main(run))
