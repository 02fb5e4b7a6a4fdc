"""One SHA-256 over what compiled code computes, to compare thread counts, builds and machines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from fastnn._cases import Case
from fastnn._cli.extras import progress
from fastnn._cli.workload import Workload, describe
from fastnn.dispatch import Op

# Benchmark cases are what is large enough for several threads; the largest would take too long.
LARGEST = 4e8  # FLOP


def digest(ops: Iterable[Op[..., Any, Any]]) -> str:
    """The hash of every result and gradient of every compiled implementation, in order."""
    total = hashlib.sha256()
    for op, case, dtype in progress(list(_cases(ops)), "hash"):
        call = describe(op, case, dtype)
        if call.empty or (case.kind == "bench" and call.flops > LARGEST):
            continue
        work = Workload.of(op, case, dtype)
        for name in op.impls:
            impl = op.impl(name)
            if impl.backend == "cython" and impl.supports(call) is None:
                results = work.run(name)
                arrays = (*results.outputs, *results.grads.values(), *results.updated.values())
                for array in arrays:
                    if array is not None:
                        total.update(array.tobytes())
    return total.hexdigest()


def _cases(ops: Iterable[Op[..., Any, Any]]) -> Iterator[tuple[Op[..., Any, Any], Case, str]]:
    for op in ops:
        for case in op.cases():
            for dtype in ("float32", "float64"):
                yield op, case, dtype
