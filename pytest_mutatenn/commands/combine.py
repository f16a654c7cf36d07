"""``pytest-mutatenn combine``: the reports of several runs as one, and one gate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.report.conditions import CONDITIONS
from pytest_mutatenn.report.gates import NAMES, Gates, judge_gates, read_gates
from pytest_mutatenn.report.merge import merge
from pytest_mutatenn.report.reading import read_report
from pytest_mutatenn.report.shards import shards_of
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
        metavar="LIST",
        action="append",
        help="fail if the mutation score is lower, in percent: 80, and of parts "
        "category:conditional=70, stage:..., cell:..., operator:...",
    )
    parser.add_argument(
        "--max-survivors",
        metavar="LIST",
        action="append",
        help="fail if more mutants survive: 5, and of parts stage:graph=0",
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="fail if a mutant survives, or cells disagree on it, that is not in this file of "
        "known ones",
    )
    parser.add_argument(
        "--update-baseline",
        action="store_true",
        help="write the file of --baseline, instead of failing",
    )
    parser.add_argument(
        "--fail-on",
        metavar="LIST",
        action="append",
        help=f"fail where one of these holds: {', '.join(CONDITIONS)}",
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
    given = _gates(arguments)
    wanted = [parse_destination(text, "--report") for text in arguments.report]
    if arguments.output:
        wanted.insert(0, Destination("json", arguments.output, "--output"))
    named = [(str(path), read_report(path)) for path in arguments.files]
    record, mismatches = _merged(named)
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
    errors = _judge(record, given)
    return _finish(record, errors, wanted, verbose=arguments.verbose)


def _merged(named: list[tuple[str, dict[str, Any]]]) -> tuple[dict[str, Any], list[str]]:
    """Merge; a report whose inside is not what it should be is the user's to write anew."""
    try:
        return merge(named)
    except (AttributeError, LookupError, TypeError, ValueError):
        for name, record in named:
            try:
                merge([(name, record)])
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise MutatennError(
                    f"{name} is damaged, or of another version of pytest-mutatenn "
                    f"({type(error).__name__}: {error}); write it anew with --mutatenn-report=json."
                ) from None
        raise


def _gates(arguments: argparse.Namespace) -> Gates:
    """The gates of the command line."""
    given = {}
    for name in NAMES:
        text = getattr(arguments, name.replace("-", "_"))
        lines = text if isinstance(text, list) else [] if text is None else [text]
        if not all(map(str.strip, lines)):
            raise MutatennError(f"--{name} is empty; leave it out, or give it a value.")
        given[name] = "\n".join(lines), f"--{name}"
    return read_gates(given, None, update=arguments.update_baseline)


def _judge(record: dict[str, Any], given: Gates) -> list[str]:
    """Judge the gates: those of the command line, and of shards those that their jobs were given.

    A shard judges none itself, since its score is not the run's. What stands on the command line
    takes the place of a shard's gate of that name.
    """
    kept = next((Gates.of(shard["gates"]) for shard in shards_of(record)), Gates())
    kept = Gates(
        () if given.fail_under else kept.fail_under,
        () if given.max_survivors else kept.max_survivors,
        () if given.fail_on else kept.fail_on,
        "" if given.baseline else kept.baseline,
        given.update and not given.baseline,
    )
    if given.update and not (given.baseline or kept.baseline):
        raise MutatennError("--update-baseline needs --baseline=FILE.")
    errors: list[str] = []
    for gates, prefix in ((kept, "mutatenn-"), (given, "")):
        if gates or (gates is given and (record["mutants"] or not record["baseline"])):
            judged = judge_gates(record, gates, Path.cwd(), prefix)
            record["gates"] += judged.entries
            record["warnings"] = sorted({*record["warnings"], *judged.warnings})
            errors += judged.errors
    record["gates"].sort(key=lambda entry: NAMES.index(entry["gate"]))
    return list(dict.fromkeys(errors))


def _finish(
    record: dict[str, Any], errors: list[str], wanted: list[Destination], *, verbose: bool
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
    errors = [
        *(f"{e['test']} fails on the unmutated network in {e['cell']}." for e in failed),
        *errors,
    ]
    for text in errors:
        print(f"ERROR: {text}")
    return FAILED if errors else 0


def _line(text: str, **_: Any) -> None:
    print(text)
