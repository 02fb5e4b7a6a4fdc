"""PyTorch at its own favourite settings: images with channels last, fused optimisers."""

from __future__ import annotations

from collections.abc import Callable

from peers import torch_peer
from peers.rows import Row
from peers.torch_peer import setup as setup


def action(row: Row) -> Callable[[], object] | None:
    if row.op == "conv2d":
        return torch_peer.action(row._replace(options=row.options | {"channels_last": True}))
    if row.op in ("sgd", "adam"):
        return torch_peer._step(row, fused=True)
    return None
