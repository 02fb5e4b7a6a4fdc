"""fastnn run: the examples of the source checkout, by name."""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from pathlib import Path

import fastnn
from fastnn.errors import OptionError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", nargs="?", help="the example; all are listed if not given")
    parser.add_argument(
        "rest", nargs=argparse.REMAINDER, metavar="...",
        help="its own arguments, such as --quick --data DIR --out DIR; see fastnn run NAME --help",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run an example; 1 if a goal of it is missed."""
    known = examples()
    if args.name is None:
        width = max(map(len, known))
        for name, path in known.items():
            print(f"{name:{width}}  {_first_line(path)}")
        return 0
    if args.name not in known:
        raise OptionError(f"run: {args.name!r} is no example; it must be one of {', '.join(known)}")
    folder = str(known[args.name].parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # As modules of their own names, so that other processes find what a sweep sends them.
    example, shared = importlib.import_module(args.name), importlib.import_module("_example")
    return int(shared.main(example.run, args.rest))


def examples() -> dict[str, Path]:
    """The examples' files by name, of the folder beside the package or else of one here."""
    places = [Path(fastnn.__file__).resolve().parents[1] / "examples", Path("examples").resolve()]
    for place in places:
        if (place / "_example.py").is_file():
            return {path.stem: path for path in sorted(place.glob("[!_]*.py"))}
    raise OptionError(
        f"run: neither {places[0]} nor {places[1]} has the examples; they are part of the source, "
        "not of the installed package: run this in a checkout or an unpacked source archive"
    )


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
