"""Which lines of Cython a run under coverage.py saw: python tests/cython_lines.py [DATA].

Build with FASTNN_TRACE_CYTHON=1 and run tests as `coverage run --rcfile=FILE -m pytest ...`, where
FILE names the plugin Cython.Coverage. coverage.py then records the lines but cannot report them,
for it looks for the generated C beside the sources; setuptools keeps that under build/.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from coverage import CoverageData

ROOT = Path(__file__).resolve().parents[1]
MARKS = re.compile(r'/\* "([^"]+)":\d+$|__Pyx_TraceLine\((\d+),', re.MULTILINE)


def traced_lines(generated: Path, source: str) -> set[int]:
    """Lines of `source` that the generated C reports when it reaches them."""
    lines, current = set(), ""
    for name, line in MARKS.findall(generated.read_text()):
        current = name or current
        if line and current.endswith(source):
            lines.add(int(line))
    return lines


def main() -> None:
    data = CoverageData(sys.argv[1] if len(sys.argv) > 1 else ".coverage")
    data.read()
    seen = lines = 0
    for file in sorted(f for f in data.measured_files() if f.endswith(".pyx")):
        source = Path(file)
        generated = list((ROOT / "build").glob(f"temp.*/fastnn/_ext/{source.stem}.c"))
        if not generated:
            raise SystemExit(f"{source.name}: build/ has no {source.stem}.c; build in place first")
        all_lines = traced_lines(generated[0], source.name)
        missing = sorted(all_lines - set(data.lines(file) or ()))
        print(f"{source.name:16} {len(all_lines) - len(missing):4} of {len(all_lines)}", *missing)
        seen, lines = seen + len(all_lines) - len(missing), lines + len(all_lines)
    print(f"{seen} of {lines} lines, {seen / max(1, lines):.1%}")


if __name__ == "__main__":
    main()
