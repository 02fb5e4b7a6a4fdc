"""What an import brings along, and what an install without some part says."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent


def fresh(code):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FASTNN_")}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, timeout=120
    )


def test_import_loads_numpy_only():
    done = fresh(
        "import sys, fastnn; print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'scipy', 'numba', 'h5py', 'matplotlib', 'sklearn', 'tqdm', 'torch', 'pytest'}))"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_every_operation_is_found_by_name(op):
    assert getattr(fastnn, op.name) is op and getattr(fastnn.ops, op.name) is op
    assert op.name in fastnn.__all__ and op.name in dir(fastnn)


def test_no_folder_has_an_operations_name():
    """Else fastnn.ops.<name> would be the folder or the operation, by who came first."""
    assert not set(fastnn.ops.FAMILY) & set(fastnn.ops.FAMILY.values())


def test_an_operation_loads_its_family_only():
    done = fresh("import sys, fastnn; fastnn.relu; print('fastnn.ops.conv' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_a_first_compiled_call_does_not_load_numba():
    if fastnn.dispatch.unavailable("cython") is not None:
        pytest.skip("needs the compiled extension")
    done = fresh(
        "import sys, fastnn, numpy as np; fastnn.relu(np.ones(3)); print('numba' in sys.modules)"
    )
    assert done.stdout.strip() == "False", done.stderr


def test_without_numba_the_names_are_there_and_say_why():
    done = fresh(
        "import sys; sys.modules['numba'] = None\n"
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'numba' else real(n, *a)\n"
        "import fastnn, numpy as np; print(fastnn.relu.impls)\n"
        "try: fastnn.relu(np.ones(3), backend='numba')\n"
        "except fastnn.UnsupportedError as e: print(e)"
    )
    assert "numba:" in done.stdout and "numba is not installed" in done.stdout, done.stderr


ASK = "import fastnn\nprint(fastnn.dispatch.unavailable('numba'))"


def test_a_numba_that_is_too_old_is_refused_with_its_version(tmp_path):
    (tmp_path / "numba.py").write_text("__version__ = '0.60.2'\n")
    done = fresh(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{ASK}")
    assert done.stdout.strip() == "numba 0.60.2 is too old, it must be 0.61", done.stderr


def test_a_numba_that_does_not_import_is_refused_with_its_error(tmp_path):
    (tmp_path / "numba.py").write_text("raise SystemError('needs NumPy 1')\n")
    done = fresh(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{ASK}")
    assert done.stdout.strip() == "numba does not import (needs NumPy 1)", done.stderr


@pytest.mark.skipif(os.name != "posix", reason="modes as on POSIX")
def test_a_cache_folder_of_everybody_is_refused(tmp_path, monkeypatch):
    """Whoever can write there can have his pickles loaded."""
    pytest.importorskip("numba")
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(shared))
    shared.chmod(0o1777)
    assert "can be written by other users" in fresh(ASK).stdout
    shared.chmod(0o700)
    assert fresh(ASK).stdout.strip() == "None"


def test_without_the_extension_the_rest_works_and_says_so():
    done = fresh(
        "import sys; sys.modules['fastnn._ext._core'] = None\n"
        "import fastnn, numpy as np; print(fastnn.relu(np.ones(1))); fastnn.show_config()\n"
        "try: fastnn.relu(np.ones(3), backend='cython')\n"
        "except fastnn.UnsupportedError as e: print(e)"
    )
    assert done.returncode == 0, done.stderr
    assert "[1.]" in done.stdout and "the compiled extension is not there" in done.stdout


def _imports(path):
    """Absolute names of the fastnn modules that a file imports at its top level."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fastnn"):
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("fastnn"))


@pytest.mark.parametrize(
    "room,forbidden",
    [
        ("_ext", ("ops", "layers", "optim", "train", "io", "testing", "dispatch", "_cli")),
        ("ops", ("layers", "optim", "train", "io", "testing", "_cli", "__main__")),
        ("layers", ("optim", "train", "compat", "testing", "_cli", "__main__")),
        ("compat", ("layers", "optim", "train", "testing", "_cli", "__main__")),
        ("testing", ("layers", "optim", "train", "_cli", "__main__")),
    ],
)
def test_imports_point_one_way(room, forbidden):
    for path in (PACKAGE / room).rglob("*.py"):
        for name in _imports(path):
            parts = name.split(".")
            assert len(parts) < 2 or parts[1] not in forbidden, f"{path} imports {name}"


def test_dispatch_knows_no_operation():
    for name in ("dispatch.py", "_check.py", "_cases.py", "_config.py", "_jit.py"):
        assert not [m for m in _imports(PACKAGE / name) if m.startswith("fastnn.ops")]


def test_version_is_the_distributions():
    from importlib.metadata import version

    assert version("fastnn-layers") == fastnn.__version__
