"""The rows: shapes and options of each comparison, without a library."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One thing to time: an operation on given shapes, in one direction."""

    group: str
    case: str
    op: str
    what: str
    dtype: str
    arrays: dict[str, tuple[int, ...]]
    options: dict[str, Any]
    flops: int  # 0: the limit is memory
    bytes: int

    @property
    def id(self) -> str:
        """Text for --only and for the table."""
        return f"{self.group}/{self.case}/{self.what}/{self.dtype}"


DTYPES = ("float32", "float64")
CONV_WHAT = ("forward", "dx", "dw", "backward")

# name: x, w, stride, padding, dilation, groups. The first fifteen are shapes of course nets and of
# ResNet-50; the others are chosen to be hard: odd sizes, one image, few channels, large windows.
CONVS: dict[str, tuple[Any, ...]] = {
    "seed_fast": ((100, 3, 31, 31), (25, 3, 3, 3), 2, 1, 1, 1),
    "seed_3layer": ((50, 3, 32, 32), (32, 3, 7, 7), 1, 3, 1, 1),
    "cifar5x5": ((64, 3, 32, 32), (32, 3, 5, 5), 1, 2, 1, 1),
    "cifar3x3b": ((64, 32, 32, 32), (16, 32, 3, 3), 1, 1, 1, 1),
    "chal2": ((64, 16, 16, 16), (32, 16, 3, 3), 1, 1, 1, 1),
    "chal3": ((64, 32, 8, 8), (64, 32, 3, 3), 1, 1, 1, 1),
    "res56": ((16, 64, 56, 56), (64, 64, 3, 3), 1, 1, 1, 1),
    "res28": ((16, 128, 28, 28), (128, 128, 3, 3), 1, 1, 1, 1),
    "res14": ((16, 256, 14, 14), (256, 256, 3, 3), 1, 1, 1, 1),
    "res7": ((16, 512, 7, 7), (512, 512, 3, 3), 1, 1, 1, 1),
    "stem7x7": ((8, 3, 224, 224), (64, 3, 7, 7), 2, 3, 1, 1),
    "pw14": ((16, 256, 14, 14), (1024, 256, 1, 1), 1, 0, 1, 1),
    "dw28": ((16, 128, 28, 28), (128, 1, 3, 3), 1, 1, 1, 128),
    "b1res28": ((1, 128, 28, 28), (128, 128, 3, 3), 1, 1, 1, 1),
    "down": ((16, 64, 56, 56), (128, 64, 3, 3), 2, 1, 1, 1),
    "alex11x11": ((8, 3, 224, 224), (64, 3, 11, 11), 4, 2, 1, 1),
    "b1stem": ((1, 3, 224, 224), (64, 3, 7, 7), 2, 3, 1, 1),
    "b1res7": ((1, 512, 7, 7), (512, 512, 3, 3), 1, 1, 1, 1),
    "pw56": ((16, 64, 56, 56), (256, 64, 1, 1), 1, 0, 1, 1),
    "pw7": ((16, 2048, 7, 7), (512, 2048, 1, 1), 1, 0, 1, 1),
    "pw_stride": ((16, 256, 56, 56), (512, 256, 1, 1), 2, 0, 1, 1),
    "dw56_stride": ((16, 144, 56, 56), (144, 1, 3, 3), 2, 1, 1, 144),
    "dw14_5x5": ((16, 240, 14, 14), (240, 1, 5, 5), 1, 2, 1, 240),
    "dw56_7x7": ((8, 96, 56, 56), (96, 1, 7, 7), 1, 3, 1, 96),
    "groups32": ((16, 128, 28, 28), (128, 4, 3, 3), 1, 1, 1, 32),
    "pw_groups3": ((16, 240, 28, 28), (240, 80, 1, 1), 1, 0, 1, 3),
    "dilated2": ((4, 64, 56, 56), (64, 64, 3, 3), 1, 2, 2, 1),
    "dilated4": ((2, 256, 28, 28), (256, 256, 3, 3), 1, 4, 4, 1),
    "vgg": ((1, 64, 224, 224), (64, 64, 3, 3), 1, 1, 1, 1),
    "first3x3": ((32, 3, 64, 64), (32, 3, 3, 3), 1, 1, 1, 1),
    "lenet1": ((128, 1, 28, 28), (20, 1, 5, 5), 1, 0, 1, 1),
    "lenet2": ((128, 20, 12, 12), (50, 20, 5, 5), 1, 0, 1, 1),
    "inception1x7": ((8, 128, 17, 17), (192, 128, 1, 7), 1, (0, 3), 1, 1),
    "wide4": ((64, 256, 4, 4), (256, 256, 3, 3), 1, 1, 1, 1),
    "odd": ((5, 17, 23, 29), (37, 17, 3, 3), 1, 1, 1, 1),
    "odd5x5": ((16, 48, 27, 27), (129, 48, 5, 5), 2, 2, 1, 1),
    "down7": ((16, 512, 14, 14), (512, 512, 3, 3), 2, 1, 1, 1),
    "unet": ((1, 32, 256, 256), (32, 32, 3, 3), 1, 1, 1, 1),
    "tiny": ((1, 1, 8, 8), (1, 1, 3, 3), 1, 0, 1, 1),
}


def size(dtype: str) -> int:
    return 4 if dtype == "float32" else 8


def _pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def conv_out(x: Any, w: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    cells = zip(x[2:], w[2:], _pair(stride), _pair(padding), _pair(dilation), strict=True)
    return (x[0], w[0], *((n + 2 * p - d * (t - 1) - 1) // s + 1 for n, t, s, p, d in cells))


def convs() -> Iterator[Row]:
    for name, (x, w, stride, padding, dilation, groups) in CONVS.items():
        y = conv_out(x, w, stride, padding, dilation)
        flops = 2 * prod(y) * prod(w[1:])
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        for dtype in DTYPES:
            for what in CONV_WHAT:
                yield Row(
                    "conv", name, "conv2d", what, dtype, {"x": x, "w": w, "b": (w[0],)}, options,
                    flops * (2 if what == "backward" else 1),
                    (prod(x) + prod(w) + prod(y)) * size(dtype),
                )  # fmt: skip


def _memory(
    group: str,
    case: str,
    op: str,
    arrays: dict[str, tuple[int, ...]],
    options: dict[str, Any],
    whats: dict[str, float],
) -> Iterator[Row]:
    """Rows of a memory-bound operation; `whats`: per direction, how often x's bytes move."""
    for dtype in DTYPES:
        for what, passes in whats.items():
            moved = int(prod(arrays["x"]) * size(dtype) * passes)
            yield Row(group, case, op, what, dtype, arrays, options, 0, moved)


POOLS = {
    "seed": ((100, 3, 32, 32), 2, 2, 0),
    "cifar": ((64, 32, 32, 32), 2, 2, 0),
    "stem": ((16, 64, 112, 112), 3, 2, 1),
}


def pools() -> Iterator[Row]:
    for name, (x, taps, stride, padding) in POOLS.items():
        share = 1 / stride**2
        window = {"kernel_size": taps, "stride": stride, "padding": padding}
        whats = {"forward": 1 + share, "train": 1 + share, "backward": 1 + share}
        yield from _memory("pool", f"max_{name}", "max_pool2d", {"x": x}, window, whats)
        whats = {"forward": 1 + share, "backward": 1 + share}
        yield from _memory("pool", f"avg_{name}", "avg_pool2d", {"x": x}, window, whats)
    yield from _memory("pool", "avg7x7", "avg_pool2d", {"x": (16, 512, 7, 7)},
                       {"kernel_size": 7, "stride": 7, "padding": 0},
                       {"forward": 1, "backward": 1})  # fmt: skip
    for name, x in {"res7": (16, 512, 7, 7), "cifar": (64, 64, 32, 32)}.items():
        for kind in ("avg", "max"):
            op = f"adaptive_{kind}_pool2d"
            whats = {"forward": 1, "backward": 1}
            yield from _memory(
                "pool", f"global_{kind}_{name}", op, {"x": x}, {"output_size": 1}, whats
            )


def norms() -> Iterator[Row]:
    three = {"forward": 2.0, "train": 2.0, "backward": 3.0}
    for name, x in {
        "cifar": (64, 32, 32, 32),
        "res56": (16, 64, 56, 56),
        "dense": (128, 1024),
    }.items():
        w = (x[1],)
        arrays = {"x": x, "w": w, "b": w}
        yield from _memory("norm", f"batch_{name}", "batch_norm", arrays, {}, three)
    both = {"forward": 2.0, "train": 2.0, "backward": 3.0}
    for name, x, groups in (("cifar", (64, 32, 32, 32), 8), ("res56", (16, 64, 56, 56), 32)):
        arrays = {"x": x, "w": (x[1],), "b": (x[1],)}
        yield from _memory(
            "norm", f"group_{name}", "group_norm", arrays, {"num_groups": groups}, both
        )
    for rows, width in ((8192, 16), (4096, 64), (2048, 256), (1024, 768), (256, 4096)):
        arrays = {"x": (rows, width), "w": (width,), "b": (width,)}
        options = {"normalized_shape": (width,)}
        yield from _memory("norm", f"layer_{width}", "layer_norm", arrays, options, both)


ACTIVATIONS = (
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "sigmoid",
    "tanh",
    "softplus",
    "hardswish",
)
# Working sets of 1 MB, 8 MB and 256 MB: what is read and written by a float32 forward pass.
SETS = {"1MB": 1 << 17, "8MB": 1 << 20, "256MB": 1 << 25}


def elementwise() -> Iterator[Row]:
    for op in ACTIVATIONS:
        for name, count in SETS.items():
            x = {"x": (count >> 10, 1 << 10)}
            yield from _memory(
                "elementwise", f"{op}_{name}", op, x, {}, {"forward": 2, "backward": 3}
            )
    for name, shape in {"2classes": (8, 2, 128, 128), "21classes": (4, 21, 128, 128)}.items():
        x = {"x": shape}
        yield from _memory(
            "softmax", f"xent_image_{name}", "softmax_cross_entropy", x, {}, {"both": 3}
        )
    for rows, width in ((100, 10), (64, 10_000), (4096, 128)):
        x = {"x": (rows, width)}
        case = f"{rows}x{width}"
        yield from _memory("softmax", case, "softmax", x, {}, {"forward": 2, "backward": 3})
        yield from _memory("softmax", f"xent_{case}", "softmax_cross_entropy", x, {}, {"both": 3})


def linears() -> Iterator[Row]:
    shapes = {
        "tiny": (4, 4, 4), "b1": (1, 784, 512), "b32": (32, 784, 512), "b100": (100, 3072, 4000),
        "head": (64, 512, 10), "square": (1024, 1024, 1024),
    }  # fmt: skip
    for name, (n, fan_in, fan_out) in shapes.items():
        for dtype in DTYPES:
            for what in ("forward", "backward"):
                flops = 2 * n * fan_in * fan_out * (2 if what == "backward" else 1)
                moved = (n * fan_in + fan_in * fan_out + n * fan_out) * size(dtype)
                arrays = {"x": (n, fan_in), "w": (fan_out, fan_in), "b": (fan_out,)}
                yield Row("linear", name, "linear", what, dtype, arrays, {}, flops, moved)


GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def recurrents() -> Iterator[Row]:
    shapes = {"b32": (150, 32, 3, 128), "wide": (50, 64, 256, 256), "b1": (150, 1, 3, 128)}
    for op, gates in GATES.items():
        for name, (t, n, i, h) in shapes.items():
            arrays = {"x": (t, n, i), "w_ih": (gates * h, i), "w_hh": (gates * h, h),
                      "b_ih": (gates * h,), "b_hh": (gates * h,)}  # fmt: skip
            for dtype in DTYPES:
                for what, passes in (("forward", 1), ("both", 3)):
                    flops = 2 * t * n * gates * h * (h + i) * passes
                    moved = t * n * (i + h) * size(dtype)
                    yield Row(
                        "recurrent", f"{op}_{name}", op, what, dtype, arrays, {}, flops, moved
                    )


def optimisers() -> Iterator[Row]:
    for op, passes in (("sgd", 5), ("adam", 7)):
        for name, shapes in (("100x1000", [1000] * 100), ("10M", [10_000_000])):
            for dtype in DTYPES:
                arrays = {f"p{i}": (n,) for i, n in enumerate(shapes)}
                moved = sum(shapes) * passes * size(dtype)
                yield Row("optimiser", f"{op}_{name}", op, "step", dtype, arrays, {}, 0, moved)


def others() -> Iterator[Row]:
    x, group = {"x": (16, 64, 56, 56)}, "resample"
    for mode in ("nearest", "bilinear"):
        options = {"scale_factor": 2, "mode": mode}
        yield from _memory(group, mode, "interpolate", x, options, {"forward": 5, "backward": 5})
    border = {"padding": (1, 1, 1, 1)}
    yield from _memory(group, "pad", "pad", x, border, {"forward": 2, "backward": 2})
    yield from _memory(group, "dropout", "dropout", x, {"p": 0.5}, {"both": 4})


# name: x, w, stride, padding, whether there is a batch norm, pooling (size, stride, padding).
SANDWICHES: dict[str, tuple[Any, ...]] = {
    "relu_cifar3x3": ((64, 32, 32, 32), (32, 32, 3, 3), 1, 1, False, None),
    "relu_res56": ((16, 64, 56, 56), (64, 64, 3, 3), 1, 1, False, None),
    "relu_pw56": ((16, 64, 56, 56), (256, 64, 1, 1), 1, 0, False, None),
    "norm_relu_res56": ((16, 64, 56, 56), (64, 64, 3, 3), 1, 1, True, None),
    "norm_relu_res28": ((16, 128, 28, 28), (128, 128, 3, 3), 1, 1, True, None),
    "relu_pool_cifar5x5": ((64, 3, 32, 32), (32, 3, 5, 5), 1, 2, False, (2, 2, 0)),
    "relu_pool_cifar3x3": ((64, 32, 32, 32), (32, 32, 3, 3), 1, 1, False, (2, 2, 0)),
    "relu_pool_chal2": ((64, 16, 16, 16), (32, 16, 3, 3), 1, 1, False, (2, 2, 0)),
    "relu_pool_lenet1": ((128, 1, 28, 28), (20, 1, 5, 5), 1, 0, False, (2, 2, 0)),
    "relu_pool_vgg112": ((4, 64, 112, 112), (64, 64, 3, 3), 1, 1, False, (2, 2, 0)),
    "stem": ((8, 3, 224, 224), (64, 3, 7, 7), 2, 3, True, (3, 2, 1)),
}


def sandwiches() -> Iterator[Row]:
    """Layers one after the other: inference ("forward") and a step of training ("both")."""
    for name, (x, w, stride, padding, norm, pool) in SANDWICHES.items():
        y = conv_out(x, w, stride, padding, 1)
        options = {"stride": stride, "padding": padding, "norm": norm, "pool": pool}
        for dtype in DTYPES:
            for what, passes in (("forward", 1), ("both", 3)):
                yield Row(
                    "sandwich", name, "sandwich", what, dtype, {"x": x, "w": w, "b": (w[0],)},
                    options, 2 * prod(y) * prod(w[1:]) * passes, (prod(x) + prod(y)) * size(dtype),
                )  # fmt: skip


def every() -> Iterator[Row]:
    """All rows, by group."""
    memory = (pools, norms, elementwise)
    for group in (convs, sandwiches, *memory, linears, recurrents, optimisers, others):
        yield from group()
