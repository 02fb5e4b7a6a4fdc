"""The commands through `main`: what they print, write and answer. No timing is asserted."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _ext, _files
from fastnn.__main__ import COMMANDS, main
from fastnn._cases import case, shape
from fastnn._cli import bench, demo, measure, table, timing, workload
from fastnn.dispatch import Impl

PICTURES = {"learning-curves.png", "filters.png", "confusion.png", "speedups.png"}


def wrong_relu(call, x, *, out, save):
    return np.maximum(x, 0) + 1, x


def zero_gradient(call, saved, dy, needs):
    return (np.zeros_like(dy),)


@pytest.fixture(params=["toy:broken"])
def broken(request):
    """An implementation of relu that computes something else, the only one of its backend."""
    impl = Impl(request.param, op="relu", forward=wrong_relu, backward=zero_gradient)
    fastnn.relu.register(impl)
    registered = fastnn.relu._impls  # a test may put another list in its place
    yield impl.name
    registered.remove(impl)
    fastnn.relu._memo.clear()


@pytest.fixture
def toy(monkeypatch):
    """One tiny benchmark case of relu beside its own core cases."""
    core = [c for c in fastnn.relu.cases() if c.kind == "core"]
    tiny = case("bench", name="toy", source="this test", x=shape(6, 5))
    monkeypatch.setattr(fastnn.relu, "cases", lambda: iter([*core, tiny]))
    return tiny


def error_line(capsys):
    """The one line on standard error."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


# -- the entry -------------------------------------------------------------------------------------


def test_no_command_is_an_error_of_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_interruption_is_one_line(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(fastnn._info, "show_config", interrupt)
    assert main(["info"]) == 130
    assert error_line(capsys) == "fastnn: interrupted\n"


def test_module_runs_as_a_script():
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "info"], check=True, capture_output=True, text=True
    )
    assert f"NumPy     {np.__version__}" in done.stdout


# -- info ------------------------------------------------------------------------------------------


def test_info(capsys):
    with fastnn.use(threads=3):
        assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^fastnn    0\.", text)
    assert "threads   3, from fastnn.use" in text


def test_info_as_json(capsys):
    assert main(["info", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert config["numpy"] == np.__version__
    assert config["compiled"]["isa"] in (None, "baseline", "avx2", "avx512")


def test_info_is_loud_about_a_missing_extension(monkeypatch, capsys):
    monkeypatch.setattr(_ext, "missing", "it was not built")
    assert main(["info"]) == 0
    assert "!!! MISSING: it was not built" in capsys.readouterr().out


# -- selftest --------------------------------------------------------------------------------------


def test_selftest_passes(capsys):
    assert main(["selftest", "--op", "linear"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["operation", "implementation", "dtype"]
    assert lines[-1].startswith("passed: ")


def test_selftest_as_json(capsys):
    assert main(["selftest", "--op", "linear", "--backend", "numba", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["dtype"] for row in rows} <= {"float32", "float64"}
    assert all(row["impl"].startswith("numba") and not row["failures"] for row in rows)


def test_selftest_fails_with_a_reproducer(broken, capsys):
    assert main(["selftest", "--op", "relu", "--backend", broken]) == 1
    failure = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("FAILED"))
    code = re.search(r'python -c "(.*)"$', failure)[1]
    exec(code, {})
    assert "passed=False" in capsys.readouterr().out


def test_selftest_fails_if_a_core_case_is_refused(monkeypatch, broken, capsys):
    impl = fastnn.relu.impl(broken)
    monkeypatch.setattr(impl, "supports", lambda call: "never on Mondays")
    assert main(["selftest", "--op", "relu", "--backend", broken]) == 1
    text = capsys.readouterr().out
    assert "refused: relu toy:broken: never on Mondays" in text
    assert "refused a core case, never on Mondays" in text


def test_selftest_reports_a_crash_and_goes_on(monkeypatch, broken, capsys):
    def crash(*args, **kwargs):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("fastnn._cli.selftest.testing.compare", crash)
    assert main(["selftest", "--op", "relu", "--backend", broken]) == 1
    assert "ZeroDivisionError: on purpose" in capsys.readouterr().out


def test_selftest_does_not_fail_for_a_missing_backend(monkeypatch, capsys):
    monkeypatch.setattr(_ext, "missing", "it was not built")
    monkeypatch.delenv("FASTNN_REQUIRE", raising=False)
    assert main(["selftest", "--op", "relu", "--backend", "cython"]) == 0
    assert capsys.readouterr().out == "!!! cython WAS NOT CHECKED: it was not built !!!\n"


def test_selftest_fails_for_a_missing_backend_that_is_required(monkeypatch, capsys):
    monkeypatch.setattr(_ext, "missing", "it was not built")
    monkeypatch.setenv("FASTNN_REQUIRE", "naive,cython")
    assert main(["selftest", "--op", "relu", "--backend", "cython"]) == 1
    assert "FASTNN_REQUIRE names cython" in capsys.readouterr().out


def test_selftest_knows_what_can_be_required(monkeypatch, capsys):
    monkeypatch.setenv("FASTNN_REQUIRE", "cuda")
    assert main(["selftest", "--op", "relu", "--backend", "cython"]) == 2
    assert "'cuda'" in error_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--backend", "cuda"], "'cuda' is unknown"),
        (["--op", "relu", "--backend", "cython:im2col"], "leaves nothing to check"),
        (["--op", "relu", "--threads", "0"], "threads=0"),
    ],
)
def test_selftest_errors(arguments, match, capsys):
    assert main(["selftest", *arguments]) == 2
    assert match in error_line(capsys)


@pytest.mark.skipif(_ext.missing is not None, reason=str(_ext.missing))
def test_hash_is_the_same_for_any_number_of_threads(capsys):
    for threads in ("1", "2", "3", "8"):
        assert (
            main(["selftest", "--op", "softmax_cross_entropy", "--hash", "--threads", threads]) == 0
        )
    digests = capsys.readouterr().out.split()
    assert len(digests) == 4 and len(set(digests)) == 1
    assert re.fullmatch("[0-9a-f]{64}", digests[0])


def test_hash_needs_compiled_code(monkeypatch, capsys):
    monkeypatch.setattr(_ext, "missing", "it was not built")
    assert main(["selftest", "--hash"]) == 2
    assert "it was not built" in error_line(capsys)


# -- explain ---------------------------------------------------------------------------------------


def test_explain(capsys):
    arguments = ["--x", "2,3,8,8", "--w", "4,3,3,3", "--option", "stride=2"]
    assert main(["explain", "conv2d", *arguments, "--dtype", "float64"]) == 0
    text = capsys.readouterr().out
    assert "stride=(2, 2)" in text
    assert "result (2, 4, 3, 3) float64" in text
    assert text.count("chosen") == 1


def test_explain_draws_labels_that_fit(capsys):
    assert main(["explain", "softmax_cross_entropy", "--x", "4,7", "--labels", "4"]) == 0
    assert "chosen" in capsys.readouterr().out


def test_explain_takes_words_as_options(capsys):
    shapes = ["--x", "2,3,8,8", "--w", "4,3,3,3"]
    assert main(["explain", "conv2d", *shapes, "--option", "padding=same"]) == 0
    assert "result (2, 4, 8, 8)" in capsys.readouterr().out


def test_explain_without_shapes_takes_a_benchmark_case(toy, capsys):
    assert main(["explain", "relu"]) == 0
    assert "no shapes given: benchmark case toy (this test)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["conv2d", "--x", "2,3,8,8", "--w", "4,2,3,3"], "C must be 2"),
        (["relu", "--x", "2,3", "--w", "4,2"], "relu takes no array w; it takes x"),
        (["relu", "--x", "2,3", "--option", "stride=2"], "relu has no option stride"),
        (["relu", "--x", "2,3", "--option", "backend=cuda"], "'cuda' is unknown"),
        (["conv2d", "--x", "2,3,8,8"], "conv2d also needs w"),
        (["max_pool2d", "--x", "2,3,8,8"], "max_pool2d also needs kernel_size"),
    ],
)
def test_explain_errors(arguments, match, capsys):
    assert main(["explain", *arguments]) == 2
    assert match in error_line(capsys)


@pytest.mark.parametrize(
    "arguments",
    [["conv3d"], ["relu", "--x", "2,x"], ["relu", "--x", "-1"], ["relu", "--option", "a"]],
)
def test_explain_errors_of_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["explain", *arguments])
    assert stop.value.code == 2


# -- bench -----------------------------------------------------------------------------------------


def test_bench(toy, tmp_path, capsys):
    target = tmp_path / "bench.json"
    assert main(["bench", "--op", "relu", "--quick", "--threads", "2", "--json", str(target)]) == 0
    text = capsys.readouterr().out
    assert "2 threads" in text.splitlines()[0]
    assert len(re.findall(r"^relu +toy +(?:for|back)ward .*x +0$", text, re.MULTILINE)) == 2
    document = json.loads(target.read_text())
    assert document["config"]["threads"] == 2
    for row in document["rows"]:
        assert set(row["seconds"]) == set(row["implementations"])
        assert row["error"] == 0 and not row["failed"]
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


def test_bench_says_why_a_column_is_empty(toy, monkeypatch, capsys):
    monkeypatch.setattr(_ext, "missing", "it was not built")
    assert main(["bench", "--case", "toy", "--quick"]) == 0
    assert "-: cython: it was not built" in capsys.readouterr().out


def test_bench_leaves_naive_out_where_it_is_too_slow(toy, monkeypatch, capsys):
    monkeypatch.setattr(measure, "NAIVE_LIMIT", {False: 0.0, True: 0.0})
    assert main(["bench", "--case", "toy"]) == 0
    assert "-: naive: one sample takes more than 0 s" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["numba:broken"], indirect=True)  # a column of the table
def test_bench_fails_and_times_nothing_if_implementations_disagree(
    toy, broken, monkeypatch, capsys
):
    monkeypatch.setattr(
        fastnn.relu, "_impls", [fastnn.relu.impl(broken), fastnn.relu.impl("naive")]
    )
    assert main(["bench", "--case", "toy"]) == 1
    text = capsys.readouterr().out
    assert re.search(r"^relu +toy +forward +- +- +- +- +FAILED$", text, re.MULTILINE)
    assert "FAILED relu toy: implementations differ by" in text


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--case", "nothing"], "--case=nothing is unknown"),
        (["--case", "toy", "--threads", "0"], "threads=0"),
        (["--case", "toy", "--json", "{tmp}/no/such/folder.json"], "cannot be written"),
    ],
)
def test_bench_errors(toy, tmp_path, arguments, match, capsys):
    assert main(["bench", *(a.format(tmp=tmp_path) for a in arguments)]) == 2
    assert match in error_line(capsys)


def test_naive_is_timed_on_as_many_samples_as_fit(monkeypatch):
    wide = case("bench", name="wide", x=shape(5, 7), labels=shape(5))
    full = workload.Workload.of(fastnn.softmax_cross_entropy, wide, "float32")
    monkeypatch.setattr(measure, "NAIVE_TARGET", 0.0)
    part = measure.naive_part(full, 3.0)
    assert part.call.x == (1, 7)
    assert part.arguments["labels"].shape == (1,)
    monkeypatch.setattr(measure, "NAIVE_TARGET", 60.0)
    assert measure.naive_part(full, 3.0) is full


def test_naive_is_timed_on_the_whole_where_one_sample_is_no_batch():
    flat = case("bench", name="flat", x=shape(6, 4), running_mean=shape(4), running_var=shape(4))
    flat = flat._replace(options={"training": True})
    full = workload.Workload.of(fastnn.batch_norm, flat, "float32")
    assert measure.naive_part(full, 3.0) is full


def test_first_samples_leave_weights_alone():
    square = case("bench", name="square", x=shape(4, 4), w=shape(4, 4), b=shape(4))
    part = workload.Workload.of(fastnn.linear, square, "float64").first(2)
    assert part.call.x == (2, 4)
    assert part.arguments["w"].shape == (4, 4)


def test_difference_sees_nan_and_wrong_shapes(toy):
    work = workload.Workload.of(fastnn.relu, toy, "float32")
    want = work.run("naive")
    assert work.difference(want, want) == 0
    (y,) = want.outputs
    assert np.isnan(work.difference(want._replace(outputs=(y * np.nan,)), want))
    assert work.difference(want._replace(outputs=(y[:1],)), want) == np.inf
    assert work.difference(want._replace(grads={"x": None}), want) == np.inf


def test_timing_takes_turns():
    calls = []
    actions = {name: lambda name=name: calls.append(name) for name in "ab"}
    medians = timing.interleaved(actions)
    assert set(medians) == set(actions) and all(value > 0 for value in medians.values())
    turns = re.findall(r"a+b+", "".join(calls))
    assert len(turns) == 1 + timing.ROUNDS


# -- demo ------------------------------------------------------------------------------------------


@pytest.fixture
def extras():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")


@pytest.fixture
def short(toy, monkeypatch):
    """The demo with one toy comparison."""
    monkeypatch.setattr(bench, "select", lambda name=None: iter([(fastnn.relu, toy)]))


@pytest.mark.parametrize(("goal", "code"), [(0.0, 0), (1.1, 1)])
def test_demo(extras, short, tmp_path, monkeypatch, capsys, goal, code):
    monkeypatch.setattr(demo, "GOAL", goal)
    assert main(["demo", "--epochs", "1", "--out", str(tmp_path / "new")]) == code
    text = capsys.readouterr().out
    assert "epoch   1" in text and str(tmp_path) in text
    assert ("FAILED" in text) == bool(code)
    written = {path.name: path for path in (tmp_path / "new").iterdir()}
    assert set(written) == PICTURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written.values())


def test_training_reads_digits(extras):
    from fastnn._cli import training

    digits = training.load_digits()
    assert (len(digits.x), len(digits.x_held)) == (1437, 360)
    rng = np.random.default_rng(1)
    history = list(training.train(training.three_layer_net(rng), digits, 10, rng))
    assert history[-1].accuracy_held >= 0.97
    assert history[-1].loss < history[0].loss


@pytest.mark.parametrize(
    ("module", "name"), [("sklearn.datasets", "scikit-learn"), ("matplotlib", "matplotlib")]
)
def test_demo_names_a_missing_extra(extras, monkeypatch, capsys, tmp_path, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert error_line(capsys) == (
        f'fastnn: demo needs {name}; install it with: pip install "fastnn-layers[demo]"\n'
    )


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--seed", "-1"]])
def test_demo_errors(arguments, capsys):
    assert main(["demo", *arguments]) == 2
    assert "at least 1 epoch and seed 0" in error_line(capsys)


def test_demo_needs_a_folder(extras, tmp_path, capsys):
    (tmp_path / "file").write_text("here")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 2
    assert "cannot be made a folder" in error_line(capsys)


# -- small parts -----------------------------------------------------------------------------------


def test_files_are_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")

    def fail():
        with _files.replacing("test", target) as temporary:
            Path(temporary).write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_text() == "old"
    with _files.replacing("test", target) as temporary:
        Path(temporary).write_text("new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("value", "text"),
    [(3e-9, "3 ns"), (9.996e-4, "1 ms"), (2.3456, "2.35 s"), (1234.0, "1,230 s"), (5e-5, "50 us")],
)
def test_seconds(value, text):
    assert table.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12x"), (9.96, "10x"), (44.4, "44x"), (10984.0, "11,000x")]
)
def test_factor(value, text):
    assert table.factor(value) == text


def test_table():
    assert table.render(("a", "bcd"), [("xx", "1")], right=" r") == "a   bcd\n--  ---\nxx    1"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_no_error():
    """As with `fastnn info | head -1`."""
    command = subprocess.Popen(
        [sys.executable, "-m", "fastnn", "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    command.stdout.close()
    assert command.stderr.read() == b""
    assert command.wait() == 141
    command.stderr.close()
