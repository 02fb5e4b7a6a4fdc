"""The rows on PyTorch: bare ATen calls, no autograd where a direct backward call exists."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from peers.data import draw, labels, like
from peers.rows import Row

Action = Callable[[], object]
aten = torch.ops.aten


def setup(threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return {"version": torch.__version__}


def action(row: Row) -> Action | None:
    if row.op in ("sgd", "adam"):
        return _step(row)
    if row.op in ("rnn", "lstm", "gru"):
        return _recurrent(row)
    if row.op == "sandwich":
        return _sandwich(row)
    t = {name: torch.from_numpy(a) for name, a in draw(row).items()}
    if row.op == "conv2d":
        return _conv(row, t)
    maker = globals().get(f"_{row.op}")
    return maker(row, t) if maker else _autograd(row, t)


def _dy(y: Any) -> Any:
    return torch.from_numpy(like(np.empty(tuple(y.shape), str(y.dtype).removeprefix("torch."))))


def _pair(value: Any) -> list[int]:
    return list(value) if isinstance(value, tuple) else [value, value]


def _conv(row: Row, t: Any) -> Action:
    x, w, b = t["x"], t["w"], t["b"]
    o = row.options
    s, p, d = (_pair(o[k]) for k in ("stride", "padding", "dilation"))
    g = o["groups"]
    if row.options.get("channels_last"):
        x, w = (a.contiguous(memory_format=torch.channels_last) for a in (x, w))
    if row.what == "forward":
        return lambda: torch.conv2d(x, w, b, s, p, d, g)
    dy = _dy(torch.conv2d(x, w, b, s, p, d, g))
    mask = {"dx": [True, False, False], "dw": [False, True, False]}.get(row.what, [True] * 3)
    k = [w.shape[0]]
    return lambda: aten.convolution_backward(dy, x, w, k, s, p, d, False, [0, 0], g, mask)


def _max_pool2d(row: Row, t: Any) -> Action:
    x, o = t["x"], row.options
    k, s, p = (_pair(o[name]) for name in ("kernel_size", "stride", "padding"))
    if row.what == "forward":
        return lambda: F.max_pool2d(x, k, s, p)
    if row.what == "train":
        return lambda: aten.max_pool2d_with_indices(x, k, s, p)
    y, index = aten.max_pool2d_with_indices(x, k, s, p)
    dy = _dy(y)
    return lambda: aten.max_pool2d_with_indices_backward(dy, x, k, s, p, [1, 1], False, index)


def _avg_pool2d(row: Row, t: Any) -> Action:
    x, o = t["x"], row.options
    k, s, p = (_pair(o[name]) for name in ("kernel_size", "stride", "padding"))
    if row.what == "forward":
        return lambda: F.avg_pool2d(x, k, s, p)
    dy = _dy(F.avg_pool2d(x, k, s, p))
    return lambda: aten.avg_pool2d_backward(dy, x, k, s, p, False, True, None)


def _batch_norm(row: Row, t: Any) -> Action:
    x, w, b = t["x"], t["w"], t["b"]
    mean, var = torch.zeros_like(w), torch.ones_like(w)
    if row.what == "forward":
        return lambda: F.batch_norm(x, mean, var, w, b, False, 0.1, 1e-5)
    if row.what == "train":
        return lambda: aten.native_batch_norm(x, w, b, mean, var, True, 0.1, 1e-5)
    y, m, v = aten.native_batch_norm(x, w, b, mean, var, True, 0.1, 1e-5)
    dy = _dy(y)
    mask = [True] * 3
    return lambda: aten.native_batch_norm_backward(dy, x, w, mean, var, m, v, True, 1e-5, mask)


def _group_norm(row: Row, t: Any) -> Action:
    x, w, b = t["x"], t["w"], t["b"]
    n, c, cells = x.shape[0], x.shape[1], x[0, 0].numel()
    groups = row.options["num_groups"]
    if row.what != "backward":
        return lambda: aten.native_group_norm(x, w, b, n, c, cells, groups, 1e-5)
    y, m, v = aten.native_group_norm(x, w, b, n, c, cells, groups, 1e-5)
    dy = _dy(y)
    mask = [True] * 3
    return lambda: aten.native_group_norm_backward(dy, x, m, v, w, n, c, cells, groups, mask)


def _layer_norm(row: Row, t: Any) -> Action:
    x, w, b = t["x"], t["w"], t["b"]
    shape = list(row.options["normalized_shape"])
    if row.what != "backward":
        return lambda: aten.native_layer_norm(x, shape, w, b, 1e-5)
    y, m, v = aten.native_layer_norm(x, shape, w, b, 1e-5)
    dy = _dy(y)
    return lambda: aten.native_layer_norm_backward(dy, x, shape, m, v, w, b, [True] * 3)


def _linear(row: Row, t: Any) -> Action:
    x, w, b = t["x"], t["w"], t["b"]
    if row.what == "forward":
        return lambda: F.linear(x, w, b)
    dy = _dy(F.linear(x, w, b))
    return lambda: (dy @ w, dy.t() @ x, dy.sum(0))


def _softmax(row: Row, t: Any) -> Action:
    x = t["x"]
    if row.what == "forward":
        return lambda: torch.softmax(x, -1)
    y = torch.softmax(x, -1)
    dy = _dy(y)
    return lambda: aten._softmax_backward_data(dy, y, -1, x.dtype)


def _softmax_cross_entropy(row: Row, t: Any) -> Action:
    x, target = t["x"].requires_grad_(), torch.from_numpy(labels(row))

    def run() -> object:
        with torch.enable_grad():
            loss = F.cross_entropy(x, target)
        return torch.autograd.grad(loss, x)

    return run


def _dropout(row: Row, t: Any) -> Action:
    x, p = t["x"].requires_grad_(), row.options["p"]
    dy = _dy(x)

    def run() -> object:
        with torch.enable_grad():
            y = F.dropout(x, p)
        return torch.autograd.grad(y, x, dy)

    return run


_FORWARD = {
    "elu": F.elu, "leaky_relu": F.leaky_relu, "gelu": F.gelu, "silu": F.silu, "relu": torch.relu,
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softplus": F.softplus, "hardswish": F.hardswish,
}  # fmt: skip


def _call(row: Row, x: Any) -> Any:
    if row.op in _FORWARD:
        return _FORWARD[row.op](x)
    if row.op == "interpolate":
        return F.interpolate(x, **row.options)
    if row.op in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        return getattr(F, row.op)(x, **row.options)
    if row.op == "pad":
        return F.pad(x, list(row.options["padding"]))
    raise KeyError(row.op)


def _autograd(row: Row, t: Any) -> Action | None:
    """Forward bare; backward through a retained graph, whose overhead is some microseconds."""
    x = t["x"]
    if row.what == "forward":
        return lambda: _call(row, x)
    x.requires_grad_()
    with torch.enable_grad():
        y = _call(row, x)
    dy = _dy(y)
    return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)


def _sandwich(row: Row) -> Action:
    o, (k, c, r, s) = row.options, row.arrays["w"]
    parts = [nn.Conv2d(c, k, (r, s), o["stride"], o["padding"])]
    parts += [nn.BatchNorm2d(k)] if o["norm"] else []
    parts += [nn.ReLU(inplace=True)]
    parts += [nn.MaxPool2d(*o["pool"])] if o["pool"] else []
    net = nn.Sequential(*parts).to(getattr(torch, row.dtype))
    x = torch.from_numpy(draw(row)["x"])
    if row.what == "forward":
        return partial(net.eval(), x)
    x.requires_grad_()
    dy = _dy(net(x))
    wanted = [x, *net.parameters()]

    def run() -> object:
        with torch.enable_grad():
            y = net(x)
        return torch.autograd.grad(y, wanted, dy)

    return run


def _recurrent(row: Row) -> Action:
    i = row.arrays["x"][2]
    h = row.arrays["w_hh"][1]
    dtype = getattr(torch, row.dtype)
    net = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[row.op](i, h).to(dtype)
    x = torch.from_numpy(draw(row)["x"])
    if row.what == "forward":
        return lambda: net(x)
    x.requires_grad_()
    with torch.enable_grad():
        dy = _dy(net(x)[0])
    wanted = [x, *net.parameters()]
    for p in wanted:
        p.requires_grad_()

    def run() -> object:
        with torch.enable_grad():
            y = net(x)[0]
        return torch.autograd.grad(y, wanted, dy)

    return run


def _step(row: Row, **options: Any) -> Action:
    parameters = []
    for a in draw(row).values():
        p = nn.Parameter(torch.from_numpy(a))
        p.grad = torch.from_numpy(like(a))
        parameters.append(p)
    if row.op == "sgd":
        return torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, **options).step
    return torch.optim.Adam(parameters, lr=1e-6, **options).step
