"""Every example, quick and on real data: its goals, its pictures, its bits on 1 and 2 threads."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.__main__ import main
from fastnn.errors import FileError, OptionError
from fastnn.layers import CrossEntropyLoss, Linear

FOLDER = Path(fastnn.__file__).resolve().parents[1] / "examples"
DATA = Path(os.environ.get("FASTNN_DATA") or FOLDER.parent / "../shared/data")
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))

if not NAMES:
    pytest.skip("the examples are in the source checkout only", allow_module_level=True)
sys.path.insert(0, str(FOLDER))
shared = importlib.import_module("_example")


def perform(name, out, threads):
    """One quick run, or a skip that says what is missing."""
    module = importlib.import_module(name)
    out.mkdir()
    example = shared.Example(DATA, quick=True, out=out, seed=getattr(module, "SEED", 0))
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(threads)
    try:
        module.run(example)
    except (FileError, ImportError) as error:
        pytest.skip(str(error))
    except OptionError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))
    finally:
        fastnn.set_num_threads(before)
    return example


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_example(name, tmp_path):
    first = perform(name, tmp_path / "1", 1)
    assert first.met, f"\n{first}"
    assert first.checked, "an example ends with a gradient check"
    assert any(figure.goal for figure in first.figures.values())
    assert first.pictures and all(path.stat().st_size > 1000 for path in first.pictures)
    assert first.digest != shared.Example().digest, "no weights were given"
    second = perform(name, tmp_path / "2", 2)
    assert second.digest == first.digest, "the same seed gave other bits on 2 threads"


# -- what they share -------------------------------------------------------------------------------


def test_goals_are_bounds_and_nan_meets_none():
    example = shared.Example()
    for name, value, options, met in (
        ("low", 0.5, {"at_least": 0.5}, True),
        ("lower", 0.4, {"at_least": 0.5}, False),
        ("high", 0.5, {"at_most": 0.5}, True),
        ("higher", 0.6, {"at_most": 0.5}, False),
        ("both", 0.5, {"at_least": 0.4, "at_most": 0.6}, True),
        ("beyond", 0.7, {"at_least": 0.4, "at_most": 0.6}, False),
        ("none", np.nan, {"at_most": 0.6}, False),
        ("text", "2 ms", {}, True),
    ):
        example.figure(name, value, report=1.0, **options)
        assert example.figures[name].met is met, name
    assert not example.met
    assert re.search(r"^lower +0\.4 +1 +>= 0\.5 +MISSED$", str(example), re.M)


def test_the_digest_sees_names_shapes_dtypes_and_bits():
    zeros = np.zeros((2, 3), np.float32)
    states = [{"w": zeros}, {"v": zeros}, {"w": zeros.T}, {"w": zeros.view(np.int32)},
              {"w": -zeros}, {}]  # fmt: skip
    digests = set()
    for state in states:
        example = shared.Example()
        example.weights(state)
        digests.add(example.digest)
    assert len(digests) == len(states)
    again = shared.Example()
    again.weights({"w": zeros.copy()})
    assert again.digest in digests


def test_a_wrong_gradient_misses_its_goal(capsys):
    class Halved(Linear):
        def _backward(self, context, dy, input_grad):
            return super()._backward(context, dy * 0.5, input_grad)

    example = shared.Example()
    x = np.random.default_rng(0).standard_normal((6, 4))
    example.check(Halved(4, 3, rng=0), CrossEntropyLoss(), x, np.arange(6) % 3)
    assert example.checked and not example.met
    assert "wrong" in capsys.readouterr().out


def program(monkeypatch, act):
    """A module with a docstring whose run is `act`."""
    scope = {"__file__": "toy.py", "__doc__": "A toy.\n\nMore.", "SEED": 7, "act": act}
    exec("def run(example): act(example)", scope)
    return scope["run"]


@pytest.mark.parametrize(
    ("value", "code"),
    [(1.0, 0), (3.0, 1), (FileError("no file"), 2), (KeyboardInterrupt, 130)],
)
def test_exit_codes(value, code, monkeypatch, tmp_path, capsys):
    seen = []

    def act(example):
        seen.append((example.quick, example.out, example.seed))
        if not isinstance(value, float):
            raise value
        example.figure("a", value, at_most=2)

    argv = ["--quick", "--out", str(tmp_path / "new")]
    assert shared.main(program(monkeypatch, act), argv) == code
    assert seen == [(True, tmp_path / "new", 7)]
    out, err = capsys.readouterr()
    assert ("weights: " in out) == (code < 2)
    assert ("toy: " in err) == (code >= 2)


# -- fastnn run ------------------------------------------------------------------------------------


def test_run_lists_what_there_is(capsys):
    assert main(["run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert all(len(line.split()) > 3 for line in lines), "a module without a docstring"


def test_run_passes_the_arguments_on(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "housing", "--help"])
    assert stop.value.code == 0
    assert "Boston" in capsys.readouterr().out


def test_run_errors(monkeypatch, tmp_path, capsys):
    assert main(["run", "nothing"]) == 2
    assert "'nothing' is no example; it must be one of" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fastnn, "__file__", str(tmp_path / "site" / "fastnn" / "__init__.py"))
    assert main(["run", "housing"]) == 2
    assert "part of the source" in capsys.readouterr().err
