"""Settings: parsed once, strictly; thread counts from every source."""

import os
import subprocess
import sys

import pytest

import fastnn
from fastnn import _config

PARSE = _config.parse_environment


def test_environment_is_read():
    found = PARSE({"FASTNN_NUM_THREADS": "3", "FASTNN_WORKSPACE": "8M", "FASTNN_ISA": "avx2"})
    assert found == (None, "avx2", 3, 8 << 20, 256 << 20, None)
    assert PARSE({"FASTNN_CACHE": "0"}).cache == 0
    assert PARSE({"FASTNN_PRECISION": "exact"}).precision == "exact"
    assert PARSE({"HOME": "/", "FASTNN_NUM_THREADS": ""}) == PARSE({})
    assert PARSE({}) == (None, None, None, None, 256 << 20, None)


@pytest.mark.parametrize(
    "variable,value,match",
    [
        ("FASTNN_NUM_THREAD", "3", "FASTNN_NUM_THREAD is not a setting; known are"),
        ("FASTNN_NUM_THREADS", "two", "FASTNN_NUM_THREADS=two"),
        ("FASTNN_NUM_THREADS", "0", "FASTNN_NUM_THREADS=0.*from 1 to 256"),
        ("FASTNN_NUM_THREADS", "-1", "whole number"),
        ("FASTNN_NUM_THREADS", "1000", "from 1 to 256"),
        ("FASTNN_ISA", "sse9", "FASTNN_ISA=sse9; it must be baseline"),
        ("FASTNN_WORKSPACE", "12Q", "FASTNN_WORKSPACE=12Q"),
        ("FASTNN_CACHE", "-1", "FASTNN_CACHE=-1"),
        ("FASTNN_WORKSPACE", "1K", "at least 1048576"),
        ("FASTNN_PRECISION", "Fast", "FASTNN_PRECISION='Fast'.*exact, default, fast"),
    ],
)
def test_environment_is_strict(variable, value, match):
    with pytest.raises(fastnn.OptionError, match=match):
        PARSE({variable: value})


def fresh(code, **environment):
    """Run `code` in a new interpreter."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FASTNN_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_wrong_setting_stops_the_import():
    for name, value in (("FASTNN_BACKEND", "cuda"), ("FASTNN_TREADS", "1"), ("FASTNN_ISA", "v9")):
        done = fresh("import fastnn", **{name: value})
        assert done.returncode != 0 and name in done.stderr and "OptionError" in done.stderr


def test_the_environments_backend_is_a_preference():
    code = (
        "import fastnn, numpy as np; x = np.ones((1, 1, 2, 2), 'f4'); "
        "print(fastnn.conv2d.explain(x, x).chosen)"
    )
    done = fresh(code, FASTNN_BACKEND="naive")
    assert done.stdout.strip() == "naive", done.stderr


def test_the_environments_threads():
    done = fresh("import fastnn; print(fastnn.get_num_threads())", FASTNN_NUM_THREADS="5")
    assert done.stdout.strip() == "5", done.stderr


def test_affinity_bounds_the_default():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity masks")
    one = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{one}}}); "
        "import fastnn; print(fastnn.get_num_threads())"
    )
    assert fresh(code).stdout.strip() == "1"


@pytest.mark.parametrize(
    "text,cpus", [("max 100000", None), ("150000 100000", 2), ("50000 100000", 1), ("x", None)]
)
def test_cgroup_quota_is_rounded_up(monkeypatch, text, cpus):
    from pathlib import Path

    def read_text(self):
        if str(self) == "/sys/fs/cgroup/cpu.max":
            return text
        raise OSError

    monkeypatch.setattr(Path, "read_text", read_text)
    assert _config._cgroup_quota() == cpus


def test_set_num_threads_is_checked():
    for wrong in (0, -1, 257, 2.0, True, "2", None):
        with pytest.raises(fastnn.OptionError, match="threads="):
            fastnn.set_num_threads(wrong)
