"""Every compiled implementation against naive on the other instruction sets that this CPU has.

The rest of the tests run the widest; vectors of two numbers have edges of their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_core = pytest.importorskip("fastnn._ext._core", reason="no compiled extension")


OTHERS = [isa for isa in _core.available_isas if isa != _core.isa]


def run(isa, *command):
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=os.environ | {"FASTNN_ISA": isa},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize("isa", OTHERS)
def test_agrees_with_naive(op, isa):
    if not any(impl.startswith("cython:") for impl in op.impls):
        pytest.skip(f"{op.name} has no compiled implementation")
    run(isa, "fastnn", "selftest", "--op", op.name, "--backend", "cython")


@pytest.mark.parametrize("isa", OTHERS)
def test_touches_nothing_beside_the_arrays(isa):
    pages = Path(__file__).with_name("test_guard_pages.py")
    run(isa, "pytest", "-q", "-n0", "-p", "no:cacheprovider", str(pages))
