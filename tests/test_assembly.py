"""The hot loop as the compiler made it: every product a fused one, nothing on the stack."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

SRC = Path(fastnn.__file__).parent / "_ext" / "src"
FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
ISAS = {
    "avx2": (["-mavx2", "-mfma"], 6),
    "avx512": (["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"], 12),
}

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("gcc") is None or not SRC.exists(),
    reason="needs gcc and the C sources",
)


def inner_loop(assembly, function):
    """Instructions of the innermost loop of `function`: the shortest run that jumps back."""
    body = assembly.split(f"\n{function}:\n", 1)[1].split("\n\t.size\t", 1)[0]
    lines = [line.strip() for line in body.splitlines()]
    places = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for i, line in enumerate(lines):
        jump = re.match(r"j\w+\s+(\.L\w+)", line)
        if jump and places.get(jump[1], i) < i:
            loops.append(lines[places[jump[1]] : i])
    return min((loop for loop in loops if any("fmadd" in x for x in loop)), key=len)


def check_tile(source, function, products, isa, bits, suffix):
    """The innermost loop of `function`: so many fused products, one broadcast per two or four."""
    flags, _ = ISAS[isa]
    command = ["gcc", *FLAGS, *flags, f"-DFASTNN_BITS={bits}", f"-DFASTNN_ISA={isa}", "-S"]
    done = subprocess.run(
        [*command, str(SRC / source), "-o", "-"], capture_output=True, text=True, timeout=120
    )
    if "unrecognized command" in done.stderr:
        pytest.skip(f"this gcc does not build {isa} for this CPU family")
    assert done.returncode == 0, done.stderr
    loop = inner_loop(done.stdout, function)
    assert sum(bool(re.match(rf"vfn?m\w+{suffix}\b", x)) for x in loop) == products
    assert not [x for x in loop if re.match(rf"v(mul|add|mov\w*){suffix}\b", x) and "rsp" in x]
    assert not [x for x in loop if "(%rsp)" in x or "(%rbp)" in x]
    assert len(loop) <= products * 3 // 2 + 12


@pytest.mark.parametrize("bits,suffix", [(32, "ps"), (64, "pd")])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "source,tile",
    [
        ("gemm.c", "tile"),
        ("conv_direct.c", "strip"),
        ("conv_winograd.c", "product"),
        ("conv_winograd_filter.c", "outer"),
    ],
)
def test_the_tile_has_only_fused_products_and_no_spill(source, tile, isa, bits, suffix):
    check_tile(source, f"{tile}_{ISAS[isa][1]}", 2 * ISAS[isa][1], isa, bits, suffix)


@pytest.mark.parametrize("bits,suffix", [(32, "ps"), (64, "pd")])
@pytest.mark.parametrize("isa", ISAS)
def test_four_vectors_of_pixels_for_few_filters(isa, bits, suffix):
    rows = ISAS[isa][1] // 2
    check_tile("conv_direct.c", f"wide_{rows}", 4 * rows, isa, bits, suffix)
