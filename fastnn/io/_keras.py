"""Filling a model from the ``.weights.h5`` file of a Keras one.

Keras 3 names layers in such a file by class and place: the second Dense is ``dense_1``, whatever
the model calls it. So the k-th `Linear` of ours takes what the k-th Dense has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._files import check_readable
from fastnn.errors import FileError, UnsupportedError
from fastnn.io import _hdf5
from fastnn.io._rules import LIMIT, Array, check_limit
from fastnn.ops.norm.conventions import keras_to_torch
from fastnn.ops.recurrent.conventions import from_keras

if TYPE_CHECKING:
    from fastnn.layers import Layer

_SIMPLE = {
    "Linear": "dense",
    "Embedding": "embedding",
    "LayerNorm": "layer_normalization",
    "GroupNorm": "group_normalization",
    "RMSNorm": "rms_normalization",
    "BatchNorm1d": "batch_normalization",
    "BatchNorm2d": "batch_normalization",
}
_CONVOLUTIONS = {
    "Conv1d": "conv1d",
    "Conv2d": "conv2d",
    "ConvTranspose1d": "conv1d_transpose",
    "ConvTranspose2d": "conv2d_transpose",
}
_RECURRENT = {"RNN": ("simple_rnn", "rnn"), "LSTM": ("lstm", "lstm"), "GRU": ("gru", "gru")}
"""What Keras calls our layers in files, and our converter recurrent cells."""

Groups = dict[str, list[Array]]


def load_keras(model: Layer, path: str | os.PathLike[str], *, limit: int = LIMIT) -> None:
    """Copy the weights of a Keras model into `model`, once every name and shape fits.

    The k-th of our `Linear` layers takes the weights of Keras's k-th Dense, and so on for
    convolutions (also transposed), batch, layer and group normalisation, Embedding, SimpleRNN, LSTM
    and GRU (also inside Bidirectional; our layer k of several takes Keras's k-th). Matrices,
    filters and gates are put into our order. Keras flattens N H W C: the columns of a Linear after
    a `Flatten` of images are put into the order C H W.

    Parameters
    ----------
    model
        A layer or `Sequential` with the same layers in the same order as the Keras model; its
        activations have no weights and may be layers of their own.
    path
        What ``model.save_weights("name.weights.h5")`` of Keras 3 wrote.
    limit
        Bytes that the file, and its arrays together, may have; 4 GiB if not given.

    Raises
    ------
    FileError
        If the file is damaged, over `limit`, or lacks a layer or has one too many.
    ShapeError, DtypeError, StateError
        If an array does not fit. After any error the model is as it was.
    UnsupportedError
        If a layer with weights has no counterpart.
    OptionError
        If h5py is not installed.

    Notes
    -----
    Keras's batch normalisation has eps=1e-3 and moves by ``convention="keras"``; give ours the same
    to compute and to train alike.
    """
    check_limit(limit)
    where = f"load_keras: {os.fspath(path)}"
    check_readable(where, path, limit)
    file = _File(where, _grouped(where, _hdf5.read_all(where, path, limit)))
    state: dict[str, Array] = {}
    channels = flattened = None  # of the images now, and where they were last made rows
    for prefix, layer in model._walk():
        kind = type(layer).__name__
        if kind == "Flatten":
            flattened = channels
        elif layer._params or layer._buffers:
            found = _converted(file, kind, layer, flattened)
            state |= {prefix + name: array for name, array in found.items()}
            flattened = None
            channels = None
            if kind in _CONVOLUTIONS:
                channels = layer.out_channels  # type: ignore[attr-defined]
            elif kind == "BatchNorm2d":
                channels = layer.num_features  # type: ignore[attr-defined]
    file.finish()
    own = model.state_dict()
    for name, array in state.items():
        if name in own and np.can_cast(array.dtype, own[name].dtype):
            state[name] = array.astype(own[name].dtype)
    model.load_state_dict(state)


class _File:
    """The layers of a file that were not taken yet."""

    def __init__(self, where: str, groups: Groups) -> None:
        self.where = where
        self._groups = groups
        self._counts: dict[str, int] = {}

    def has(self, kind: str) -> bool:
        """Whether a layer of a kind is left."""
        return self._name(kind) in {group.split("/")[0] for group in self._groups}

    def _name(self, kind: str) -> str:
        count = self._counts.get(kind, 0)
        return f"{kind}_{count}" if count else kind

    def take(self, kind: str, *parts: str, axes: int) -> list[list[Array]]:
        """The arrays of the next layer of a kind, or of its parts; the first must have `axes`."""
        name = self._name(kind)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        paths = [f"{name}/{part}" for part in parts] if parts else [name]
        for path in paths:
            arrays = self._groups.get(path, [])
            if not arrays or arrays[0].ndim != axes:
                shapes = ", ".join(str(a.shape) for a in arrays)
                there = ", ".join(self._groups)[:500]
                raise FileError(
                    f"{self.where}, layer {path} has "
                    f"{shapes if arrays else 'no arrays, for there are ' + there}; it must have "
                    f"some, the first with {axes} axes"
                )
        return [self._groups.pop(path) for path in paths]

    def finish(self) -> None:
        """Raise FileError if a layer was not taken."""
        if self._groups:
            raise FileError(
                f"{self.where} has {', '.join(self._groups)[:500]} too many; the model must have "
                "the same layers"
            )


def _grouped(where: str, arrays: Mapping[str, Array]) -> Groups:
    """The arrays of each layer in their order, by the layer's path below ``layers``."""
    groups: dict[str, dict[int, Array]] = {}
    for path, array in arrays.items():
        if path.startswith("optimizer/"):
            continue
        found = re.fullmatch(r"layers/(.+)/vars/(\d{1,3})", path)
        if found is None:
            raise FileError(f"{where} has {path[:200]!r}; names must be layers/NAME/vars/NUMBER")
        groups.setdefault(found[1], {})[int(found[2])] = array
    return {name: [of[i] for i in sorted(of)] for name, of in groups.items()}


def _converted(file: _File, kind: str, layer: Any, flattened: int | None) -> dict[str, Array]:
    """A layer's arrays under its own names and in its own layout."""
    if kind in _RECURRENT:
        return _recurrent(file, kind, layer)
    if kind in _CONVOLUTIONS:
        return _convolution(file, kind, layer)
    if kind not in _SIMPLE:
        raise UnsupportedError(f"{file.where}: {kind} has weights and no counterpart in Keras")
    arrays = file.take(_SIMPLE[kind], axes=2 if kind in ("Linear", "Embedding") else 1)[0]
    if kind.startswith("BatchNorm"):
        return _batch_norm(file, arrays)
    if kind == "Linear":
        arrays[0] = _rows(arrays[0], flattened)
    return dict(zip(("weight", "bias"), arrays, strict=False))


def _rows(kernel: Array, channels: int | None) -> Array:
    """A Dense kernel with a row per unit, its columns in the order C H W where they were H W C."""
    units = kernel.shape[1]
    if channels and kernel.shape[0] % channels == 0:
        kernel = kernel.reshape(-1, channels, units).transpose(1, 0, 2).reshape(-1, units)
    return np.ascontiguousarray(kernel.T)


def _convolution(file: _File, kind: str, layer: Any) -> dict[str, Array]:
    name, axes = _CONVOLUTIONS[kind], layer._axes + 2
    if layer.groups == layer.in_channels > 1 and file.has(f"depthwise_{name}"):
        arrays = file.take(f"depthwise_{name}", axes=axes)[0]
        # Filter m of channel c is at [..., c, m]; ours are the groups' one after the other.
        arrays[0] = arrays[0].reshape(*arrays[0].shape[:-2], 1, -1)
    else:
        arrays = file.take(name, axes=axes)[0]
    # Keras has R S C K, and R S K C transposed; the last two come first in both of ours.
    filters = np.moveaxis(arrays[0], (-1, -2), (0, 1))
    return dict(zip(("weight", "bias"), [np.ascontiguousarray(filters), *arrays[1:]], strict=False))


def _batch_norm(file: _File, arrays: list[Array]) -> dict[str, Array]:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    if len(arrays) not in (2, 4):
        raise FileError(
            f"{file.where} has a batch normalisation of {len(arrays)} arrays; it must be 2, or 4 "
            "with scale and center"
        )
    return keras_to_torch(dict(zip(names[-len(arrays) :], arrays, strict=True)))


def _recurrent(file: _File, kind: str, layer: Any) -> dict[str, Array]:
    name, cell = _RECURRENT[kind]
    ends = {"": "forward_layer/cell", "_reverse": "backward_layer/cell"}
    state: dict[str, Array] = {}
    for number in range(layer.num_layers):
        if layer.bidirectional:
            found = file.take("bidirectional", *ends.values(), axes=2)
        else:
            found = file.take(name, "cell", axes=2)
        for end, arrays in zip(ends, found, strict=False):
            _check_cell(file, layer, arrays)
            names = (f"{part}_l{number}{end}" for part in _PARTS)
            weights = zip(names, from_keras(cell, arrays), strict=True)
            state |= {name: array for name, array in weights if array is not None}
    return state


_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _check_cell(file: _File, layer: Any, arrays: list[Array]) -> None:
    """Raise unless the arrays can be those of the layer's cell."""
    rows = layer._gates * layer.hidden_size
    two = getattr(layer, "reset_after", False)
    fine = len(arrays) in (2, 3) and all(a.shape[-1:] == (rows,) for a in arrays)
    if not fine or arrays[1].ndim != 2 or any(a.ndim != 1 + two for a in arrays[2:]):
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise FileError(
            f"{file.where} has a recurrent layer of {shapes} for {layer}; it must have two "
            f"matrices and a bias of {rows} columns, two rows of them for reset_after=True alone"
        )
