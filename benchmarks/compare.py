"""fastnn beside other libraries: the same rows, the same data, the same run.

    python benchmarks/compare.py                          # fastnn and torch, 1 and 2 threads
    python benchmarks/compare.py --only conv/res28 --threads 2
    python benchmarks/compare.py --peers torch,torch-best,torch-cold,onnxruntime,jax
    python benchmarks/compare.py --python torch=/other/python --json out.json --chart out.png

Each library runs in a process of its own, for two pools of spinning threads on the same cores slow
each other down. Rounds are interleaved, so that a slow spell of the machine falls on all libraries;
a figure is the median over the rounds of a round's median. All are warmed up. The C library is
told to keep large blocks (a fresh process otherwise returns them to the system and pays for new
pages at every call); `torch-cold` is PyTorch without that. `torch-best` is PyTorch at its favourite
settings: channels last, fused optimisers. torch.compile is left out: it needs a compiler at run
time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peers.rows import Row, every

HERE = Path(__file__).parent
PEERS = ("torch", "torch-best", "torch-cold", "onnxruntime", "jax")
LEGEND = "ratio = the other library's time / ours: above 1 fastnn is faster"
# glibc: blocks up to 1 GiB come from the heap and stay there.
WARM = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
PAUSE = 0.02  # seconds between libraries: threads of the last one are still spinning


class Worker:
    """A library in a process of its own, see peers/worker.py."""

    def __init__(self, library: str, threads: int, python: str) -> None:
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": "1",  # only NumPy would use it
        }
        if not library.endswith("-cold"):
            environment |= WARM
        self.process = subprocess.Popen(
            [python, "-m", "peers.worker", library, str(threads)],
            cwd=HERE, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.about = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request, or an error if the process is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"error": "the process ended"}
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(row: Row, workers: dict[str, Worker], rounds: int, seconds: float) -> dict[str, Any]:
    """Per library the median milliseconds over `rounds`, or why there are none."""
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    found: dict[str, Any] = {}
    for turn in range(rounds):
        for name, worker in workers.items():
            if name in found:
                continue
            time.sleep(PAUSE)
            reply = worker.ask(row=row.id, seconds=seconds)
            if "ms" in reply:
                samples[name].append(reply)
            elif "error" in reply:
                found[name] = {"error": reply["error"]}
            else:
                found[name] = {}
            slow = samples[name] and samples[name][-1]["ms"] > 1e3 * seconds
            if slow and turn >= rounds // 2:
                found[name] = {}
    for name, replies in samples.items():
        if replies:
            found[name] = {
                "ms": statistics.median(r["ms"] for r in replies),
                "faults": statistics.median(r["faults"] for r in replies),
            }
    return found


def limit(row: Row, limits: dict[str, float]) -> tuple[str, float]:
    """Unit and the milliseconds that the machine's limit allows for a row."""
    if row.flops:
        return "GF/s", 1e3 * row.flops / limits["flops"]
    sizes = {"1MB": 1 << 20, "8MB": 1 << 23, "256MB": 1 << 28}
    nearest = min(sizes, key=lambda k: abs(math.log(max(row.bytes, 1) / sizes[k])))
    return "GB/s", 1e3 * row.bytes / limits[nearest]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = [r for r in every() if wanted(r, arguments)]
    if not rows:
        raise SystemExit(f"compare: no row matches --only {arguments.only}")
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    results: list[dict[str, Any]] = []
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["compare.py", *sys.argv[1:]]),
        "libraries": {},
        "limits": {},
        "rows": results,
    }
    for threads in arguments.threads:
        workers = {}
        for name in ("fastnn", *arguments.peers):
            worker = Worker(name, threads, pythons.get(name.partition("-")[0], sys.executable))
            report["libraries"][name] = worker.about
            if "error" in worker.about:
                if name == "fastnn":
                    raise SystemExit("compare: fastnn did not start, see above")
                print(f"compare: {name} is left out: it did not start, see above", file=sys.stderr)
                worker.close()
            else:
                workers[name] = worker
        limits = {d: workers["fastnn"].ask(limits=d) for d in sorted({r.dtype for r in rows})}
        report["limits"][threads] = limits
        for row in progress(rows, f"{threads} thread{'s' * (threads > 1)}"):
            found = measure(row, workers, arguments.rounds, arguments.seconds)
            unit, floor = limit(row, limits[row.dtype])
            work = row.flops or row.bytes
            results.append({
                "id": row.id, "group": row.group, "case": row.case, "what": row.what,
                "dtype": row.dtype, "threads": threads, "unit": unit, "work": work,
                "bytes": row.bytes, "limit_ms": floor, "times": found,
            })  # fmt: skip
        for worker in workers.values():
            worker.close()
    return report


def wanted(row: Row, arguments: argparse.Namespace) -> bool:
    """Whether every word of one of the --only options is part of the row's id."""
    return not arguments.only or any(
        all(word in row.id for word in option.split()) for option in arguments.only
    )


def progress(rows: list[Row], text: str) -> Iterator[Row]:
    """A line that counts, where somebody watches."""
    for number, row in enumerate(rows, 1):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}: {number}/{len(rows)} {row.id}", end="", file=sys.stderr)
        yield row
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def milliseconds(entry: dict[str, Any], name: str) -> float | None:
    value: float | None = entry["times"].get(name, {}).get("ms")
    return value


def ratios(entries: list[dict[str, Any]], peer: str) -> dict[str, float]:
    """Per row id the peer's time over ours."""
    found = {}
    for e in entries:
        ours, theirs = milliseconds(e, "fastnn"), milliseconds(e, peer)
        if ours and theirs:
            found[e["id"]] = theirs / ours
    return found


def best(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry per row, with each library's best number of threads."""
    rows: dict[str, dict[str, Any]] = {}
    for e in entries:
        kept = rows.setdefault(e["id"], e | {"threads": "best", "times": {}})
        for name, times in e["times"].items():
            if "ms" in times and times["ms"] < kept["times"].get(name, {}).get("ms", math.inf):
                kept["times"][name] = times
    return list(rows.values())


def print_table(entries: list[dict[str, Any]], peers: list[str]) -> None:
    heads = ["row", "ms", "rate", "% limit", *(f"{p}" for p in peers)]
    print(f"{heads[0]:44}{heads[1]:>9}{heads[2]:>13}{heads[3]:>9}", end="")
    print("".join(f"{h:>13}" for h in heads[4:]))
    for e in entries:
        ours = milliseconds(e, "fastnn")
        if ours is None:
            print(f"{e['id']:44} {e['times'].get('fastnn')}")
            continue
        rate = e["work"] / ours / 1e6
        line = f"{e['id']:44}{ours:9.4g}{rate:8.3g} {e['unit']}{100 * e['limit_ms'] / ours:8.0f}%"
        for p in peers:
            theirs = milliseconds(e, p)
            line += f"{theirs / ours:12.2f}x" if theirs else f"{'-':>13}"
        print(line)


def print_summary(entries: list[dict[str, Any]], peers: list[str], title: str) -> None:
    print(f"\n{title}: geometric mean (worst row); {LEGEND}")
    groups = sorted({(e["group"], e["dtype"], e["what"]) for e in entries})
    for peer in peers:
        for group, dtype in sorted({(g, d) for g, d, _ in groups}):
            for what in [*sorted({w for g, d, w in groups if (g, d) == (group, dtype)}), None]:
                chosen = [
                    e for e in entries
                    if (e["group"], e["dtype"]) == (group, dtype) and what in (None, e["what"])
                ]  # fmt: skip
                found = ratios(chosen, peer)
                if found:
                    mean = math.exp(statistics.fmean(map(math.log, found.values())))
                    worst = min(found, key=lambda k: found[k])
                    print(
                        f"  {peer:12} {group:12} {dtype} {what or 'all':9} {mean:6.2f}x "
                        f"({found[worst]:.2f}x {worst.split('/')[1]} {worst.split('/')[2]})"
                    )


def print_report(report: dict[str, Any]) -> None:
    libraries = report["libraries"]
    peers = [name for name in libraries if name != "fastnn" and "error" not in libraries[name]]
    about = libraries["fastnn"]
    print(f"{report['date']}  {about['cpu']}  {about['isa']}")
    print("  ".join(f"{name} {i.get('version', '-')}" for name, i in libraries.items()))
    for threads, limits in report["limits"].items():
        for dtype, most in limits.items():
            copies = ", ".join(f"{s} {most[s] / 1e9:.0f}" for s in ("1MB", "8MB", "256MB"))
            print(
                f"limits, {threads} threads, {dtype}: {most['flops'] / 1e9:.0f} GF/s; "
                f"copy GB/s: {copies}"
            )
    for threads in report["limits"]:
        entries = [e for e in report["rows"] if e["threads"] == threads]
        print(f"\n{threads} thread{'s' * (int(threads) > 1)}; {LEGEND}")
        print_table(entries, peers)
        print_summary(entries, peers, f"{threads} threads")
    if len(report["limits"]) > 1:
        print_summary(best(report["rows"]), peers, "best number of threads of each side")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], epilog=__doc__.split("\n\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    split = lambda text: [p for p in text.split(",") if p]  # noqa: E731
    parser.add_argument("--peers", type=split, default=["torch"], help=f"of {', '.join(PEERS)}")
    parser.add_argument("--only", action="append", default=[], metavar="WORDS",
                        help="rows whose id has all these words; may be repeated")  # fmt: skip
    parser.add_argument("--threads", type=lambda t: [int(p) for p in split(t)], default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.05, help="of a library's round")
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH",
                        help="interpreter that has the library; default: this one")  # fmt: skip
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path, help="roofline and ratios as a picture (matplotlib)")
    parser.add_argument("--load", type=Path, help="print and draw an earlier --json, run nothing")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.peers) - set(PEERS))
    if unknown:
        parser.error(f"--peers {','.join(unknown)}: known are {', '.join(PEERS)}")
    report = json.loads(arguments.load.read_text()) if arguments.load else run(arguments)
    report = json.loads(json.dumps(report))  # the same whether it was run or loaded
    for e in report["rows"]:
        e["threads"] = str(e["threads"])
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))
    print_report(report)
    if arguments.chart:
        from peers.chart import draw

        draw(report, arguments.chart)


if __name__ == "__main__":
    main()
