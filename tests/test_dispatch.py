"""Dispatch, on a toy operation of its own: commands, preferences, reasons, memo, logging."""

import contextvars
import logging
from typing import NamedTuple

import numpy as np
import pytest

import fastnn
from fastnn import dispatch
from fastnn._cases import case, shape
from fastnn.dispatch import Described, Impl, Op


class ToyCall(NamedTuple):
    dtype: str
    n: int

    @property
    def out(self):
        return (self.n,)

    @property
    def empty(self):
        return self.n == 0

    flops = bytes = 1


class ToyGrads(NamedTuple):
    x: object


def _toy(x, *, out=None, backend=None):
    """Double x."""
    return Described(ToyCall(x.dtype.name, len(x)), (x,), out, backend)


def _cases():
    yield case("core", x=shape(3))


class Counter:
    """An implementation that counts what it is asked."""

    def __init__(self, name, *, supports=None, rank=1.0):
        self.calls = self.asked = 0
        self.reason, self.cost = supports, rank
        self.impl = Impl(
            name,
            op="toy",
            forward=self.forward,
            backward=lambda call, saved, dy, needs: (2 * dy,),
            supports=self.supports,
            rank=lambda call: self.cost,
        )

    def forward(self, call, x, *, out, save):
        self.calls += 1
        return 2 * x, None

    def supports(self, call):
        self.asked += 1
        return self.reason


@pytest.fixture
def toy():
    op = Op(
        _toy,
        returns=np.ndarray,
        grads=ToyGrads,
        impls=[],
        cases=_cases,
        errors=list,
        terms=lambda call: 1,
    )
    op._impls.append(Counter("naive", rank=1e4).impl)
    yield op
    del dispatch.OPS["toy"]


X = np.ones(3)


def test_what_can_be_no_implementation_and_no_operation():
    with pytest.raises(fastnn.OptionError, match="forward and backward must be given"):
        Impl("mine:half", op="relu", forward=lambda *a, **k: None)
    with pytest.raises(fastnn.OptionError, match="of this name is registered already"):
        Op(fastnn.relu.front, returns=np.ndarray, grads=fastnn.relu.grads, impls=["naive"],
           cases=fastnn.relu.cases, errors=fastnn.relu.errors, terms=fastnn.relu.terms)  # fmt: skip
    assert repr(fastnn.relu.impl("naive")) == "<relu naive>"


@pytest.mark.skipif(dispatch.unavailable("cython") is not None, reason="needs compiled code")
def test_implementations_of_the_package_have_ranks_of_their_own():
    """Else the first of the list would be chosen, and nothing but speed would tell."""
    call = fastnn.conv2d.front(np.ones((3, 2, 6, 7)), np.ones((4, 2, 3, 3)), padding=1).call
    impls = map(fastnn.conv2d.impl, fastnn.conv2d.impls)
    assert len({impl.rank(call) for impl in impls if impl.backend == "cython"}) > 1


def test_best_rank_that_supports_wins(toy):
    slow, fast = Counter("cython:slow", rank=3), Counter("cython:fast", rank=2)
    best = Counter("cython:best", rank=1, supports="n=3, only 4")
    for c in (slow, fast, best):
        toy.register(c.impl)
    toy(X)
    assert (slow.calls, fast.calls, best.calls) == (0, 1, 0)
    assert toy.impls == ("cython:slow", "cython:fast", "cython:best", "naive")


def test_a_command_runs_there_or_raises_with_the_reason(toy):
    picky = Counter("numba:picky", supports="n=3, only 4")
    toy.register(picky.impl)
    with pytest.raises(fastnn.UnsupportedError, match=r"numba:picky: n=3, only 4") as caught:
        toy(X, backend="numba")
    assert isinstance(caught.value, NotImplementedError)
    with pytest.raises(fastnn.OptionError, match="'gpu' is unknown"):
        toy(X, backend="gpu")
    toy(X, backend="naive")
    assert picky.calls == 0


def test_a_preference_may_be_passed_over(toy):
    good, picky = Counter("cython:good"), Counter("numba:picky", supports="never")
    toy.register(good.impl)
    toy.register(picky.impl)
    with fastnn.use(backend="numba"):
        toy(X)
    assert good.calls == 1
    picky.reason = None
    toy._memo.clear()
    with fastnn.use(backend="numba"):
        toy(X)
        toy(X, backend="cython")
    toy(X)
    assert (good.calls, picky.calls) == (3, 1)


def test_scopes_nest_and_follow_the_context(toy):
    other = Counter("cython:other")
    toy.register(other.impl)
    with fastnn.use(backend="naive"):
        inner = contextvars.copy_context()
        with fastnn.use(backend="cython", threads=2):
            assert toy.explain(X).chosen == "cython:other"
            assert fastnn.get_num_threads() == 2
        assert toy.explain(X).chosen == "naive"
    assert toy.explain(X).chosen == "cython:other"
    assert inner.run(lambda: toy.explain(X).chosen) == "naive"


def test_choice_is_remembered_until_something_registers(toy):
    first = Counter("cython:first")
    toy.register(first.impl)
    toy(X)
    asked = first.asked
    toy(X)
    assert first.asked == asked
    better = Counter("cython:better", rank=0.5)
    toy.register(better.impl)
    toy(X)
    assert (first.calls, better.calls) == (2, 1)
    toy.unregister("cython:better")
    toy(X)
    assert first.calls == 3


def test_memo_is_bounded(toy, monkeypatch):
    monkeypatch.setattr(dispatch, "_MEMO_LIMIT", 10)
    for n in range(1, 40):
        toy(np.ones(n))
    assert len(toy._memo) <= 10


def test_names_are_unique_and_naive_stays(toy):
    toy.register(Counter("cython:one").impl)
    with pytest.raises(fastnn.OptionError, match="registered already"):
        toy.register(Counter("cython:one").impl)
    with pytest.raises(fastnn.OptionError, match="cannot be removed"):
        toy.unregister("naive")
    with pytest.raises(fastnn.OptionError, match="no implementation 'cython:two'"):
        toy.unregister("cython:two")


def test_explain_gives_every_reason(toy):
    toy.register(Counter("cython:picky", supports="n=3, only 4").impl)
    text = str(toy.explain(X))
    assert "cython:picky  refused: n=3, only 4" in text
    assert "naive         chosen" in text


def test_choice_is_logged_once(toy, caplog):
    with caplog.at_level(logging.DEBUG, logger="fastnn.dispatch"):
        toy(X)
        toy(X)
    assert [r.getMessage() for r in caplog.records] == [
        "toy ToyCall(dtype='float64', n=3) -> naive"
    ]


def test_a_missing_backend_keeps_its_names_and_says_why(op, monkeypatch):
    reasons = {"numba": "numba is not installed"}
    monkeypatch.setattr(dispatch, "unavailable", reasons.get)
    impl = next(i for i in op.impls if i.startswith("numba"))
    case = next(c for c in op.cases() if c.kind == "core")
    call = op.front(**fastnn.testing.draw(op, case, "float32"))[0]
    assert op.impl(impl).supports(call) == "numba is not installed"
    with pytest.raises(fastnn.UnsupportedError, match="numba is not installed"):
        op._search(call, "numba")


def test_every_implementation_is_a_file_of_its_name(op):
    import importlib
    from pathlib import Path

    family = Path(importlib.import_module(op.front.__module__).__file__).parent
    for name in op.impls:
        assert (family / f"{name.replace(':', '_')}.py").exists()
    assert op.impls[-1] == "naive"


def test_help_and_signature_are_the_true_ones():
    import inspect
    import pydoc

    parameters = inspect.signature(fastnn.conv2d).parameters
    assert list(parameters)[:4] == ["x", "w", "b", "stride"]
    text = pydoc.plain(pydoc.render_doc(fastnn.conv2d))
    assert "conv2d(x, w, b=None, *, stride=1" in text and "Parameters" in text


def test_use_checks_before_it_changes_anything():
    for wrong in (
        {"backend": "cuda"},
        {"threads": 0},
        {"threads": True},
        {"workspace": 10},
        {"precision": "exakt"},
    ):
        with pytest.raises(fastnn.OptionError), fastnn.use(**wrong):
            raise AssertionError("the block must not run")
    assert fastnn._config.policy.get() == fastnn._config.Policy()
