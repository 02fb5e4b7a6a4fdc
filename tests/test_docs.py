"""Examples in docstrings run, and every public name has a docstring that says enough."""

import doctest
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

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
    for section in ("Parameters", "Returns", "Raises", "Notes", "Examples", "bytes", "::"):
        assert section in text, f"{op.name}: {section} is missing"
    for parameter in op.__signature__.parameters:
        assert parameter in text, f"{op.name}: {parameter} is not documented"
    test = doctest.DocTestParser().get_doctest(text, {}, op.name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(test).attempted > 0, f"{op.name}: no example"
    assert runner.failures == 0


def test_the_toy_implementation_of_contributing_is_one_file_and_one_line(tmp_path):
    """A copy of the package with the file and the line added: selftest finds it and passes it."""
    root = Path(fastnn.__file__).parents[1]
    if not (root / "CONTRIBUTING.md").exists():
        pytest.skip("CONTRIBUTING.md is not installed")
    text = (root / "CONTRIBUTING.md").read_text()
    name, code = re.search(r"<!-- file: (\S+) -->\n```python\n(.*?)```", text, re.DOTALL).groups()
    shutil.copytree(root / "fastnn", tmp_path / "fastnn")
    (tmp_path / name).write_text(code)
    front = tmp_path / Path(name).parent / "__init__.py"
    before = front.read_text()
    after = before.replace(
        'impls=["cython:direct", "numba:direct", "naive"]',
        'impls=["cython:direct", "numba:direct", "numpy:maximum", "naive"]',
    )
    assert before != after
    front.write_text(after)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FASTNN_")}
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "selftest", "--op", "relu"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "numpy:maximum" in done.stdout


def test_readmes_scripts_run():
    """The two Python blocks of the README, one after the other, as a user would paste them."""
    readme = Path(fastnn.__file__).parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("README.md is not installed")
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert len(blocks) == 2
    space = {}
    for block in blocks:
        exec(block, space)
    assert space["loss"] < 1.0
