"""fastnn info: what this installation is and what is in force."""

from __future__ import annotations

import argparse
import json

from fastnn import _info


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    if args.json:
        print(json.dumps(_info.config(), indent=2))
    else:
        _info.show_config()
    return 0
