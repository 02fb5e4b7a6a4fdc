"""Gradients kept small, before a step."""

from __future__ import annotations

import math

import numpy as np

from fastnn.layers.base import Array


def clip_value(gradients: list[Array], limit: float) -> None:
    """Move every entry of the gradients into [-limit, limit]."""
    for dw in gradients:
        np.clip(dw, -limit, limit, out=dw)


def clip_norm(gradients: list[Array], limit: float) -> float:
    """Scale all gradients together so that their norm is at most `limit`; return the norm."""
    norm = math.sqrt(sum(map(_squares, gradients)))
    if norm > limit:
        for dw in gradients:
            dw *= limit / norm
    return norm


def _squares(a: Array) -> float:
    """The sum of squares in float64, in one order whatever the threads."""
    return float(np.square(a, dtype=np.float64).sum())
