"""The compiled part: C kernels built once per instruction set, and their Cython doors.

Everything else about the package is in pyproject.toml. A compiler that fails stops the install;
FASTNN_NO_EXT=1 is the only way to a pure-Python one.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup

EXT = Path("fastnn/_ext")
SRC = EXT / "src"
# Each .pyx is a door, an extension of its own; `_core` is first, for it holds all kernels.
DOORS = sorted((path.stem for path in EXT.glob("*.pyx")), key=lambda name: (name != "_core", name))

# Compiled once; all other sources once per instruction set and element type.
COMMON = ["threads.c", "blocks.c", "isa.c"]
KERNELS = sorted(path.name for path in SRC.glob("*.c") if path.name not in COMMON)

FLAGS = [
    "-std=gnu11",
    "-O3",
    "-g0",
    "-fno-math-errno",
    "-fno-trapping-math",  # lets comparisons become vector selects
    "-ffp-contract=fast",  # a*b + c becomes one FMA where the CPU has it
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",  # vectors wider than the baseline's never cross a file
]
ISAS = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"],
}


# For finding errors, see CONTRIBUTING: FASTNN_SANITIZE=address,undefined or thread.
SANITIZE = os.environ.get("FASTNN_SANITIZE", "")
SANITIZER = [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-O1", "-g"] if SANITIZE else []


def accepts(compiler, flags):
    """Whether the compiler takes `flags`; it decides which instruction sets are built."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("int probe;\n")
        command = [*compiler, *flags, "-c", str(source), "-o", str(Path(folder, "probe.o"))]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


def instruction_sets(compiler):
    """What to build: the baseline, and on x86-64 the instruction sets that the compiler knows."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ["baseline"]
    found = ["baseline"]
    for isa, flags in list(ISAS.items())[1:]:
        if not accepts(compiler, flags):
            print(f"fastnn: {compiler[0]} does not take {' '.join(flags)}: {isa} is left out")
            break
        found.append(isa)
    return found


def define_build_ext():
    """`build_ext` with the kernels' objects; imported late, for a pure install needs none of it."""
    from setuptools.command.build_ext import build_ext  # Cython's, where Cython is installed

    class BuildKernels(build_ext):
        def finalize_options(self):
            super().finalize_options()
            self.cython_c_in_temp = 1  # no generated C beside the sources

        def build_extensions(self):
            """Compile the kernels into `_core`, then the doors."""
            self.extensions[0].extra_objects = self.build_kernels()
            super().build_extensions()

        def build_kernels(self):
            compiler = list(self.compiler.compiler_so)
            if shutil.which(compiler[0]) is None:
                raise SystemExit(
                    f"fastnn: the C compiler {compiler[0]!r} is not there; install it (Debian: "
                    "apt-get install gcc python3-dev), or install without compiled code: "
                    "FASTNN_NO_EXT=1 pip install ."
                )
            isas = instruction_sets(compiler)
            have = [f"-DFASTNN_HAVE_{isa}" for isa in isas]
            command = " ".join([*compiler, *FLAGS, *SANITIZER])  # another compiler: other objects
            folder = Path(self.build_temp, f"kernels-{zlib.crc32(command.encode()):08x}")
            folder.mkdir(parents=True, exist_ok=True)
            jobs = [(name, have, folder / f"{name}.o") for name in COMMON]
            for isa in isas:
                for bits in (32, 64):
                    flags = [*ISAS[isa], f"-DFASTNN_BITS={bits}", f"-DFASTNN_ISA={isa}"]
                    jobs += [(k, flags, folder / f"{k}.{isa}.{bits}.o") for k in KERNELS]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(lambda job: self.compile_kernel(compiler, *job), jobs))
            return [str(target) for _, _, target in jobs]

        def compile_kernel(self, compiler, name, flags, target):
            """Compile one source, unless its object is newer than all it is made of."""
            sources = [SRC / name, *SRC.glob("*.h"), Path(__file__)]
            if target.exists() and target.stat().st_mtime > max(s.stat().st_mtime for s in sources):
                return
            parts = [*compiler, *FLAGS, *flags, *SANITIZER]  # its -O1 comes last and holds
            command = [*parts, "-c", str(SRC / name), "-o", str(target)]
            self.spawn(command)

    return BuildKernels


def extensions():
    """One extension per door; the first holds all kernels, the others find them through it."""
    import numpy

    debug = os.environ.get("FASTNN_DEBUG_CYTHON") == "1"
    trace = os.environ.get("FASTNN_TRACE_CYTHON") == "1"  # coverage.py sees lines, all is slow
    doors = [
        Extension(
            f"fastnn._ext.{name}",
            [str(EXT / f"{name}.pyx")],
            include_dirs=[str(EXT), numpy.get_include()],
            define_macros=[
                ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                *([("CYTHON_TRACE_NOGIL", "1")] if trace else []),
            ],
            extra_compile_args=["-O2", "-g0", "-fvisibility=hidden", *SANITIZER],
            extra_link_args=SANITIZER or ([] if sys.platform == "darwin" else ["-Wl,-s"]),
            libraries=["m", "pthread"] if name == "_core" and os.name == "posix" else [],
            # Every door sees the kernels' declarations; only `_core` contains their code.
            depends=[str(p) for p in SRC.glob("*.[ch]" if name == "_core" else "fastnn.h")]
            + [str(p) for p in EXT.glob("*.pxd")],
        )
        for name in DOORS
    ]
    for door in doors:
        door.cython_directives = {
            "language_level": "3",
            "boundscheck": debug,
            "wraparound": debug,
            "initializedcheck": debug,
            "linetrace": trace,
            "cdivision": True,
            "freethreading_compatible": True,
        }
    return doors


if os.environ.get("FASTNN_NO_EXT") == "1":
    setup()
else:
    setup(ext_modules=extensions(), cmdclass={"build_ext": define_build_ext()})
