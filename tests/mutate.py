"""Mutation testing: seeded wrong operators and indices in the package; how many do the tests find?

    python tests/mutate.py --python 60 --c 40 --seed 0 [--json FILE]

Works on a copy of the checkout, which must be built in place and importable. A mutant is one
changed token in dispatch, validation, a front, naive backward code or a C kernel; killed if the
slice of the tests that concerns its file fails, or if it no longer builds. Survivors are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from fastnn import dispatch

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120  # for the tests of one mutant: one that hangs is found, too

# A token and what it may become. Blanks around keep prefixes, arrows and pointers out.
SWAPS = {
    " + ": [" - "],
    " - ": [" + "],
    " * ": [" + "],
    " // ": [" * "],
    " / ": [" * "],
    " < ": [" <= ", " > "],
    " <= ": [" < "],
    " > ": [" >= ", " < "],
    " >= ": [" > "],
    " == ": [" != "],
    " != ": [" == "],
    " += ": [" -= ", " = "],
    " -= ": [" += "],
    " and ": [" or "],
    " or ": [" and "],
    " && ": [" || "],
    " || ": [" && "],
    " is None": [" is not None"],
    " is not None": [" is None"],
    " not in ": [" in "],
    " ? ": [" ? 0 * "],
    "[0]": ["[1]"],
    "[1]": ["[0]"],
    "axis=0": ["axis=1"],
    "axis=1": ["axis=0"],
    "True": ["False"],
    "False": ["True"],
    "return -": ["return "],
    "min(": ["max("],
    "max(": ["min("],
}
# Not mutants: what tells the tests about an operation, and assertions of what cannot be.
DECLARED = re.compile(r'^ *"?(?:exact|smooth)"?[=:].*|\b(?:strict|smooth)=\w+')
TOKEN = re.compile("|".join(re.escape(t) for t in sorted(SWAPS, key=len, reverse=True)))


class Mutant(NamedTuple):
    """One change: in `path` line `line`, `old` becomes `new`."""

    path: str
    line: int
    column: int
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column} {self.old.strip()} -> {self.new.strip()}"


FRONT = ("tests/test_errors.py", "tests/test_sizes.py", "tests/test_fronts.py")
FAMILIES = ("conv", "pool", "norm", "activation", "softmax", "loss", "recurrent", "values")
KNOWN = tuple(f"tests/test_known_{family}.py" for family in FAMILIES)
NUMBERS = ("tests/test_conformance.py", "tests/test_naive.py", "tests/test_properties.py")
# One operation per kind of arguments: options, labels, arrays that are updated, several results.
SOME = [
    f"--op={name}" for name in ("relu", "conv2d", "batch_norm", "lstm", "softmax_cross_entropy")
]
OWN = {  # tests of files that are no operation's
    "fastnn/dispatch.py": ("tests/test_dispatch.py", "tests/test_config.py", *FRONT, NUMBERS[2],
                           "tests/test_mutants.py",
                           *SOME, "-k", "not big"),
    "fastnn/_check.py": (*FRONT, "tests/test_dispatch.py", *KNOWN),
    "fastnn/_config.py": ("tests/test_config.py", "tests/test_dispatch.py",
                          "tests/test_threads.py"),
}  # fmt: skip
# Which operations a C source is seen through.
KERNELS = {
    "conv_im2col": "conv2d or conv1d", "conv_depthwise": "conv2d or conv1d",
    "conv_direct_filter": "conv2d or conv1d or winograd", "conv_winograd_filter": "conv2d",
    "conv_winograd": "conv2d", "conv_direct": "conv2d or conv1d", "pool": "pool",
    "avgpool": "avg_pool", "adaptmax": "adaptive_max", "norm": "batch_norm",
    "rownorm": "layer_norm or group_norm or rms_norm", "softmax": "softmax",
    "xent": "cross_entropy",
    "pointloss": "loss or kl_div or binary_cross", "recurrent_gradients": "lstm or gru or rnn",
    "recurrent": "lstm or gru or rnn", "embedding": "embedding", "resample": "interpolate",
    "pad": "pad", "prelu": "prelu", "margin": "margin", "sparsity": "sparsity",
    "dropout": "dropout", "pointwise": "relu or elu or silu or gelu or softplus or hardswish",
}  # fmt: skip


def places(path: str, tests: tuple[str, ...], only: str = "") -> list[Mutant]:
    """Every token of a file that can be changed, outside comments, docstrings and messages."""
    text = (ROOT / path).read_text()
    if path.endswith(".py"):
        blank = _without_strings_python(text)
    else:
        blank = re.sub(r'"[^"\n]*"|/\*.*?\*/|//[^\n]*|#[^\n]*', _blanks, text, flags=re.S)
    found = []
    inside = not only
    for number, line in enumerate(blank.split("\n"), 1):
        if only and re.match(r"(?:@|def |static |void |cdef |FN)", line):
            inside = re.search(only, line) is not None
        line = DECLARED.sub(_blanks, line)
        if not inside or line.lstrip().startswith(
            ("import", "from", "def ", "#include", "cdef ext")
        ):
            continue
        for match in TOKEN.finditer(line):
            for new in SWAPS[match[0]]:
                found.append(Mutant(path, number, match.start(), match[0], new, tests))
    return found


def _blanks(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _without_strings_python(text: str) -> str:
    import io
    import tokenize

    lines = [list(line) for line in text.split("\n")]
    hidden = {tokenize.STRING, tokenize.COMMENT}
    hidden |= {getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in hidden:
            (row, start), (last, end) = token.start, token.end
            for r in range(row, last + 1):
                stop = end if r == last else len(lines[r - 1])
                for c in range(start if r == row else 0, min(stop, len(lines[r - 1]))):
                    lines[r - 1][c] = " "
    return "\n".join("".join(line) for line in lines)


def python_mutants() -> dict[str, list[Mutant]]:
    """By kind: dispatch and validation, fronts, naive backward code."""
    kinds: dict[str, list[Mutant]] = {"dispatch and validation": [], "fronts": [], "backward": []}
    for path, tests in OWN.items():
        kinds["dispatch and validation"] += places(path, tests)
    for family in sorted((ROOT / "fastnn/ops").iterdir()):
        if (family / "__init__.py").exists():
            names = [f"--op={name}" for name in _operations(family.name)]
            front = f"fastnn/ops/{family.name}/__init__.py"
            kinds["fronts"] += places(
                front, (*FRONT, *KNOWN, NUMBERS[0], *names, "-k", "not numba")
            )
            naive = f"fastnn/ops/{family.name}/naive.py"
            if (ROOT / naive).exists():
                kinds["backward"] += places(naive, (NUMBERS[1], *KNOWN, *names), "backward")
    return kinds


def _operations(family: str) -> list[str]:
    return [name for name, module in dispatch._announced.items() if module.endswith(f".{family}")]


def c_mutants() -> list[Mutant]:
    """Kernels of backward passes, and those that are alike for both."""
    found = []
    for name, ops in KERNELS.items():
        path = f"fastnn/_ext/src/{name}.c"
        if (ROOT / path).exists():
            files = (NUMBERS[0], NUMBERS[2], "tests/test_guard_pages.py", *KNOWN)
            parts = ops.split(" or ")
            names = [f"--op={n}" for n in dispatch._announced if any(part in n for part in parts)]
            found += places(path, (*files, *names, "-k", f"({ops}) and not numba"))
    return found


def sample(mutants: list[Mutant], count: int, rng: random.Random) -> list[Mutant]:
    """`count` of them, from different files as far as possible."""
    by_file: dict[str, list[Mutant]] = {}
    for mutant in rng.sample(mutants, len(mutants)):
        by_file.setdefault(mutant.path, []).append(mutant)
    rounds = [m for group in by_file.values() for m in enumerate(group)]
    return [m for _, m in sorted(rounds, key=lambda pair: pair[0])][:count]


class Tree:
    """A copy of the checkout in which one file at a time is changed."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="mutants-"))
        self.said = ""
        for part in ("fastnn", "tests", "build", "pyproject.toml", "setup.py"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(
                    source, self.root / part, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy2(source, self.root / part)

    def run(self, mutant: Mutant) -> str:
        """ "killed", "killed (build)", "killed (time)" or "survived"."""
        path = self.root / mutant.path
        right = path.read_text()
        lines = right.split("\n")
        line = lines[mutant.line - 1]
        end = mutant.column + len(mutant.old)
        lines[mutant.line - 1] = line[: mutant.column] + mutant.new + line[end:]
        path.write_text("\n".join(lines))
        try:
            if mutant.path.endswith(".c") and not self.build(path):
                return "killed (build)"
            return self.test(mutant.tests)
        finally:
            path.write_text(right)
            if mutant.path.endswith(".c"):
                self.build(path)

    def build(self, source: Path) -> bool:
        """Compile one kernel for the best instruction set of the machine and link `_core`."""
        kernels = next((self.root / "build").glob("temp*/kernels-*"))
        isa = self.isa()
        flags = {"baseline": [], "avx2": ["-mavx2", "-mfma"]}.get(
            isa, ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"]
        )
        common = ["gcc", "-fPIC", "-std=gnu11", "-O2", "-fno-math-errno", "-fno-trapping-math",
                  "-ffp-contract=fast", "-fvisibility=hidden", "-w", *flags]  # fmt: skip
        for bits in (32, 64):
            target = kernels / f"{source.name}.{isa}.{bits}.o"
            command = [*common, f"-DFASTNN_BITS={bits}", f"-DFASTNN_ISA={isa}", "-c", str(source)]
            if subprocess.run([*command, "-o", str(target)], capture_output=True).returncode:
                return False
        door = next((self.root / "build").glob("temp*/**/_core.o"))
        library = self.root / "fastnn/_ext" / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
        objects = [str(door), *map(str, sorted(kernels.glob("*.o")))]
        link = ["gcc", "-shared", "-Wl,-s", *objects, "-lm", "-lpthread", "-o", str(library)]
        return subprocess.run(link, capture_output=True).returncode == 0

    def isa(self) -> str:
        kernels = next((self.root / "build").glob("temp*/kernels-*"))
        cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        for isa, flag in (("avx512", "avx512vl"), ("avx2", "avx2")):
            if flag in cpu and list(kernels.glob(f"*.{isa}.32.o")):
                return isa
        return "baseline"

    def test(self, tests: tuple[str, ...]) -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider",
                   "-o", "filterwarnings=default", "--no-header", *tests]  # fmt: skip
        paths = os.pathsep.join((str(self.root), str(self.root / "tests"),
                                 os.environ.get("PYTHONPATH", "")))  # fmt: skip
        env = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=self.root, env=env, capture_output=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return "killed (time)"
        self.said = done.stdout.decode()
        return "survived" if done.returncode == 0 else "killed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", type=int, default=60, help="mutants of Python code")
    parser.add_argument("--c", type=int, default=40, help="mutants of C code")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=3600, help="start no mutant after these")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    kinds = python_mutants()
    chosen = [
        (kind, m)
        for kind, mutants in kinds.items()
        for m in sample(mutants, args.python // len(kinds), rng)
    ]
    chosen += [("C kernels", m) for m in sample(c_mutants(), args.c, rng)]
    rng.shuffle(chosen)
    tree = Tree()
    for kind in {kind for kind, _ in chosen}:  # what fails as it is would kill everything
        tests = next(m.tests for k, m in chosen if k == kind)
        if tree.test(tests) != "survived":
            said = f"mutate: the tests of the unchanged tree fail: {' '.join(tests)}"
            raise SystemExit(f"{tree.said[-3000:]}\n{said}")
    start = time.monotonic()
    results: dict[str, dict[str, int]] = {}
    survivors = []
    for kind, mutant in chosen:
        if time.monotonic() - start > args.seconds:
            break
        outcome = tree.run(mutant)
        counts = results.setdefault(kind, {})
        counts[outcome] = counts.get(outcome, 0) + 1
        if outcome == "survived":
            survivors.append(f"{kind}: {mutant}")
        print(f"{outcome:15} {kind}: {mutant}", flush=True)
    shutil.rmtree(tree.root)
    for kind, counts in results.items():
        total = sum(counts.values())
        dead = total - counts.get("survived", 0)
        print(f"{kind}: {dead} of {total} killed, {100 * dead / total:.0f} %")
    if args.json:
        args.json.write_text(json.dumps({"results": results, "survivors": survivors}, indent=2))


if __name__ == "__main__":
    main()
