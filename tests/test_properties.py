"""Ring 4: what must hold for any numbers: bits, threads, batches, sharing, `out` and `needs`."""

import hashlib
import threading

import numpy as np
import pytest

import fastnn
from fastnn import _ext, testing

COMPILED = fastnn.dispatch.unavailable("cython") is None
ROW_NORMS = ["layer_norm", "group_norm", "instance_norm", "rms_norm"]
# Large enough for the pool to take part: more than 60 us of work on one thread.
BIG = {
    "conv1d": [
        {"x": (4, 20, 900), "w": (33, 20, 5), "b": (33,), "padding": 2, "dilation": 1},
        {"x": (3, 40, 1500), "w": (80, 1, 7), "groups": 40, "padding": "causal", "dilation": 4},
    ],
    "conv2d": [
        {"x": (5, 16, 20, 21), "w": (24, 16, 3, 3), "b": (24,), "padding": 1},
        {"x": (1, 6, 40, 33), "w": (12, 3, 5, 4), "b": (12,), "stride": 2, "groups": 2},
        {"x": (3, 2, 17, 16), "w": (3, 2, 3, 3), "b": (3,), "dilation": 2},
        {"x": (2, 300, 9, 9), "w": (40, 300, 1, 1)},
        {"x": (3, 50, 41, 37), "w": (50, 1, 3, 3), "b": (50,), "padding": 1, "groups": 50},
        {"x": (4, 9, 90, 80), "w": (18, 1, 3, 5), "padding": (1, 2), "groups": 9, "stride": 2},
    ],
    "adaptive_avg_pool2d": [{"x": (8, 40, 30, 33), "output_size": (7, 11)}],
    "adaptive_max_pool2d": [{"x": (8, 40, 30, 33), "output_size": (7, 11)}],
    "avg_pool1d": [{"x": (8, 40, 900), "kernel_size": 3, "stride": 2, "padding": 1}],
    "avg_pool2d": [
        {"x": (8, 40, 32, 30), "kernel_size": 3, "stride": 2, "padding": 1},
        {"x": (8, 16, 30, 41), "kernel_size": 12, "stride": 5},
    ],
    "global_avg_pool": [{"x": (16, 64, 15, 13)}],
    "global_max_pool": [{"x": (16, 64, 15, 13)}],
    "interpolate": [
        {"x": (4, 16, 33, 30), "size": (50, 71), "mode": "bilinear"},
        {"x": (4, 16, 33, 30), "scale_factor": 2.5},
    ],
    "pad": [
        {"x": (4, 16, 60, 70), "padding": (3, 2, 1, 3), "mode": "reflect"},
        {"x": (4, 16, 60, 70), "padding": (3, 2, 1, 3), "value": 2.0},
    ],
    "max_pool1d": [{"x": (8, 16, 900), "kernel_size": 3, "stride": 2, "padding": 1}],
    "conv_transpose1d": [
        {"x": (4, 20, 500), "w": (20, 33, 5), "b": (33,), "stride": 3, "output_padding": 1},
        {"x": (3, 40, 900), "w": (40, 1, 7), "groups": 40, "padding": 2, "stride": 2},
    ],
    "conv_transpose2d": [
        {"x": (5, 16, 15, 12), "w": (16, 24, 4, 4), "b": (24,), "padding": 1, "stride": 2},
        {"x": (3, 40, 21, 37), "w": (40, 1, 3, 3), "b": (20,), "padding": 1, "groups": 20},
    ],
    "unfold": [{"x": (4, 16, 40, 37), "kernel_size": (3, 2), "stride": 2, "padding": 1}],
    "fold": [{"x": (4, 54, 1369), "output_size": (38, 39), "kernel_size": (2, 3)}],
    "max_pool2d": [{"x": (8, 16, 32, 30), "kernel_size": 3, "stride": 2, "padding": 1}],
    "max_pool2d_with_indices": [{"x": (8, 16, 32, 30), "kernel_size": 3, "stride": 2}],
    "max_unpool2d": [{"x": (8, 16, 15, 16), "indices": (8, 16, 15, 16), "output_size": (30, 33)}],
    "batch_norm": [
        {"x": (8, 24, 21, 20), "w": (24,), "b": (24,), "training": True},
        {"x": (300, 257), "w": (257,), "b": (257,), "training": True},
    ],
    "layer_norm": [
        {"x": (64, 10, 300), "normalized_shape": 300, "w": (300,), "b": (300,)},
        {"x": (20, 5, 33, 57), "normalized_shape": (33, 57), "w": (33, 57), "b": (33, 57)},
        {"x": (9000, 11), "normalized_shape": 11, "w": (11,)},
    ],
    "group_norm": [
        {"x": (8, 24, 31, 30), "num_groups": 6, "w": (24,), "b": (24,)},
        {"x": (16, 1030, 3, 4), "num_groups": 5, "w": (1030,), "b": (1030,)},
    ],
    "instance_norm": [{"x": (9, 21, 33, 32), "w": (21,), "b": (21,)}],
    "rms_norm": [{"x": (90, 1030), "normalized_shape": 1030, "w": (1030,)}],
    "linear": [
        {"x": (70, 300), "w": (150, 300), "b": (150,)},
        {"x": (300, 33), "w": (700, 33)},
    ],
    "relu": [{"x": (64, 40, 40)}],
    **{
        name: [
            {"x": (20, 37, 5), "w_ih": (g * 40, 5), "w_hh": (g * 40, 40), "b_ih": (g * 40,)},
            {"x": (12, 50, 30), "w_ih": (g * 33, 30), "w_hh": (g * 33, 33), "lengths": (50,)},
        ]
        for name, g in (("rnn", 1), ("lstm", 4), ("gru", 3))
    },
    "leaky_relu": [{"x": (50, 40, 41)}],
    "elu": [{"x": (50, 40, 41)}],
    "selu": [{"x": (50, 40, 41)}],
    "silu": [{"x": (50, 40, 41)}],
    "sigmoid": [{"x": (50, 40, 41)}],
    "tanh": [{"x": (50, 40, 41)}],
    "softplus": [{"x": (50, 40, 41)}],
    "hardsigmoid": [{"x": (50, 40, 41)}],
    "hardswish": [{"x": (50, 40, 41)}],
    "gelu": [{"x": (50, 40, 41)}, {"x": (50, 40, 41), "approximate": "tanh"}],
    "prelu": [
        {"x": (50, 6, 41, 9), "w": (6,)},
        {"x": (301, 300), "w": (300,)},
        {"x": (301, 300), "w": (1,)},
    ],
    "dropout": [{"x": (64, 40, 41), "rng": 5}],
    "softmax": [{"x": (300, 301)}, {"x": (5, 60, 301), "axis": 1}],
    "log_softmax": [{"x": (300, 301)}, {"x": (5, 60, 301), "axis": 1}],
    "softmax_cross_entropy": [
        {"x": (300, 101), "labels": (300,), "reduction": "mean"},
        {"x": (300, 101), "labels": (300,), "reduction": "none"},
        {"x": (300, 101), "labels": (300,), "w": (101,), "label_smoothing": 0.1},
        {"x": (30, 7, 50), "labels": (30, 50), "sample_weight": (30, 50), "ignore_index": 3},
    ],
    "soft_cross_entropy": [
        {"x": (300, 101), "target": (300, 101), "reduction": "none"},
        {"x": (300, 101), "target": (300, 101), "w": (101,)},
    ],
    "mse_loss": [
        {"x": (70, 3001), "target": (70, 3001), "reduction": "none"},
        {"x": (70, 3001), "target": (70, 3001)},
    ],
    "l1_loss": [
        {"x": (70, 3001), "target": (70, 3001), "reduction": "none"},
        {"x": (70, 3001), "target": (70, 3001)},
    ],
    "huber_loss": [
        {"x": (70, 3001), "target": (70, 3001), "reduction": "none"},
        {"x": (70, 3001), "target": (70, 3001), "delta": 0.5},
    ],
    "binary_cross_entropy_with_logits": [
        {"x": (70, 601), "target": (70, 601), "reduction": "none"},
        {"x": (70, 601), "target": (70, 601), "pos_weight": (601,)},
    ],
    "kl_div": [
        {"x": (70, 601), "target": (70, 601), "reduction": "none"},
        {"x": (70, 601), "target": (70, 601), "log_target": True},
    ],
    "kl_sparsity": [{"x": (300, 1001)}],
    "embedding": [{"indices": (700, 30), "w": (300, 70), "padding_idx": 5}],
    "multi_margin_loss": [
        {"x": (900, 101), "labels": (900,), "reduction": "none"},
        {"x": (900, 101), "labels": (900,), "p": 2},
    ],
}


# Operations whose samples do not know of each other, with one result.
def big_cases():
    for op in fastnn.dispatch.OPS.values():
        for i, spec in enumerate(BIG[op.name]):
            arrays = {k: v for k, v in spec.items() if k in op.array_names}
            options = {k: v for k, v in spec.items() if k not in op.array_names}
            case = fastnn._cases.Case("core", arrays, options)
            yield pytest.param(op, case, id=f"{op.name}-{i}")


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def results(op, case, dtype, impl=None):
    arguments = testing.draw(op, case, dtype, seed=3)
    y, ctx = op.forward(**arguments, backend=impl)
    grads = op.backward(ctx, testing.draw_dy(op, ctx.call))
    return [*as_tuple(y), *(g for g in grads if g is not None)]


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


@pytest.mark.parametrize("backend", ["cython", "numba"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("big,case", list(big_cases()))
def test_bits_do_not_depend_on_threads(big, case, dtype, backend):
    if fastnn.dispatch.unavailable(backend) is not None:
        pytest.skip(fastnn.dispatch.unavailable(backend))
    seen = set()
    for threads in (1, 2, 3, 8, 16, 2):
        with fastnn.use(threads=threads):
            seen.add(digest(results(big, case, dtype, backend)))
    assert len(seen) == 1


@pytest.mark.parametrize("big,case", list(big_cases()))
def test_same_bits_on_repeat(big, case):
    assert digest(results(big, case, "float32")) == digest(results(big, case, "float32"))


# Operations whose samples do not see each other, and the arrays that have a sample axis.
# Operations that treat samples apart, with the arrays that have a batch axis.
PER_SAMPLE = dict.fromkeys(
    [
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "avg_pool1d",
        "avg_pool2d",
        "conv1d",
        "conv2d",
        "conv_transpose1d",
        "conv_transpose2d",
        "elu",
        "fold",
        "gelu",
        "global_avg_pool",
        "global_max_pool",
        "group_norm",
        "hardsigmoid",
        "hardswish",
        "instance_norm",
        "interpolate",
        "layer_norm",
        "leaky_relu",
        "linear",
        "log_softmax",
        "max_pool1d",
        "max_pool2d",
        "pad",
        "prelu",
        "relu",
        "rms_norm",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softplus",
        "tanh",
        "unfold",
    ],
    ("x",),
) | {
    "softmax_cross_entropy": ("x", "labels", "sample_weight"),
    "soft_cross_entropy": ("x", "target", "sample_weight"),
    "multi_margin_loss": ("x", "labels"),
    "mse_loss": ("x", "target"),
    "l1_loss": ("x", "target"),
    "huber_loss": ("x", "target"),
    "binary_cross_entropy_with_logits": ("x", "target"),
    "kl_div": ("x", "target"),
    "embedding": ("indices",),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PER_SAMPLE)
def test_a_sample_alone_or_in_any_place_of_a_batch(name, dtype):
    """Results and dx of a sample are the same bits for every batch that it is part of."""
    op = fastnn.dispatch.OPS[name]
    for spec in BIG[name]:
        arrays = {k: v for k, v in spec.items() if k in op.array_names}
        options = {k: v for k, v in spec.items() if k not in op.array_names}
        if "reduction" in op.__signature__.parameters:
            options["reduction"] = "none"
        arguments = testing.draw(op, fastnn._cases.Case("core", arrays, options), dtype)
        y, ctx = op.forward(**arguments)
        dy = testing.draw_dy(op, ctx.call)
        own = [f for f in op.grads._fields if f in PER_SAMPLE[name]]  # each sample has its own
        whole = op.backward(ctx, dy, needs=own)
        batched = {k: arguments.pop(k) for k in PER_SAMPLE[name] if k in arguments}
        size = len(y)
        for start, stop in ((0, 1), (size - 1, size), (0, 3), (1, size)):
            cut = {k: v[start:stop] for k, v in batched.items()}
            part, ctx = op.forward(**cut, **arguments)
            assert np.array_equal(part, y[start:stop])
            gradients = op.backward(ctx, dy[start:stop], needs=own)
            for field in own:
                want = getattr(whole, field)[start:stop]
                assert np.array_equal(getattr(gradients, field), want)


def test_backward_skips_what_is_not_needed(op, case):
    _, ctx = op.forward(**testing.draw(op, case, "float32"))
    dy = testing.draw_dy(op, ctx.call)
    whole = op.backward(ctx, dy)
    for name in op.grads._fields:
        only = op.backward(ctx, dy, needs=(name,))
        for other, value in only._asdict().items():
            if other == name and getattr(whole, name) is not None:
                assert np.array_equal(value, getattr(whole, name))
            else:
                assert value is None
    assert all(v is None for v in op.backward(ctx, dy, needs=()))


def test_out_is_written_and_returned(op, case):
    if op.outputs:  # several results: there is no out, in the signature neither
        assert "out" not in op.__signature__.parameters
        return
    arguments = testing.draw(op, case, "float32")
    want = op(**{k: v.copy() if k in op.updates else v for k, v in arguments.items()})
    shape = want.shape
    targets = {
        "plain": np.empty(shape, np.float32),
        "Fortran": np.empty(shape, np.float32, order="F"),
        "strided": np.empty((*shape, 2), np.float32)[..., 0],
        "big-endian": np.empty(shape, ">f4"),
    }
    for name, out in targets.items():
        fresh = {k: v.copy() if k in op.updates else v for k, v in arguments.items()}
        assert op(**fresh, out=out) is out, name
        assert np.array_equal(out, want), name


@pytest.mark.parametrize("backend", fastnn.dispatch.BACKENDS)
def test_out_may_overlap_an_input(backend):
    if fastnn.dispatch.unavailable(backend) is not None:
        pytest.skip(fastnn.dispatch.unavailable(backend))
    x = np.arange(-3.0, 6).reshape(1, 1, 3, 3)
    assert np.array_equal(fastnn.relu(x, out=x, backend=backend).ravel(), [0] * 4 + [1, 2, 3, 4, 5])
    w = np.zeros((1, 1, 3, 3))
    w[0, 0, 0, 0] = 1.0  # y[p,q] = x[p-1,q-1]: written in place it would read what it wrote
    want = fastnn.conv2d(x.copy(), w, padding=1, backend=backend)
    assert np.array_equal(fastnn.conv2d(x, w, padding=1, out=x, backend=backend), want)


@pytest.mark.parametrize("strides", [(0, 8), (8, 8), (16, -8)])
def test_out_may_not_overlap_itself(strides):
    """It was written to, and held something else than the result."""
    x = np.arange(6.0).reshape(2, 3)
    buffer = np.zeros(8)
    out = np.ndarray((2, 3), float, buffer, 32, strides)
    with pytest.raises(fastnn.ShapeError, match="its elements may not share memory"):
        fastnn.relu(x, out=out)
    assert not buffer.any()
    for kept in (np.zeros((3, 2)).T, np.zeros((4, 9))[::-2, ::3], np.zeros((2, 1, 3))[:, 0]):
        assert np.array_equal(fastnn.relu(x, out=kept), x)


def test_forward_for_training_refuses_an_out_that_backward_would_read():
    x = np.ones((2, 3))
    with pytest.raises(fastnn.ShapeError, match="overlaps an input"):
        fastnn.relu.forward(x, out=x)


def test_shared_inputs_in_many_threads(op):
    case = next(c for c in op.cases() if c.kind == "core")
    arguments = testing.draw(op, case, "float32")
    fresh = {k: v for k, v in arguments.items() if k not in op.updates}
    if op.updates:
        fresh["training"] = True
    want = op(**fresh)
    wrong = []

    def work():
        for _ in range(50):
            for got, y in zip(as_tuple(op(**fresh)), as_tuple(want), strict=True):
                if not np.array_equal(got, y, equal_nan=True):
                    wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 7, 11, 12, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65])
def test_products_around_every_tile_edge(n):
    """Linear layers of sizes next to each tile's, bitwise on integers, bias in the last block."""
    rng = np.random.default_rng(n)
    for dtype in (np.float32, np.float64):
        for k in (1, 7, 256, 257, 600):
            x = rng.integers(-3, 4, (n, k)).astype(dtype)
            w = rng.integers(-3, 4, (n + 3, k)).astype(dtype)
            b = rng.integers(-3, 4, n + 3).astype(dtype)
            assert np.array_equal(fastnn.linear(x, w, b), x @ w.T + b)


@pytest.mark.skipif(not COMPILED, reason="needs the compiled extension")
@pytest.mark.parametrize(
    "x,w",
    [
        pytest.param((1, 1, 300, 300), (2, 1, 60, 60), id="columns of 207 MB"),
        pytest.param((1, 300, 8, 8), (600, 300, 5, 5), id="weights of 18 MB"),
    ],
)
def test_scratch_stays_inside_the_workspace(x, w):
    """Blocks get smaller, results stay the same bits."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in (x, w))
    y, ctx = fastnn.conv2d.forward(x, w, backend="cython:im2col")
    grads = fastnn.conv2d.backward(ctx, y)
    limit = 2 << 20
    with fastnn.use(workspace=limit, threads=2):
        _ext._core.scratch_most()
        small, ctx = fastnn.conv2d.forward(x, w, backend="cython:im2col")
        assert _ext._core.scratch_most() <= limit
        for name in ("x", "w"):
            gradient = getattr(fastnn.conv2d.backward(ctx, y, needs=(name,)), name)
            assert _ext._core.scratch_most() <= limit
            assert np.array_equal(gradient, getattr(grads, name))
    assert np.array_equal(small, y)
