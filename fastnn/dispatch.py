"""Choosing an implementation: Op, Impl, Context, scopes and explanations. Knows no operation.

An operation is *described* once (its front checks the arguments and returns a `Call`), then an
implementation is *selected* for that call, then it runs. `supports` is a fact about a call and
an implementation, `rank` is taste; only taste may ever be tuned.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import math
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Generic, NamedTuple, ParamSpec, Protocol, TypeVar

import numpy as np

from fastnn import _check, _config
from fastnn._cases import Bad, Case, Draw
from fastnn.errors import DtypeError, OptionError, ShapeError, StateError, UnsupportedError

__all__ = ["OPS", "Call", "Context", "Impl", "Op", "dry_run", "use"]

log = logging.getLogger("fastnn.dispatch")

Array = np.ndarray[Any, Any]
P = ParamSpec("P")
Y = TypeVar("Y")
G = TypeVar("G", bound=tuple[Any, ...])

OPS: dict[str, Op[..., Any, Any]] = {}
"""Every operation by name that is imported; `every` imports all."""

_announced: dict[str, str] = {}

BACKENDS = ("cython", "numba", "naive")

# Relative cost where an implementation has no cost model of its own: measured orders of magnitude.
_DEFAULT_RANK = {"cython": 1.0, "numba": 10.0, "naive": 10_000.0}

_MEMO_LIMIT = 4096

_SEQUENCES = (tuple, list, set, frozenset)

_MOST_CELLS = 2**59  # of a result: 8 bytes each, and half of what a signed size can count

# How a front annotates its array parameters; `out` is not one of the call's arrays.
_ARRAY_NOTES = ("Array", "Array | None")


def announce(modules: Mapping[str, str]) -> None:
    """Say which module defines which operation, so that it can be imported when it is needed."""
    _announced.update(modules)


def every() -> dict[str, Op[..., Any, Any]]:
    """All operations by name: those announced, imported now, and any others registered."""
    for name, module in _announced.items():
        if name not in OPS:
            importlib.import_module(module)
    return OPS


class Call(Protocol):
    """Everything about one call except the numbers. A hashable NamedTuple per family.

    It is the key for choosing, memo and tuning, and the text of test and benchmark ids.
    """

    @property
    def dtype(self) -> str:
        """The NumPy name of the element type, "float32" or "float64"."""

    @property
    def out(self) -> tuple[Any, ...]:
        """The shape of the result; a tuple of shapes if the operation has several results."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to compute, because the batch has no samples."""

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward pass."""

    @property
    def bytes(self) -> int:
        """Bytes that the forward pass must read and write at least once."""


class Bound(NamedTuple):
    """The error allowed to a result that an algorithm does not add up as it is defined.

    Such algorithms mix neighbours before they multiply, so the error of one entry is relative to
    the largest sum of magnitudes of the whole array, not to its own.
    """

    growth: float  # allowed error, in units of a plain sum's
    integers: bool  # exact on small integers all the same


class Impl:
    """One way to compute an operation: `forward`, `backward`, `supports` and `rank`.

    An implementation inside the package is the module beside its family's front whose file name
    is the implementation's name; it is imported when it is first needed, so that neither Numba
    nor unused code costs anything at import. In it, operation ``op`` is the functions

    ``<op>_forward(call, *arrays, out, save) -> (y, saved)`` or ``forward``
        `arrays` as the front normalised them (None for an absent optional one); `out` is None or
        a C-contiguous array to write to and return; `saved` may be None unless `save`.
    ``<op>_backward(call, saved, dy, needs) -> tuple`` or ``backward``
        one gradient per differentiable array, None for those not in `needs`.
    ``<op>_supports(call)`` or ``supports(call)``, optional
        None, or one clause that fits after a colon: why this call cannot run here.
    ``<op>_rank(call)`` or ``rank(call)``, optional, not for Numba
        predicted cost, lower is better, relative to the other implementations'.
    ``<op>_bounds(call)`` or ``bounds(call)``, optional
        a `Bound` by name of result or array, for those results and gradients that are not added
        up as the operation is defined; comparisons allow them that much.
    """

    def __init__(
        self,
        name: str,
        *,
        op: str,
        module: str = "",
        forward: Callable[..., tuple[Array, Any]] | None = None,
        backward: Callable[..., tuple[Array | None, ...]] | None = None,
        supports: Callable[[Any], str | None] | None = None,
        rank: Callable[[Any], float] | None = None,
        bounds: Callable[[Any], Mapping[str, Bound]] | None = None,
    ) -> None:
        self.name = name
        self.op = op
        self.backend = name.partition(":")[0]
        self._module = module
        self._functions: tuple[Callable[..., Any], ...] | None = None
        if not module:
            if forward is None or backward is None:
                raise OptionError(f"{op}: {name} has no module; forward and backward must be given")
            self._functions = (
                forward,
                backward,
                supports or _always,
                rank or self._default_rank(),
                bounds or _no_bounds,
            )

    def __repr__(self) -> str:
        return f"<{self.op} {self.name}>"

    def _default_rank(self) -> Callable[[Any], float]:
        rank = _DEFAULT_RANK.get(self.backend, 1.0)
        # Not a method: the object would hold itself, and its arrays, until cycles are looked for.
        return lambda call: rank

    def _load(self) -> tuple[Callable[..., Any], ...]:
        if self._functions is None:
            module = importlib.import_module(self._module)

            def find(what: str, *default: Any) -> Any:
                own = f"{self.op}_{what}"
                return getattr(module, own if hasattr(module, own) else what, *default)

            self._functions = (
                find("forward"),
                find("backward"),
                find("supports", _always),
                find("rank", self._default_rank()),
                find("bounds", _no_bounds),
            )
        return self._functions

    @cached_property
    def forward(self) -> Callable[..., tuple[Array, Any]]:
        """The forward function, see the class."""
        return self._load()[0]

    @cached_property
    def backward(self) -> Callable[..., tuple[Array | None, ...]]:
        """The backward function, see the class."""
        return self._load()[1]

    def supports(self, call: Any) -> str | None:
        """None if `call` can run here, else why not, as a clause that fits after a colon."""
        missing = unavailable(self.backend) if self._module else None
        if missing is not None:
            return missing
        answer: str | None = self._load()[2](call)
        return answer

    def rank(self, call: Any) -> float:
        """Predicted relative cost of `call`, lower is better.

        For Numba's modules it is a constant: ranking must not load Numba, nor depend on whether
        it is loaded.
        """
        lazy = self._module and (self.backend == "numba" or unavailable(self.backend) is not None)
        return self._default_rank()(call) if lazy else float(self._load()[3](call))

    def bounds(self, call: Any) -> Mapping[str, Bound]:
        """Results and gradients with a bound of their own, by name."""
        answer: Mapping[str, Bound] = self._load()[4](call)
        return answer


def _always(call: Any) -> None:
    return None


def _no_bounds(call: Any) -> Mapping[str, Bound]:
    return {}


def unavailable(backend: str) -> str | None:
    """Why no implementation of `backend` can run in this process, or None."""
    if backend == "cython":
        from fastnn import _ext

        return _ext.missing
    if backend == "numba":
        from fastnn import _jit

        return _jit.missing()
    return None


class Context(Generic[G]):
    """What backward needs from one forward call: the call, who ran it and what that one saved.

    It holds references to the arrays of the forward call, not copies: do not change them between
    forward and backward.
    """

    __slots__ = ("call", "impl", "op", "saved")

    def __init__(self, op: Op[..., Any, G], call: Any, impl: Impl, saved: Any) -> None:
        self.op = op
        self.call = call
        self.impl = impl
        self.saved = saved

    def __repr__(self) -> str:
        return f"<context of {self.op.name} {self.impl.name} {self.call}>"


class Described(NamedTuple):
    """What a front returns: the call, its normalised arrays, and where and how to run it."""

    call: Any
    arrays: tuple[Array | None, ...]
    out: Array | None
    backend: str | None


class Op(Generic[P, Y, G]):
    """An operation: one name, three ways to call it, and it can explain itself.

    Parameters
    ----------
    front
        A function with the operation's signature and docstring that checks the arguments and
        returns `Described`. Its name without the leading underscore is the operation's.
    grads
        A NamedTuple class; its fields are the names of the differentiable arrays.
    impls
        Names of implementations, best first, naive last; each is a module beside `front`'s.
    cases, errors
        Functions that yield the `Case` and `Bad` records that tests and benchmarks run.
    draw
        How to draw arrays that are not plain numbers, by name (labels, variances).
    terms
        The length of the longest sum of a call: it sets the tolerance of comparisons.
    gain
        How many times as large as `dy` the terms are that the gradient of the first array is
        added up from, given a call and its arguments: they may cancel. None: no larger.
    exact
        Made of sums, products and comparisons only, hence bitwise comparable on small integers.
    smooth
        Analytic everywhere, so that naive, which must then take complex arrays, can be held
        against the complex step.
    updates
        Names of arrays that a call writes to (running statistics); all others are only read.
    returns
        Array, or a NamedTuple class for several results; the call's `out` is then a tuple of
        shapes, and the front takes no `out`.
    has_gradient
        How many of several results, from the first, have gradients. `dy` is one array if there is
        one such output, else a tuple with an array or None (zero) for each.
    """

    def __init__(
        self,
        front: Callable[P, Described],
        *,
        returns: type[Y],
        grads: type[G],
        impls: Sequence[str],
        cases: Callable[[], Iterator[Case]],
        errors: Callable[[], Iterator[Bad]],
        terms: Callable[[Any], int],
        draw: Mapping[str, Draw] | None = None,
        gain: Callable[[Any, Mapping[str, Any]], float] | None = None,
        exact: bool = True,
        smooth: bool = False,
        updates: Sequence[str] = (),
        has_gradient: int | None = None,
    ) -> None:
        self.front = front
        self.name = self.__name__ = front.__name__.removeprefix("_")
        self.__doc__ = front.__doc__
        self.__module__ = front.__module__
        self.__signature__ = inspect.signature(front).replace(return_annotation=returns)
        annotations = inspect.get_annotations(front)
        self.array_names = tuple(
            k for k, v in annotations.items() if str(v) in _ARRAY_NOTES and k != "out"
        )
        self.grads = grads
        self._fields: tuple[str, ...] = grads._fields  # type: ignore[attr-defined]
        self._checked_needs: tuple[str, ...] = self._fields
        self.cases = cases
        self.errors = errors
        self.terms = terms
        self.draw = dict(draw or {})
        self.gain = gain
        self.exact = exact
        self.smooth = smooth
        self.updates = tuple(updates)
        self.outputs: tuple[str, ...] = getattr(returns, "_fields", ())
        self.has_gradient = has_gradient or len(self.outputs)
        self._wrap: Any = returns
        self._impls: list[Impl] = []
        self._memo: dict[Hashable, Impl] = {}
        family = front.__module__
        for name in impls:
            self.register(
                Impl(name, op=self.name, module=f"{family}.{name.replace(':', '_')}"), last=True
            )
        if self.name in OPS:
            raise OptionError(f"{self.name}: an operation of this name is registered already")
        OPS[self.name] = self

    def __repr__(self) -> str:
        plain = [
            p.replace(annotation=inspect.Parameter.empty)
            for p in self.__signature__.parameters.values()
        ]
        return f"fastnn.{self.name}{inspect.Signature(plain)}"

    # -- calling ---------------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Y:
        """Compute the result and save nothing: inference."""
        call, arrays, out, backend = self.front(*args, **kwargs)
        y: Any
        if out is None:
            y, _ = self.select(call, backend).forward(call, *arrays, out=None, save=False)
            return self._wrap(*y) if self.outputs else y  # type: ignore[no-any-return]
        target = _check_out(self.name, out, call, arrays)
        y, _ = self.select(call, backend).forward(call, *arrays, out=target, save=False)
        if y is not out:
            out[...] = y
        return out  # type: ignore[return-value]  # Y is Array where a front takes out

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> tuple[Y, Context[G]]:
        """Compute the result and the context that `backward` needs: training."""
        call, arrays, out, backend = self.front(*args, **kwargs)
        impl = self.select(call, backend)
        if out is not None and _check_out(self.name, out, call, arrays) is not out:
            raise ShapeError(
                f"{self.name}: out is strided, misaligned or overlaps an input; forward for "
                "training needs a C-contiguous array of its own"
            )
        y: Any
        y, saved = impl.forward(call, *arrays, out=out, save=True)
        return self._wrap(*y) if self.outputs else y, Context(self, call, impl, saved)

    def backward(self, ctx: Context[G], dy: Any, *, needs: Sequence[str] | None = None) -> G:
        """Gradients of the arrays named in `needs` (default: all), as the op's NamedTuple.

        The implementation that ran forward runs backward. Fields that are not needed are None
        and are never computed.
        """
        if type(ctx) is not Context or ctx.op is not self:
            given = f"of {ctx.op.name}" if type(ctx) is Context else f"a {type(ctx).__name__}"
            raise DtypeError(f"{self.name}: ctx is {given}; it must come from {self.name}.forward")
        call = ctx.call
        dy = self._check_dys(call, dy)
        if needs is None:
            needs = self._fields
        elif needs is not self._checked_needs:
            self._check_needs(needs)
        gradients: Any = ctx.impl.backward(call, ctx.saved, dy, needs)
        return self.grads(*gradients)

    def _check_needs(self, needs: Any) -> None:
        right = isinstance(needs, _SEQUENCES)
        for name in needs if right else ():  # all() would take 0.2 us
            right = right and type(name) is str and name in self._fields
        if not right:
            raise OptionError(
                f"{self.name}: needs={needs!r}; it must be a tuple with names from {self._fields}"
            )
        if type(needs) is tuple:  # nobody changes it: the next call is spared 0.3 us
            self._checked_needs = needs

    def _check_dys(self, call: Any, dy: Any) -> Any:
        """`dy` normalised: an array, or a tuple with an array or None per output."""
        if not self.outputs:
            return self._check_dy(call, "dy", call.out, dy)
        names = self.outputs[: self.has_gradient]
        if self.has_gradient == 1:
            return self._check_dy(call, f"d{names[0]}", call.out[0], dy)
        if not isinstance(dy, tuple | list) or len(dy) != len(names):
            raise ShapeError(
                f"{self.name}: dy is {type(dy).__name__}; it must be a tuple of {len(names)}, an "
                f"array or None for each of {', '.join(names)}"
            )
        return tuple(
            None if one is None else self._check_dy(call, f"d{name}", shape, one)
            for name, shape, one in zip(names, call.out, dy, strict=False)
        )

    def _check_dy(self, call: Any, name: str, shape: tuple[int, ...], given: Any) -> Array:
        dy = _check.array(self.name, name, given)
        if _check.dtype_name(dy) != call.dtype:
            raise DtypeError(
                f"{self.name}: {name} is {dy.dtype} but x is {call.dtype}; they must be the same"
            )
        if dy.shape != shape:
            raise ShapeError(
                f"{self.name}: {name} has shape {dy.shape}; {name[1:]} has {shape}, so must {name}"
            )
        return dy

    # -- choosing --------------------------------------------------------------------------------

    def register(self, impl: Impl, *, last: bool = False) -> None:
        """Add an implementation: before naive, or at the end while the operation is built."""
        if any(impl.name == known.name for known in self._impls):
            raise OptionError(f"{self.name}: {impl.name} is registered already; names are unique")
        self._impls.insert(len(self._impls) if last else -1, impl)
        self._memo.clear()

    def unregister(self, name: str) -> None:
        """Remove the implementation `name`; the naive one stays."""
        if name == "naive":
            raise OptionError(f"{self.name}: naive is the specification; it cannot be removed")
        self._impls.remove(self.impl(name))
        self._memo.clear()

    @property
    def impls(self) -> tuple[str, ...]:
        """Names of the implementations, best first, naive last."""
        return tuple(impl.name for impl in self._impls)

    def impl(self, name: str) -> Impl:
        """The implementation called `name`."""
        for impl in self._impls:
            if impl.name == name:
                return impl
        raise OptionError(f"{self.name}: no implementation {name!r}; there are {list(self.impls)}")

    def select(self, call: Any, backend: str | None = None) -> Impl:
        """The implementation that runs `call`: a command, else preferences, else the best rank."""
        policy = _config.policy.get()
        if policy.stand_in is not None:
            return policy.stand_in(self, call)  # type: ignore[no-any-return]
        if backend is not None and type(backend) is not str:
            raise OptionError(f"{self.name}: backend={backend!r}; it must be a name")
        usual = policy is _config.USUAL and backend is None
        key = call if usual else (call, backend, policy.backend, policy.precision, policy.workspace)
        impl = self._memo.get(key)
        if impl is None:
            impl = self._search(call, backend)
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[key] = impl
            log.debug("%s %s -> %s", self.name, call, impl.name)
        return impl

    def _search(self, call: Any, command: str | None) -> Impl:
        for shape in call.out if self.outputs else (call.out,):
            if math.prod(max(1, n) for n in shape) >= _MOST_CELLS:  # NumPy refuses it, empty or not
                raise ShapeError(
                    f"{self.name}: the result would have shape {shape}; that is more than memory "
                    "can be numbered"
                )
        if call.empty:  # nothing to compute: the definition answers for every backend
            return self.impl("naive")
        refusals = []
        for impl in self._candidates(call, command):
            why = impl.supports(call)
            if why is None:
                return impl
            refusals.append(f"{impl.name}: {why}")
        raise UnsupportedError(f"{self.name}: backend={command!r} refused; " + "; ".join(refusals))

    def _candidates(self, call: Any, command: str | None) -> Iterator[Impl]:
        """A command alone; else what scope, then environment prefer, then all, each by rank."""
        if command is not None:
            groups = [self._named(command)]
        else:
            wishes = (_config.policy.get().backend, _config.environment.backend)
            groups = [self._named(w, strict=False) for w in wishes if w is not None]
            groups.append(self._impls)
        for group in groups:
            yield from sorted(group, key=lambda impl: impl.rank(call))

    def _named(self, name: str, *, strict: bool = True) -> list[Impl]:
        """Implementations that a backend's or an implementation's name stands for."""
        found = [i for i in self._impls if name in (i.name, i.backend)]
        if not found and strict:
            raise OptionError(
                f"{self.name}: backend={name!r} is unknown; there are "
                f"{sorted({i.backend for i in self._impls})} and {list(self.impls)}"
            )
        return found

    def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Which implementation would run this call, and why the others would not."""
        call, _, _, backend = self.front(*args, **kwargs)
        return self.explain_call(call, backend)

    def explain_call(self, call: Any, backend: str | None = None) -> Explanation:
        """`explain` for a call that is described already."""
        chosen = self.impl("naive") if call.empty else self._search(call, backend)
        rows = []
        for impl in self._impls:
            why = impl.supports(call)
            verdict = "chosen" if impl is chosen else "ok" if why is None else "refused"
            rows.append((impl.name, verdict, why or ""))
        return Explanation(self.name, call, tuple(rows))


class Explanation(NamedTuple):
    """The answer of `Op.explain`; print it to read it."""

    op: str
    call: Any
    rows: tuple[tuple[str, str, str], ...]

    @property
    def chosen(self) -> str:
        """The name of the implementation that runs."""
        return next(name for name, verdict, _ in self.rows if verdict == "chosen")

    def __str__(self) -> str:
        call = self.call
        lines = [
            f"{self.op} {call}",
            f"  result {call.out} {call.dtype}, {call.flops:.4g} FLOP, {call.bytes:.4g} bytes, "
            f"compiled code uses at most {_config.get_workspace():.4g} bytes of scratch",
        ]
        width = max(len(name) for name, _, _ in self.rows)
        lines += [f"  {name:<{width}}  {v}{': ' if why else ''}{why}" for name, v, why in self.rows]
        return "\n".join(lines)


def _check_out(op: str, out: Any, call: Any, arrays: tuple[Array | None, ...]) -> Array | None:
    """`out` if a kernel can write to it directly, None if the result has to be copied there."""
    if not isinstance(out, np.ndarray):
        raise DtypeError(f"{op}: out is {type(out).__name__}; it must be an array")
    if out.dtype.newbyteorder("=") != call.dtype:
        raise DtypeError(f"{op}: out is {out.dtype} but the result is {call.dtype}; same dtype")
    if out.shape != call.out:
        raise ShapeError(f"{op}: out has shape {out.shape}; the result has {call.out}")
    if not out.flags.writeable:
        raise ShapeError(f"{op}: out is read-only; it must be writable")
    direct = out.flags.carray and out.dtype.isnative
    if not direct and _overlaps_itself(out):
        raise ShapeError(f"{op}: out has strides {out.strides}; its elements may not share memory")
    if any(a is not None and np.may_share_memory(out, a) for a in arrays):
        return None
    return out if direct else None


def _overlaps_itself(a: Array) -> bool:
    """Whether an axis steps into what those of smaller steps cover: no slice or transpose does."""
    reach = a.itemsize
    for step, n in sorted((abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1):
        if step < reach:
            return True
        reach += step * (n - 1)
    return False


@contextmanager
def use(
    *,
    backend: str | None = None,
    threads: int | None = None,
    workspace: int | None = None,
    precision: str | None = None,
    fuse: bool | None = None,
) -> Iterator[None]:
    """Prefer a backend, number of threads, workspace bound or precision while the block runs.

    A preference may be passed over (a call that the backend refuses runs elsewhere); the
    ``backend=`` keyword of a call is a command. The scope follows threads and async tasks as any
    ContextVar does.

    Parameters
    ----------
    backend
        ``"cython"``, ``"numba"``, ``"naive"`` or the full name of an implementation.
    threads
        Threads that a call may use, 1 to 256. Results do not depend on it.
    workspace
        Bound on scratch memory in bytes, at least 1 MiB.
    precision
        ``"exact"``: every sum is added up as it is defined; ``"default"``: also algorithms that
        are about as accurate as that (convolution's Winograd F(2x2,3x3), and F(4x4,3x3) for the
        gradient of the filters); ``"fast"``: also F(4x4,3x3) for results and gradients of images,
        with about five times the error of a plain sum. A context keeps the precision that held at
        its forward.
    fuse
        False: every layer of a `fastnn.layers.Sequential` runs on its own; True, as without any
        scope: neighbours run together where that gives the same.

    Raises
    ------
    OptionError
        If a value is outside its range, or no operation knows the backend.
    DtypeError
        If `fuse` is neither True nor False.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x = np.ones((1, 1, 3, 3), np.float32)
    >>> with fastnn.use(backend="naive", threads=1):
    ...     print(fastnn.conv2d.explain(x, x).chosen)
    naive
    """
    if backend is not None:
        check_backend(backend, "use: backend")
    if threads is not None:
        _config.check_threads(threads, "use: threads")
    if workspace is not None:
        _config.check_workspace(workspace, "use: workspace")
    if precision is not None:
        _config.check_precision(precision, "use: precision")
    if fuse is not None:
        fuse = _check.flag("use", "fuse", fuse)
    with _config.scope(_config.Policy(backend, threads, workspace, precision, fuse)):
        yield


@contextmanager
def dry_run() -> Iterator[list[tuple[Op[..., Any, Any], Any]]]:
    """Describe operations instead of running them while the block runs.

    Arguments are checked as always, but in place of an implementation's numbers an operation
    gives zeros, so that layers and functions can be followed at no cost. Nothing is updated in
    place, what `out` holds is undefined, and `backward` of such a call raises StateError. A call
    whose several results are not all of its dtype says so in ``out_dtypes``.

    Returns
    -------
    list
        As the context's value: (operation, call) of every call made in the block, in order; the
        call has shapes, options, FLOP and bytes.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> with fastnn.dispatch.dry_run() as calls:
    ...     y = fastnn.relu(fastnn.linear(np.ones((1000, 300)), np.ones((200, 300))))
    >>> y.shape
    (1000, 200)
    >>> [(op.name, call.flops) for op, call in calls]
    [('linear', 120000000), ('relu', 200000)]
    """
    calls: list[tuple[Op[..., Any, Any], Any]] = []

    def stand_in(op: Op[..., Any, Any], call: Any) -> Impl:
        def forward(call: Any, *arrays: Any, out: Any, save: bool) -> tuple[Any, None]:
            if op.outputs:
                dtypes = getattr(call, "out_dtypes", None) or (call.dtype,) * len(call.out)
                return tuple(map(np.zeros, call.out, dtypes)), None
            return np.zeros(call.out, call.dtype) if out is None else out, None

        def backward(call: Any, saved: Any, dy: Any, needs: Any) -> Any:
            raise StateError(f"{op.name}: forward was a dry run; backward needs one that computed")

        calls.append((op, call))
        return Impl("dry", op=op.name, forward=forward, backward=backward)

    with _config.scope(_config.Policy(stand_in=stand_in)):
        yield calls


def check_backend(name: str, what: str) -> str:
    """`name` if it is a backend or some operation's implementation, else an error."""
    if name in BACKENDS:
        return name
    known = {impl for op in every().values() for impl in op.impls} | set(BACKENDS)
    if name not in known:
        raise OptionError(f"{what}={name!r} is unknown; known are {', '.join(sorted(known))}")
    return name


def _forget_choices() -> None:
    """A forked child asks again: what Numba can do there may differ from the parent."""
    for op in OPS.values():
        op._memo.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_choices)
