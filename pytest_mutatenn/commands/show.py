"""``pytest-mutatenn show``: one mutant of a report, in a terminal."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.formats.json import DEFAULT
from pytest_mutatenn.report.mutant_lines import lines_of
from pytest_mutatenn.report.mutants_by_id import find_mutants
from pytest_mutatenn.report.reading import read_report


def add(commands: Any) -> None:
    """Declare the arguments."""
    parser = commands.add_parser(
        "show",
        help="print one mutant of a report",
        description="Print all that a report has of a mutant: what it changes and where, how it "
        "fared in each cell, and the command that runs it alone.",
    )
    parser.add_argument("id", metavar="ID", help="an id, its beginning, or a glob")
    parser.add_argument(
        "report", nargs="?", type=Path, default=Path(DEFAULT), help=f"default: {DEFAULT}"
    )
    parser.add_argument(
        "--colour",
        choices=("auto", "yes", "no"),
        default="auto",
        help="default: on a terminal, unless NO_COLOR is set",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print."""
    try:
        _print(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever reads has read enough; Python would complain once more on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _print(arguments: argparse.Namespace) -> None:
    record = read_report(arguments.report)
    colour = arguments.colour == "yes" or (
        arguments.colour == "auto" and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    )
    for i, mutant in enumerate(find_mutants(record, arguments.id)):
        if i:
            print()
        for line in lines_of(record, mutant, colour=colour):
            print(line)
