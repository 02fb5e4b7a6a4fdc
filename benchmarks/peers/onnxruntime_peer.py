"""Forward convolutions on ONNX Runtime, which has no backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnxruntime
from onnx import TensorProto, helper

from peers.data import draw
from peers.rows import Row, _pair, conv_out

_threads = 1


def setup(threads: int) -> dict[str, Any]:
    global _threads
    _threads = threads
    return {"version": onnxruntime.__version__}


def action(row: Row) -> Callable[[], object] | None:
    if row.op != "conv2d" or row.what != "forward" or row.dtype != "float32":
        return None
    arrays, o = draw(row), row.options
    x, w = row.arrays["x"], row.arrays["w"]
    y = conv_out(x, w, o["stride"], o["padding"], o["dilation"])
    top, left = _pair(o["padding"])
    node = helper.make_node(
        "Conv", ["x", "w", "b"], ["y"],
        strides=list(_pair(o["stride"])), dilations=list(_pair(o["dilation"])),
        pads=[top, left, top, left], group=o["groups"], kernel_shape=list(w[2:]),
    )  # fmt: skip
    weights = [
        helper.make_tensor(n, TensorProto.FLOAT, arrays[n].shape, arrays[n].tobytes(), raw=True)
        for n in "wb"
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "conv",
        [info("x", TensorProto.FLOAT, x)],
        [info("y", TensorProto.FLOAT, y)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": arrays["x"]})
