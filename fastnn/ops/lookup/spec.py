"""What an embedding means: sizes, costs, cases. No algorithm; the whole family imports it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Bad, Case, case, shape
from fastnn.errors import DtypeError, OptionError, ShapeError

Array = np.ndarray[Any, Any]


class EmbeddingCall(NamedTuple):
    """An embedding without its numbers."""

    dtype: str
    indices: tuple[int, ...]  # any
    w: tuple[int, int]  # V E
    padding_idx: int  # -1: none

    @property
    def out(self) -> tuple[int, ...]:
        """The shape of indices, and E."""
        return (*self.indices, self.w[1])

    @property
    def empty(self) -> bool:
        """No indices."""
        return 0 in self.indices

    @property
    def flops(self) -> int:
        """None: it copies."""
        return 0

    @property
    def bytes(self) -> int:
        """Indices and a row for each read, y written."""
        copied = 2 * math.prod(self.out)
        return np.dtype(self.dtype).itemsize * copied + 8 * math.prod(self.indices)


class EmbeddingGrads(NamedTuple):
    """Gradient of an embedding; None where not needed."""

    w: Array | None


def terms(call: EmbeddingCall) -> int:
    """The longest sum: over all places, if all hold the same index."""
    return max(1, math.prod(call.indices))


def draw_indices(rng: np.random.Generator, case: Case, dtype: np.dtype[Any]) -> Array:
    """Rows of w, often the same; the padding one in edge cases only.

    Its gradient is no derivative, which core cases are held against.
    """
    rows = case.arrays["w"][0]
    indices = np.asarray(rng.integers(0, rows, case.arrays["indices"]))
    if "padding_idx" in case.options:
        padding = case.options["padding_idx"] % rows
        if case.kind == "edge":
            indices.reshape(-1)[1::3] = padding
        else:
            indices[indices == padding] = (padding + 1) % rows
    return indices


def embedding_cases() -> Iterator[Case]:
    """Cases of embedding; places, V and E differ; rows that nothing names, rows named often."""
    yield _case("core", (5, 4), 7, 3)
    yield _case("core", (6,), 4, 5, padding_idx=2)
    yield _case("core", (), 4, 5)
    yield _case("core", (2, 3, 4), 9, 17, padding_idx=-1)
    yield _case("core", (40, 3), 5, 33)
    yield _case("core", (3, 2), 100, 1)
    yield _case("core", (1, 1), 1, 1)
    yield _case("edge", (0, 3), 4, 5)
    yield _case("edge", (3, 0), 4, 5, padding_idx=0)
    yield _case("edge", (9,), 1, 3, padding_idx=0)
    yield _case("edge", (10, 2), 4, 5, padding_idx=2)
    yield _case("edge", (2, 3, 4), 9, 17, padding_idx=-1)
    yield _case("edge", (7,), 3, 300)
    yield _case("edge", (500,), 200, 2)
    yield _case("bench", (32, 128), 30522, 768, name="bert", source="BERT-base's word pieces")
    yield _case("bench", (64, 400), 20000, 128, name="imdb", source="Keras's IMDB example")


def _case(kind: Any, places: tuple[int, ...], v: int, e: int, **options: Any) -> Case:
    return case(kind, indices=shape(*places), w=shape(v, e), **options)


def embedding_errors() -> Iterator[Bad]:
    """Calls of embedding that must fail."""
    t, w = np.array([[0, 4], [2, 1]]), np.ones((5, 3), np.float32)
    k = {"indices": t, "w": w}
    yield Bad({**k, "w": w[0]}, ShapeError, r"w has 1 axes, shape \(3,\).*V E")
    yield Bad({**k, "w": w[None]}, ShapeError, r"w has 3 axes, shape \(1, 5, 3\).*V E")
    yield Bad({**k, "w": w[:0]}, ShapeError, r"w has shape V E = \(0, 3\).*at least 1")
    yield Bad({**k, "w": w[:, :0]}, ShapeError, r"w has shape V E = \(5, 0\).*at least 1")
    yield Bad({**k, "w": w[:4]}, ShapeError, r"indices\[0, 1\] is 4 but w has V=4.*from 0 to 3")
    yield Bad({**k, "indices": [0, -1]}, ShapeError, r"indices\[1\] is -1 but w has V=5")
    yield Bad({**k, "indices": 7}, ShapeError, r"indices is 7 but w has V=5")
    yield Bad({**k, "indices": np.full(2, 2**64 - 1, np.uint64)}, ShapeError, r"18446744073709")
    yield Bad({**k, "indices": t.astype(float)}, DtypeError, r"indices has dtype float64.*integer")
    yield Bad({**k, "indices": t > 0}, DtypeError, r"indices has dtype bool")
    yield Bad({**k, "indices": np.ma.masked_equal(t, 0)}, DtypeError, r"indices is a masked array")
    yield Bad({**k, "w": w.astype(np.int64)}, DtypeError, r"w has dtype int64")
    yield Bad({**k, "w": w.astype(np.float16)}, DtypeError, r"w has dtype float16")
    yield Bad({**k, "padding_idx": 5}, OptionError, r"padding_idx=5.*V=5.*from -5 to 4")
    yield Bad({**k, "padding_idx": -6}, OptionError, r"padding_idx=-6.*V=5.*from -5 to 4")
    yield Bad({**k, "padding_idx": 1.0}, DtypeError, r"padding_idx=1\.0.*whole number")
    yield Bad({**k, "out": w}, ShapeError, r"out has shape \(5, 3\).*\(2, 2, 3\)")
    yield Bad({**k, "out": np.ones((2, 2, 3))}, DtypeError, r"out is float64")
    yield Bad({**k, "backend": "cuda"}, OptionError, r"'cuda' is unknown")
