"""fastnn explain: which implementation would run a call of given shapes."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Collection
from typing import Any

from fastnn import testing
from fastnn._cases import Case
from fastnn.dispatch import Op, every
from fastnn.errors import OptionError
from fastnn.ops import FAMILY


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments; one per name of an array that some operation takes."""
    parser.allow_abbrev = False
    parser.epilog = (
        "example: fastnn explain conv2d --x 2,3,8,8 --w 4,3,3,3 --option stride=2; "
        "without shapes, the operation's first benchmark case is taken"
    )
    parser.add_argument("op", choices=list(FAMILY), metavar="OP", help=", ".join(FAMILY))
    for name in sorted({name for op in every().values() for name in op.array_names}):
        parser.add_argument(f"--{name}", dest=f"array_{name}", type=_sizes, metavar="N,C,...")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        type=_option,
        metavar="KEY=VALUE",
        help="an option as Python would write it; may be repeated",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")


def run(args: argparse.Namespace) -> int:
    """Print the explanation."""
    op = every()[args.op]
    options = dict(args.option)
    given = {
        name.removeprefix("array_"): sizes
        for name, sizes in vars(args).items()
        if name.startswith("array_") and sizes is not None
    }
    _check_names(op, given, options)
    case = Case("edge", given, options) if given else _example(op, options)
    print(op.explain(**testing.draw(op, case, args.dtype)))
    return 0


def _check_names(op: Op[..., Any, Any], arrays: Collection[str], options: Collection[str]) -> None:
    """Every name is one that `op` takes, and if there are arrays none that it needs is missing."""
    parameters = op.__signature__.parameters
    for name in set(arrays) - set(op.array_names):
        raise OptionError(
            f"explain: {op.name} takes no array {name}; it takes {', '.join(op.array_names)}"
        )
    known = [name for name in parameters if name not in (*op.array_names, "out")]
    for name in set(options) - set(known):
        raise OptionError(
            f"explain: {op.name} has no option {name}; its options are {', '.join(known)}"
        )
    needed = [p.name for p in parameters.values() if p.default is p.empty]
    missing = [name for name in needed if name not in (*arrays, *options)]
    if arrays and missing:
        raise OptionError(f"explain: {op.name} also needs {', '.join(missing)}")


def _example(op: Op[..., Any, Any], options: dict[str, Any]) -> Case:
    case = next(case for case in op.cases() if case.kind == "bench")
    print(f"no shapes given: benchmark case {case.name} ({case.source})")
    return case._replace(options={**case.options, **options})


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape like 2,3,8,8") from None
    if min(sizes) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} has a negative size")
    return sizes


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not like stride=2")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value  # a bare word is a string: padding=same
