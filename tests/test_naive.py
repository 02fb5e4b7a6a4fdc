"""Ring 2: the specification has oracles of its own: finite differences, SciPy, PyTorch."""

import numpy as np
import pytest

import fastnn
from fastnn import testing

RNG = np.random.default_rng(7)


def test_gradients_are_derivatives(op, case):
    testing.check_gradients(op, "naive", case)


def test_gradients_of_the_best_implementation_are_derivatives(op, case):
    testing.check_gradients(op, op.select(op.front(**testing.draw(op, case, "float64"))[0]), case)


def test_a_wrong_gradient_is_noticed():
    """check_gradients must fail on a gradient that is off by 1e-5 of itself."""
    op = fastnn.linear
    naive = op.impl("naive")

    def backward(call, saved, dy, needs):
        dx, dw, db = naive.backward(call, saved, dy, needs)
        return dx, dw * (1 + 1e-5), db

    wrong = fastnn.Impl("wrong", op="linear", forward=naive.forward, backward=backward)
    case = next(c for c in op.cases() if c.kind == "core")
    with pytest.raises(AssertionError, match="dw along a random direction"):
        testing.check_gradients(op, wrong, case)


def test_conv2d_is_scipys_correlation():
    signal = pytest.importorskip("scipy.signal")
    x, w = RNG.standard_normal((2, 3, 9, 8)), RNG.standard_normal((4, 3, 3, 2))
    y = fastnn.conv2d(x, w, backend="naive")
    for n in range(2):
        for k in range(4):
            want = sum(signal.correlate2d(x[n, c], w[k, c], mode="valid") for c in range(3))
            np.testing.assert_allclose(y[n, k], want, rtol=1e-12, atol=1e-12)


def test_cross_entropy_is_scipys_log_softmax():
    special = pytest.importorskip("scipy.special")
    x, labels = RNG.standard_normal((7, 5)) * 30, RNG.integers(0, 5, 7)
    want = -special.log_softmax(x, axis=1)[np.arange(7), labels]
    for backend in ("naive", "cython", "numba"):
        if fastnn.dispatch.unavailable(backend) is None:
            got = fastnn.softmax_cross_entropy(x, labels, reduction="none", backend=backend)
            np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


def _torch_call(op, torch, arguments):
    """PyTorch's function for `op`, on tensors that require gradients."""
    functional = torch.nn.functional
    t = {
        k: torch.from_numpy(v.copy()).requires_grad_(v.dtype.kind == "f" and k not in op.updates)
        if isinstance(v, np.ndarray)
        else v
        for k, v in arguments.items()
    }
    if op.name == "conv2d":
        padding = t.pop("padding", 0)
        x, w, b = t.pop("x"), t.pop("w"), t.pop("b", None)
        if isinstance(padding, tuple) and any(isinstance(p, tuple) for p in padding):
            rows, cols = (p if isinstance(p, tuple) else (p, p) for p in padding)
            y = functional.conv2d(functional.pad(x, (*cols, *rows)), w, b, **t)
        else:
            y = functional.conv2d(x, w, b, padding=padding, **t)
        return y, {"x": x, "w": w, "b": b}
    if op.name == "max_pool2d":
        x = t.pop("x")
        return functional.max_pool2d(x, **t), {"x": x}
    if op.name == "batch_norm":
        x, w, b = t.pop("x"), t.pop("w", None), t.pop("b", None)
        mean, var = t.pop("running_mean", None), t.pop("running_var", None)
        return functional.batch_norm(x, mean, var, w, b, **t), {"x": x, "w": w, "b": b}
    if op.name == "linear":
        return functional.linear(t["x"], t["w"], t.get("b")), t
    if op.name == "relu":
        return functional.relu(t["x"]), t
    if op.name == "softmax_cross_entropy":
        x, labels = t.pop("x"), t.pop("labels")
        return functional.cross_entropy(x, labels.long(), **t), {"x": x}
    return None


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_agrees_with_pytorch(op, case):
    torch = pytest.importorskip("torch")
    if _per_side(case.options.get("padding")) and op.name == "max_pool2d":
        pytest.skip("PyTorch pads both sides of a pool alike")
    arguments = testing.draw(op, case, "float64")
    want, tensors = _torch_call(op, torch, arguments)
    y, ctx = op.forward(**arguments)
    dy = testing.draw_dy(op, ctx.call)
    np.testing.assert_allclose(y, want.detach().numpy(), rtol=1e-10, atol=1e-10)
    want.backward(torch.from_numpy(dy))
    for name, gradient in op.backward(ctx, dy)._asdict().items():
        if gradient is not None:
            got = tensors[name].grad.numpy()
            np.testing.assert_allclose(gradient, got, rtol=1e-9, atol=1e-9, err_msg=name)


def _per_side(padding):
    return isinstance(padding, tuple) and any(isinstance(p, tuple) for p in padding)
