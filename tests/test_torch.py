"""PyTorch as an oracle, where it is installed: 200 random configurations of every operation."""

import importlib
import pkgutil
import zlib

import numpy as np
import oracles
import pytest

import fastnn
from fastnn import testing

torch = pytest.importorskip("torch")

CONFIGURATIONS = 200
MODULES = [
    importlib.import_module(f"oracles.{m.name}") for m in pkgutil.iter_modules(oracles.__path__)
]
ORACLES = {
    name: (getattr(module, f"{name}_case"), getattr(module, f"{name}_torch"))
    for module in MODULES
    for name in (n.removesuffix("_case") for n in dir(module) if n.endswith("_case"))
    if not name.startswith("_") and hasattr(module, f"{name}_torch")
}


def tensors(op, arguments):
    """Torch's own copies; what has a gradient asks for it."""
    return {
        k: torch.from_numpy(v.copy()).requires_grad_(k in op.grads._fields)
        if isinstance(v, np.ndarray)
        else v
        for k, v in arguments.items()
    }


def as_tuple(value):
    return tuple(value) if isinstance(value, tuple | list) else (value,)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", ORACLES)
def test_agrees_with_pytorch(name):
    op = fastnn.dispatch.OPS[name]
    draw_case, call_torch = ORACLES[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for i in range(CONFIGURATIONS):
        case = draw_case(rng)
        arguments = testing.draw(op, case, "float64", seed=i)
        theirs = tensors(op, arguments)
        want = as_tuple(call_torch(torch, **theirs))
        layout = testing.LAYOUTS[i % len(testing.LAYOUTS)]
        ours = {
            k: testing.layout(v, layout) if isinstance(v, np.ndarray) and k not in op.updates else v
            for k, v in arguments.items()
        }
        got, ctx = op.forward(**ours)
        for y, t in zip(as_tuple(got), want, strict=True):
            close(y, t.detach().numpy(), f"{name} {layout} {case.id}")
        for updated in op.updates:
            if updated in arguments:
                close(arguments[updated], theirs[updated].numpy(), f"{updated} {case.id}")
        dy = testing.draw_dy(op, ctx.call, seed=i)
        loss = sum(
            (t * torch.from_numpy(d)).sum() for t, d in zip(want, as_tuple(dy), strict=False)
        )
        loss.backward()
        for field, gradient in op.backward(ctx, dy)._asdict().items():
            if gradient is not None:
                close(gradient, theirs[field].grad.numpy(), f"d{field} {layout} {case.id}")


def close(got, want, what):
    np.testing.assert_allclose(
        got, want, rtol=1e-9, atol=1e-10 * max(1, np.abs(want).max(initial=0)), err_msg=what
    )


def test_every_operation_has_an_oracle_or_is_known_to_have_none():
    unknown_to_torch = set()
    assert set(fastnn.dispatch.OPS) - set(ORACLES) <= unknown_to_torch
