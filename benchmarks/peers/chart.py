"""A report of compare.py as a picture: how near the limits, and how far ahead of a peer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#1f5fa8", "#e0812b", "#777777"


def draw(report: dict[str, Any], path: Path) -> None:
    """Roofline of every row with arithmetic, and ratios to the first peer, at the most threads."""
    threads = max(report["limits"], key=int)
    rows = [r for r in report["rows"] if r["threads"] == threads]
    peers = [n for n, i in report["libraries"].items() if n != "fastnn" and "error" not in i]
    bars = [r for r in rows if "ms" in r["times"].get("fastnn", {}) and peers
            and "ms" in r["times"].get(peers[0], {})]  # fmt: skip
    bars = [r for r in bars if r["what"] not in ("dx", "dw")]  # both are in backward
    most = max([sum(r["dtype"] == d for r in bars) for d in ("float32", "float64")])
    height = max(6.0, 1.5 + 0.15 * most)
    figure = Figure((15, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    _roofline(axes[0], rows, report["limits"][threads])
    for axis, dtype in zip(axes[1:], ("float32", "float64"), strict=True):
        _ratios(axis, [r for r in bars if r["dtype"] == dtype], peers[0] if peers else "", dtype)
    about = report["libraries"]["fastnn"]
    figure.suptitle(f"{about['cpu']}, {about['isa']}, {threads} threads, {report['date'][:10]}")
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, dpi=110, format=path.suffix[1:] or "png")
    temporary.replace(path)


def _roofline(axis: Any, rows: list[dict[str, Any]], limits: dict[str, Any]) -> None:
    """GFLOP/s against FLOP per byte that must move, under the two limits of float32."""
    for dtype, marker, colour in (("float32", "o", BLUE), ("float64", "s", ORANGE)):
        points = [
            (r["work"] / r["bytes"], r["work"] / r["times"]["fastnn"]["ms"] / 1e6)
            for r in rows
            if r["unit"] == "GF/s" and r["dtype"] == dtype and "ms" in r["times"].get("fastnn", {})
        ]
        if not points:
            continue
        axis.scatter(*zip(*points, strict=True), s=18, marker=marker, color=colour, alpha=0.7,
                     label=f"fastnn {dtype}")  # fmt: skip
        peak, copy = limits[dtype]["flops"] / 1e9, limits[dtype]["8MB"] / 1e9
        intensity = [2.0**i for i in range(-4, 12)]
        roof = [min(peak, i * copy) for i in intensity]
        axis.plot(intensity, roof, color=colour, lw=1.2,
                  label=f"limit {dtype}: {peak:.0f} GF/s, copy {copy:.0f} GB/s")  # fmt: skip
    axis.set(xscale="log", yscale="log", xlabel="FLOP per byte that must move", ylabel="GFLOP/s",
             title="Roofline (Winograd counts as the direct sum)")  # fmt: skip
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="lower right")


def _ratios(axis: Any, rows: list[dict[str, Any]], peer: str, dtype: str) -> None:
    """One bar per row: the peer's time over ours, on a logarithmic axis."""
    rows = rows[::-1]
    values = [r["times"][peer]["ms"] / r["times"]["fastnn"]["ms"] for r in rows]
    colours = [BLUE if v >= 1 else ORANGE for v in values]
    axis.barh(range(len(rows)), [math.log2(v) for v in values], color=colours, height=0.8)
    axis.set_yticks(range(len(rows)), [f"{r['case']} {r['what']}" for r in rows], fontsize=6)
    axis.set_ylim(-0.7, len(rows) - 0.3)
    ends = [math.floor(math.log2(min([1, *values]))), math.ceil(math.log2(max([2, *values])))]
    ticks = list(range(ends[0], ends[1] + 1))
    axis.set_xticks(ticks, [f"{2.0**t:g}" for t in ticks])
    axis.axvline(0, color=GREY, lw=1)
    axis.set(title=f"{peer} time / fastnn time, {dtype}", xlabel="above 1: fastnn is faster")
    axis.grid(axis="x", alpha=0.3)
