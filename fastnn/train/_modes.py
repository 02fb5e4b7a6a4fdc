"""Layers in evaluation mode, and layers that go on from where they ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastnn.layers import Layer


def layers_of(model: Layer) -> list[Layer]:
    """The model and all layers in it."""
    return [layer for _, layer in model._walk()]


def stateful(model: Layer) -> list[Any]:
    """The layers that go on from where they ended."""
    return [layer for layer in layers_of(model) if hasattr(layer, "reset_state")]


def reset_states(model: Layer) -> None:
    """Let stateful layers begin anew."""
    for layer in stateful(model):
        layer.reset_state()


@contextmanager
def evaluation(model: Layer) -> Iterator[None]:
    """Evaluation mode and fresh states for a while; then all layers are as they were."""
    before = [(layer, layer.training) for layer in layers_of(model)]
    states = [(layer, layer.state) for layer in stateful(model)]
    model.eval()
    reset_states(model)
    try:
        yield
    finally:
        for layer, training in before:
            layer.training = training
        for keeper, state in states:
            keeper.state = state
