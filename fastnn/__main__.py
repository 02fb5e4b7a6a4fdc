"""python -m fastnn with a command; also installed as the script fastnn."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

import fastnn.ops  # noqa: F401  (registers every operation)
from fastnn.errors import FastnnError

COMMANDS = {
    "demo": "train a small ConvNet on real handwritten digits, then show speed-ups and pictures",
    "run": "run an example of the source checkout: whole systems, trained on real data",
    "bench": "time every operation on every backend and compare with the naive reference",
    "selftest": "check every implementation of every operation against the naive reference",
    "explain": "say which implementation would run a call, and why the others would not",
    "info": "print versions, compiled code, threads and settings in force",
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each command's module adds its own arguments."""
    parser = argparse.ArgumentParser(
        prog="fastnn", description="Fast neural-network layers on plain NumPy arrays, on the CPU."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        module = importlib.import_module(f"fastnn._cli.{name}")
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        Arguments without the program's name, those of the process by default.

    Returns
    -------
    int
        The exit code: 0, 1 if a check failed, 2 for an error of usage, 130 after Ctrl-C, 141 if
        who reads the output has left.
    """
    args = build_parser().parse_args(argv)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:  # for what is flushed when Python ends
            os.dup2(nowhere.fileno(), 1)
        return 141
    except FastnnError as error:
        print(f"fastnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
