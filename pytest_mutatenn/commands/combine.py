"""``pytest-mutatenn combine``: the reports of several runs as one, and one gate."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.gates import check_conditions, gates
from pytest_mutatenn.report.merge import merge
from pytest_mutatenn.report.reading import read_report
from pytest_mutatenn.report.terminal import write_summary
from pytest_mutatenn.report.writers import (
    Destination,
    parse_destination,
    render_report,
    write_report,
)

FAILED = 1
"""A gate is not passed, or a test fails on an unmutated network."""
DIFFERENT = 3
"""The reports are not of the same thing."""

_EXIT = (
    "Exit codes: 0 all is well; 1 a gate is not passed, or a test fails on an unmutated network; "
    "2 an option is wrong, or a file is no report; 3 the reports are not of the same network, "
    "inputs, tests, mutants, versions or options."
)


def add(commands: Any) -> None:
    """Declare the arguments."""
    parser = commands.add_parser(
        "combine",
        help="make one report and one gate of several runs' reports",
        description="Make one report of several runs' JSON reports: of other machines, with other "
        "devices, or of other mutants.",
        epilog=_EXIT,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="REPORT", help="JSON reports")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the report as JSON")
    parser.add_argument(
        "--report",
        metavar="TYPE[:DEST]",
        action="append",
        default=[],
        help="write a report, as pytest's --mutatenn-report does; may be given more than once",
    )
    parser.add_argument(
        "--fail-under",
        type=_percentage,
        metavar="PERCENT",
        help="fail if the mutation score is lower",
    )
    parser.add_argument(
        "--fail-on", default="", metavar="LIST", help="fail where one of these holds: divergent"
    )
    parser.add_argument(
        "--allow-mismatch",
        action="store_true",
        help="combine reports that do not match; what does not becomes warnings",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show all there is")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Combine, write, print, and say whether the gates are passed."""
    fail_on = check_conditions(re.findall(r"[^,\s]+", arguments.fail_on), "--fail-on")
    wanted = [parse_destination(text, "--report") for text in arguments.report]
    if arguments.output:
        wanted.insert(0, Destination("json", arguments.output, "--output"))
    named = [(str(path), read_report(path)) for path in arguments.files]
    record, mismatches = merge(named)
    if mismatches and not arguments.allow_mismatch:
        for text in mismatches:
            print(f"pytest-mutatenn combine: {text}", file=sys.stderr)
        print(
            "pytest-mutatenn combine: these reports do not match; --allow-mismatch combines them "
            "all the same.",
            file=sys.stderr,
        )
        return DIFFERENT
    record["warnings"] = sorted({*record["warnings"], *mismatches})
    return _finish(record, arguments.fail_under, fail_on, wanted, verbose=arguments.verbose)


def _finish(
    record: dict[str, Any],
    fail_under: float | None,
    fail_on: tuple[str, ...],
    wanted: list[Destination],
    *,
    verbose: bool,
) -> int:
    from pytest_mutatenn.operators.registry import CATEGORIES

    write_summary(record, _line, titles=CATEGORIES, verbose=verbose)
    for destination in wanted:
        if destination.printed:
            sys.stdout.write(render_report(record, destination))
            continue
        path = write_report(record, destination, Path.cwd())
        print(f"{destination.kind} report: {path}")
    failed = [e for e in record["baseline"] if e["outcome"] in ("failed", "error")]
    errors = [f"{e['test']} fails on the unmutated network in {e['cell']}." for e in failed]
    if record["mutants"] or not record["baseline"]:
        errors += gates(record, fail_under, fail_on)
    for text in errors:
        print(f"ERROR: {text}")
    return FAILED if errors else 0


def _line(text: str, **_: Any) -> None:
    print(text)


def _percentage(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"must be a percentage between 0 and 100, got {text!r}")
    return value
