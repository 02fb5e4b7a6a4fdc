"""Examples in docstrings run, and every public name has a docstring that says enough."""

import doctest
import importlib
import pkgutil

import pytest

import fastnn

MODULES = [
    m.name
    for m in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    if not any(part.startswith(("numba_", "cython_", "__main__")) for part in m.name.split("."))
    and not m.name.startswith("fastnn._ext._")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder()
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, name, module=module):
        runner.run(test)
    assert runner.failures == 0


def test_an_operations_docstring_says_enough(op):
    text = op.__doc__
    for section in ("Parameters", "Returns", "Raises", "Notes", "Examples", "FLOP", "::"):
        assert section in text, f"{op.name}: {section} is missing"
    for parameter in op.__signature__.parameters:
        assert parameter in text, f"{op.name}: {parameter} is not documented"
    test = doctest.DocTestParser().get_doctest(text, {}, op.name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(test).attempted > 0, f"{op.name}: no example"
    assert runner.failures == 0
