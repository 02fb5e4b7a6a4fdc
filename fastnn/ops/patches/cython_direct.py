"""Unfold and fold, compiled: rows of columns are gathered from a channel or added into it."""

from __future__ import annotations

from fastnn._check import Array
from fastnn._ext import _conv
from fastnn.ops.patches.spec import UnfoldCall
from fastnn.ops.patches.steps import moves


def _columns(call: UnfoldCall, image: Array, columns: Array) -> None:
    _conv.unfold(call.conv, image, columns)


def _image(call: UnfoldCall, columns: Array, image: Array) -> None:
    _conv.fold(call.conv, columns, image)


unfold_forward, unfold_backward = moves(_columns, _image)
fold_forward, fold_backward = moves(_image, _columns)
