"""The hot loop as the compiler made it: every product a fused one, nothing on the stack."""

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import fastnn

SRC = Path(fastnn.__file__).parent / "_ext" / "src"
FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
ISAS = {
    "avx2": (["-mavx2", "-mfma"], 6),
    "avx512": (["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"], 12),
}


def loops_of(assembly, function):
    """Instructions of every loop of `function` with products: the runs that jump back."""
    body = assembly.split(f"\n{function}:", 1)[1].split("\n\t.size\t", 1)[0]
    lines = [line.split("#")[0].strip() for line in body.splitlines()]
    lines = [line for line in lines if line]
    places = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for i, line in enumerate(lines):
        jump = re.match(r"j\w+\s+(\.L\w+)", line)
        if jump and places.get(jump[1], i) < i:
            loops.append(lines[places[jump[1]] : i])
    frame = r"%rsp|%rbp" if "movq\t%rsp, %rbp" in lines else "%rsp"
    loops = [[re.sub(rf"\(({frame})\b", "(stack", x) for x in loop] for loop in loops]
    return [loop for loop in loops if any("fmadd" in x for x in loop)]


def inner_loop(assembly, function):
    """The innermost loop: the shortest."""
    return min(loops_of(assembly, function), key=len)


def whole_loop(assembly, function):
    """The outermost loop: the longest."""
    return max(loops_of(assembly, function), key=len)


@pytest.fixture(scope="module", params=["gcc", "clang"])
def assembly(request):
    """Assembly of a source for an instruction set and a type, each compiled once."""
    compiler = request.param
    if not sys.platform.startswith("linux") or shutil.which(compiler) is None or not SRC.exists():
        pytest.skip(f"needs {compiler} and the C sources")

    @cache
    def compiled(source, isa, bits):
        command = [compiler, *FLAGS, *ISAS[isa][0], f"-DFASTNN_BITS={bits}", f"-DFASTNN_ISA={isa}"]
        done = subprocess.run(
            [*command, "-S", str(SRC / source), "-o", "-"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        if "unrecognized command" in done.stderr:
            pytest.skip(f"this {compiler} does not build {isa} for this CPU family")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return compiled


def fused(loop, suffix):
    return sum(bool(re.match(rf"vfn?m\w+{suffix}\b", line)) for line in loop)


def vectors_on_stack(loop):
    return [x for x in loop if "(stack" in x and re.search(r"%[xyz]mm", x)]


@pytest.mark.parametrize("bits,suffix", [(32, "ps"), (64, "pd")])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "source,tile",
    [
        ("gemm.c", "tile"),
        ("conv_direct.c", "strip"),
        ("conv_direct_filter.c", "strip"),
        ("conv_window_filter.c", "window"),
        ("conv_winograd.c", "product"),
        ("conv_winograd_filter.c", "outer"),
    ],
)
def test_the_tile_has_only_fused_products_and_no_spill(assembly, source, tile, isa, bits, suffix):
    rows = ISAS[isa][1]
    loop = inner_loop(assembly(source, isa, bits), f"{tile}_{rows}")
    assert fused(loop, suffix) == 2 * rows
    assert not [x for x in loop if re.match(rf"v(mul|add){suffix}\b", x)]
    assert not vectors_on_stack(loop)
    assert len(loop) <= 3 * rows + 9


@pytest.mark.parametrize("bits,suffix", [(32, "ps"), (64, "pd")])
@pytest.mark.parametrize("isa,most", [("avx2", 7), ("avx512", 14)])
def test_depthwise_keeps_its_outputs_in_registers(assembly, isa, most, bits, suffix):
    """The taps' loop has a way for one tap and one for two side by side."""
    loop = whole_loop(assembly("conv_depthwise.c", isa, bits), f"outputs_{most}")
    assert fused(loop, suffix) >= 2 * most  # some may have been moved before the loop's label
    assert not vectors_on_stack(loop)


@pytest.mark.parametrize("bits,suffix", [(32, "ps"), (64, "pd")])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("taps", [3, 5, 7])
def test_depthwise_planes_load_a_cell_once_for_all_rows(assembly, taps, isa, bits, suffix):
    loop = inner_loop(assembly("conv_depthwise_planes.c", isa, bits), f"rows_8_{taps}")
    assert fused(loop, suffix) == 8 * taps
    assert not vectors_on_stack(loop)
    loads = [x for x in loop if re.search(r"^v\w+\s.*\(", x)]
    assert len(loads) == 8 + taps - 1 + taps  # cells, and a column of weights


@pytest.mark.parametrize("bits,suffix", [(32, "ps"), (64, "pd")])
@pytest.mark.parametrize("isa", ISAS)
def test_four_vectors_of_pixels_for_few_filters(assembly, isa, bits, suffix):
    rows = ISAS[isa][1] // 2
    loop = inner_loop(assembly("conv_direct.c", isa, bits), f"wide_{rows}")
    assert fused(loop, suffix) == 4 * rows
    assert not vectors_on_stack(loop)
    assert len(loop) <= 6 * rows + 12
