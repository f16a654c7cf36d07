"""``pytest-mutatenn report``: other reports of a run that is over."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.reading import read_report
from pytest_mutatenn.report.writers import kinds, parse_destination, render_report, write_report


def add(commands: Any) -> None:
    """Declare the arguments."""
    parser = commands.add_parser(
        "report",
        help="write other reports of a run's JSON report",
        description="Write other reports of a JSON report, the same files that the run itself "
        "writes with --mutatenn-report.",
        epilog=f"Types: {', '.join(kinds())}. Exit codes: 0 all is written; 2 an argument is "
        "wrong, the file is no report, or one cannot be written.",
    )
    parser.add_argument("file", type=Path, metavar="REPORT", help="a JSON report")
    parser.add_argument(
        "wanted",
        nargs="+",
        metavar="TYPE[:DEST]",
        help="a type of report, and its file or folder; - is standard output",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read and write."""
    wanted = [parse_destination(text, "report") for text in arguments.wanted]
    record = read_report(arguments.file)
    # what is printed may be read by a program: nothing else stands in it
    said = sys.stderr if any(one.printed for one in wanted) else sys.stdout
    for destination in wanted:
        if destination.printed:
            sys.stdout.write(render_report(record, destination))
        else:
            path = write_report(record, destination, Path.cwd())
            print(f"{destination.kind} report: {path}", file=said)
    return 0
