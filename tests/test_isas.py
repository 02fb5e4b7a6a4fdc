"""Every compiled implementation against naive on the other instruction sets that this CPU has.

The rest of the tests run the widest; vectors of two numbers have edges of their own.
"""

import os
import subprocess
import sys

import pytest

_core = pytest.importorskip("fastnn._ext._core", reason="no compiled extension")


@pytest.mark.parametrize("isa", [isa for isa in _core.available_isas if isa != _core.isa])
def test_agrees_with_naive(op, isa):
    if not any(impl.startswith("cython:") for impl in op.impls):
        pytest.skip(f"{op.name} has no compiled implementation")
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "selftest", "--op", op.name, "--backend", "cython"],
        env=os.environ | {"FASTNN_ISA": isa},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
