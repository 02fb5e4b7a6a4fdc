"""Random calls, a third of them wrong on purpose: all backends agree or the call is refused.

A trial is made from one number, so a failure is seen again by that number alone. Sizes and options
are mixed from an operation's cases; a call must either raise an error of the package that names the
operation, with every input as it was, or give the same results on every implementation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn._cases import Case
from fastnn._check import Array
from fastnn.dispatch import Op, every, unavailable
from fastnn.errors import FastnnError
from fastnn.testing._compare import held, magnitudes, run, wide
from fastnn.testing._draw import Data, draw, draw_dy
from fastnn.testing._layouts import LAYOUTS, layout

WRONG = 0.3  # share of trials with something broken on purpose
MOST_FLOPS, MOST_CELLS = 20_000, 20_000  # naive code makes some 1e6 FLOP a second
SLACK = 8  # bounds are for one rounding per term; random options find worse conditioned calls
ATTEMPTS = 8  # at mixing a call that the front accepts

JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 7, 2**31, 2**63, 2**70, 1.5, 0.0, -1.0, math.nan, math.inf, "x", "",
    "same", b"1", [], (), (1,), (1, 2), (1, 2, 3), (1, -1), ((1, 2), (3, 4)), {}, {1}, 1j,
    np.float32(2), np.int64(3), np.int64(-3), np.array(2), np.array([1.0]), object(), range(2),
)  # fmt: skip
"""What is given in place of an argument."""


class Trial(NamedTuple):
    """One random call."""

    op: Op[..., Any, Any]
    arguments: dict[str, Any]
    broken: str | None  # what was done to it on purpose
    kind: Data


class Outcome(NamedTuple):
    """What came of a trial."""

    what: str  # "refused", "compared", "large" or "failed"
    failure: str | None


def trial(seed: int, ops: Sequence[str] | None = None) -> Trial:
    """The trial of a seed, on the operations named or on all."""
    rng = np.random.default_rng(seed)
    names = sorted(every() if ops is None else ops)
    op = every()[names[int(rng.integers(len(names)))]]
    dtype = ("float32", "float64")[int(rng.integers(2))]
    kind: Data = "integer" if rng.random() < 0.5 else "normal"
    arguments = _mixed(op, rng, dtype, kind)
    broken = _break(rng, op, arguments) if rng.random() < WRONG else None
    for name, value in arguments.items():
        relay = _small(value) and name not in op.updates and rng.random() < 0.5
        if relay:
            arguments[name] = _relaid(rng, value)
    return Trial(op, arguments, broken, kind)


def _mixed(
    op: Op[..., Any, Any], rng: np.random.Generator, dtype: str, kind: Data
) -> dict[str, Any]:
    """Arguments near those of a case: other sizes, options of other cases; accepted if possible."""
    cases = _cases(op)
    base = cases[int(rng.integers(len(cases)))]
    for _ in range(ATTEMPTS):
        case = _varied(rng, base, cases)
        try:
            arguments = draw(op, case, dtype, seed=int(rng.integers(2**31)), kind=kind)
            op.front(**arguments)
        except (FastnnError, ValueError, IndexError):  # draws of labels may not know such sizes
            continue
        return arguments
    return draw(op, base, dtype, seed=int(rng.integers(2**31)), kind=kind)


@functools.cache
def _cases(op: Op[..., Any, Any]) -> tuple[Case, ...]:
    return tuple(c for c in op.cases() if c.kind != "bench")


def _varied(rng: np.random.Generator, base: Case, cases: Sequence[Case]) -> Case:
    """`base` with sizes changed alike in all arrays, and perhaps an option of another case."""
    sizes = sorted({n for shape in base.arrays.values() for n in shape})
    changed = {n: int(rng.integers(1, 9)) if rng.random() < 0.3 else n for n in sizes}
    arrays = {k: tuple(changed[n] for n in shape) for k, shape in base.arrays.items()}
    options = dict(base.options)
    other = cases[int(rng.integers(len(cases)))]
    for name, value in other.options.items():
        if rng.random() < 0.5:
            options[name] = value
    return Case(base.kind, arrays, options)


def _break(rng: np.random.Generator, op: Op[..., Any, Any], arguments: dict[str, Any]) -> str:
    """Replace or spoil one argument; what was done."""
    names = [*op.__signature__.parameters]
    name = names[int(rng.integers(len(names)))]
    value = arguments.get(name)
    if isinstance(value, np.ndarray) and rng.random() < 0.7:
        how, arguments[name] = _spoil(rng, value)
        return f"{name} {how}"
    junk = JUNK[int(rng.integers(len(JUNK)))]
    arguments[name] = junk
    return f"{name}={junk!r}"


def _spoil(rng: np.random.Generator, a: Array) -> tuple[str, Any]:
    """An array that is wrong in one way."""
    ways: list[tuple[str, Any]] = [
        ("in float16", lambda: a.astype(np.float16)),
        ("in int32", lambda: np.ones(a.shape, np.int32)),
        ("in complex128", lambda: a.astype(np.complex128)),
        ("in the other precision", lambda: a.astype(np.float32 if a.itemsize == 8 else np.float64)),
        ("of objects", lambda: a.astype(object)),
        ("with an axis more", lambda: a[None]),
        ("with an axis less", lambda: a.reshape((*a.shape[:-2], -1)) if a.ndim > 1 else a.sum()),
        ("as a list", lambda: a.tolist()),
        ("masked", lambda: np.ma.masked_array(a)),
        ("empty", lambda: a[..., :0] if a.ndim else a.reshape(1)[:0]),
        ("empty batch", lambda: a[:0] if a.ndim else a.reshape(1)[:0]),
        ("one longer", lambda: np.concatenate([a, a[:1]]) if a.ndim else np.stack([a, a])),
        ("transposed", lambda: a.T),
        ("huge by zero strides", lambda: np.broadcast_to(a.reshape(-1)[:1], (2**20, 2**20))),
    ]
    if a.dtype.kind == "f":
        ways.append(
            ("with NaN", lambda: np.where(rng.random(a.shape) < 0.2, a.dtype.type("nan"), a))
        )
    how, make = ways[int(rng.integers(len(ways)))]
    return how, make() if a.size else a


def _relaid(rng: np.random.Generator, a: Array) -> Array:
    return layout(a, LAYOUTS[int(rng.integers(len(LAYOUTS)))])


def attempt(seed: int, ops: Sequence[str] | None = None) -> Outcome:
    """Run the trial of a seed on every implementation that there is."""
    try:
        return _attempt(trial(seed, ops))
    except MemoryError:  # of a huge input's contiguous copy
        return Outcome("large", None)
    except Exception as error:  # whatever it is: it is what the fuzzer looks for
        return Outcome("failed", f"{type(error).__name__}: {error}")


def _attempt(t: Trial) -> Outcome:
    before = {k: v.tobytes() for k, v in t.arguments.items() if _small(v)}
    try:
        call = t.op.front(**t.arguments).call
        outs = call.out if t.op.outputs else (call.out,)
        cells = max(math.prod(o) for o in outs) + sum(
            v.size for v in t.arguments.values() if isinstance(v, np.ndarray)
        )
        if call.flops > MOST_FLOPS or cells > MOST_CELLS:
            return Outcome("large", None)
        return Outcome("compared", _differences(t, call))
    except FastnnError as error:
        if not isinstance(error, ValueError | TypeError | NotImplementedError):
            return Outcome("failed", f"{type(error).__name__} is no error of the usual kinds")
        if t.op.name not in str(error):
            return Outcome("failed", f"the error does not name {t.op.name}: {error}")
        after = {k: v.tobytes() for k, v in t.arguments.items() if _small(v)}
        changed = [k for k in before if before[k] != after[k]]
        return Outcome("refused", f"refused, but wrote to {changed}" if changed else None)


def _small(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype != object and value.size <= MOST_CELLS


def _differences(t: Trial, call: Any) -> str | None:
    """Where an implementation differs from naive, or None."""
    arguments = {
        k: np.asarray(v, call.dtype) if isinstance(v, list) and k in t.op.array_names else v
        for k, v in t.arguments.items()
        if k not in ("out", "backend")
    }
    wrong = _public(t)
    if wrong is not None:
        return wrong
    plain = {
        k: np.array(v) if isinstance(v, np.ndarray) and k not in t.op.updates else v
        for k, v in arguments.items()
    }
    finite = all(
        np.isfinite(v).all()
        for v in plain.values()
        if isinstance(v, np.ndarray) and v.dtype.kind == "f"
    )
    if not finite or call.empty or not hasattr(call, "dtype"):
        return None  # spread of NaN is held by tests of each operation
    dy = draw_dy(t.op, call, kind=t.kind)
    exact = {k: wide(v) for k, v in plain.items()}
    want = run(t.op, t.op.impl("naive"), exact, wide(dy))
    scale = magnitudes(t.op, exact, dy, want)
    if not t.op.exact:  # a difference of large numbers is as far off as these, which are near 1
        scale = scale._replace(outputs=tuple(np.maximum(s, 1.0) for s in scale.outputs))
    bitwise = t.kind == "integer" and t.op.exact
    for name in ("naive", *t.op.impls[:-1]):
        impl = t.op.impl(name)
        if impl.supports(call) is not None:
            continue
        got = run(t.op, impl, arguments, dy)
        found = held(t.op, impl, call, got, want, scale, bitwise=bitwise, slack=SLACK)
        if not found.passed:
            # Where naive itself overflows or cancels, there is nothing to hold the others against.
            where = "a result" if found.forward > 1 else "a gradient"
            return None if name == "naive" else f"{name}: {where} differs from naive"
    return None


def _public(t: Trial) -> str | None:
    """The call as a user makes it, with whatever `out` and `backend` the trial has."""
    own = {k: v.copy() if k in t.op.updates and isinstance(v, np.ndarray) else v
           for k, v in t.arguments.items()}  # fmt: skip
    result = t.op(**own)
    out = own.get("out")
    if out is not None and result is not out:
        return "out was accepted, but is not what came back"
    return None


def reproducer(seed: int, ops: Sequence[str] | None = None) -> str:
    """The command that runs one trial again."""
    named = "".join(f" --op {name}" for name in ops or ())
    return f"fastnn selftest --fuzz 1 --seed {seed}{named}"


def backends() -> Mapping[str, str | None]:
    """Which backends the trials run on, and why not, if not."""
    return {name: unavailable(name) for name in ("cython", "numba")}
