"""The command ``pytest-mutatenn``: what is done with reports when the runs are over.

A sub-command is a module of this package with ``add(commands)``, which declares its arguments and
names the function that runs it, and has a line in ``_COMMANDS``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from pytest_mutatenn.errors import MutatennError

USAGE = 2
"""The exit code of what is wrong in itself: an option, or a file that is no report."""

_COMMANDS = ("combine", "compare", "export", "report", "show")


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(
        "pytest-mutatenn", description="What is done with pytest-mutatenn's reports."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        importlib.import_module(f"{__name__}.{name}").add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code.

    Parameters
    ----------
    argv
        The arguments; None for those of the process.
    """
    arguments = make_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except MutatennError as error:
        print(f"pytest-mutatenn: error: {error}", file=sys.stderr)
        return USAGE
