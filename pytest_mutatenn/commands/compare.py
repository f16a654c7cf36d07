"""``pytest-mutatenn compare``: an old report and a new one, and what has changed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_mutatenn.operators.registry import CATEGORIES
from pytest_mutatenn.report.comparing import CONDITIONS, Comparison, compare
from pytest_mutatenn.report.conditions import parse_conditions
from pytest_mutatenn.report.formats.markdown import code, fenced, fitted, plain
from pytest_mutatenn.report.reading import read_report
from pytest_mutatenn.report.safe_text import visible
from pytest_mutatenn.report.words import count_of, cut

FAILED = 1
"""A condition of ``--fail-on`` holds."""

_SHOWN = 10
_LISTS = {
    "new_survivors": "new survivor",
    "gone_survivors": "survivor gone",
    "newly_divergent": "newly divergent mutant",
    "no_longer_divergent": "mutant no longer divergent",
}
_PARTS = ("by_category", "by_cell")


def add(commands: Any) -> None:
    """Declare the arguments."""
    parser = commands.add_parser(
        "compare",
        help="say what has changed from one run's report to another's",
        description="Say what has changed from an old JSON report to a new one: the score, "
        "survivors, mutants on which cells disagree, time.",
        epilog="Exit codes: 0 all is well; 1 a condition of --fail-on holds; 2 an argument is "
        "wrong, or a file is no report.",
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="a JSON report")
    parser.add_argument("new", type=Path, metavar="NEW", help="a later one")
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "json"),
        default="text",
        help="how to print it (default: text)",
    )
    parser.add_argument(
        "--fail-on",
        default="",
        metavar="LIST",
        help=f"give exit code 1 where one of these holds: {', '.join(CONDITIONS)}",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show all there is, in text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, and say whether a condition holds."""
    fail_on = parse_conditions(arguments.fail_on, "--fail-on", CONDITIONS)
    old, new = ((str(path), read_report(path)) for path in (arguments.old, arguments.new))
    found = compare(old, new)
    said = [(name, CONDITIONS[name](found)) for name in fail_on]
    errors = [f"--fail-on={name}: {text}" for name, text in said if text is not None]
    if arguments.format == "json":
        print(json.dumps({**found, "errors": errors}, indent=1, allow_nan=False))
    elif arguments.format == "markdown":
        print(_markdown(found, errors))
    else:
        for line in _text(found, errors, verbose=arguments.verbose):
            print(visible(line, lines=False))
    return FAILED if errors else 0


def _text(found: Comparison, errors: Sequence[str], *, verbose: bool) -> Iterator[str]:
    rows = list(_rows(found))
    width = max(len(name) for name, *_ in rows)
    widths = [max(len(row[i]) for row in rows) for i in (1, 2)]
    yield f"{'':{width}}  {'old':>{widths[0]}}  {'new':>{widths[1]}}  change"
    for name, old, new, change in rows:
        yield f"{name:{width}}  {old:>{widths[0]}}  {new:>{widths[1]}}  {change}"
    for part, noun in _LISTS.items():
        entries = found[part]
        if not entries:
            continue
        yield ""
        yield f"{_count(len(entries), noun)}:"
        for entry in entries if verbose else entries[:_SHOWN]:
            yield f"  {_named(entry)}"
            if "before" in entry:
                yield from (f"    {text}" for text in _change(entry))
        if not verbose and len(entries) > _SHOWN:
            yield f"  ... and {len(entries) - _SHOWN} more; -v shows all"
    yield ""
    yield from _rest(found)
    for text in found["warnings"]:
        yield f"WARNING: {text}"
    for text in errors:
        yield f"ERROR: {text}"


def _markdown(found: Comparison, errors: Sequence[str]) -> str:
    head = ["## Mutation testing: old and new\n"]
    for mark, texts in (("❌", errors), ("⚠️", found["warnings"])):
        head += [f"- {mark} {plain(text)}" for text in texts]
    head.append("\n| | old | new | change |\n|---|---:|---:|---:|")
    head += [f"| {' | '.join(map(plain, row))} |" for row in _rows(found)]
    head.append("")
    head += [f"- {plain(text)}" for text in _rest(found)]
    text = fitted("\n".join(head) + "\n", _sections(found))
    assert text is not None
    return text


def _sections(found: Comparison) -> Iterator[tuple[str, str]]:
    for part, noun in _LISTS.items():
        for i, entry in enumerate(found[part]):
            heading = "" if i else f"### {plain(_count(len(found[part]), noun))}\n\n"
            yield part.replace("_", " "), heading + _section(entry)


def _section(entry: Mapping[str, Any]) -> str:
    named = code(_named(entry))
    if "before" not in entry:
        return f"- {named}\n"
    lines = fenced(visible(line, lines=False) for line in _change(entry))
    return f"<details><summary>{named}</summary>\n\n{lines}\n</details>\n"


def _change(entry: Mapping[str, Any]) -> tuple[str, str]:
    before, after = entry["before"], entry["after"]
    return f"- {cut(before, after)}", f"+ {cut(after, before)}"


def _rows(found: Comparison) -> Iterator[tuple[str, str, str, str]]:
    """Name, old score, new score and change; only the parts that have changed, and the whole."""
    for part in _PARTS:
        for name, score in found["score"][part].items():
            if score["change"] != 0:
                yield (CATEGORIES.get(name, name), *_scores(score))
    yield ("mutation score", *_scores(found["score"]["overall"]))
    seconds = [found["runs"][side]["seconds"] for side in ("old", "new")]
    factor = f"x {seconds[1] / seconds[0]:.2f}" if seconds[0] else ""
    yield "time", f"{seconds[0]:.1f} s", f"{seconds[1]:.1f} s", factor


def _scores(score: Mapping[str, Any]) -> tuple[str, str, str]:
    change = score["change"]
    return (
        _score(score["old"]),
        _score(score["new"]),
        "" if change is None else f"{change:+.2f}" if change else "0",
    )


def _score(one: Mapping[str, Any] | None) -> str:
    if one is None or one["score"] is None:
        return "-"
    interval = "" if one["low"] is None else f" ({one['low']:.1f} to {one['high']:.1f})"
    return f"{one['score']:.2f} %{interval}"


def _named(entry: Mapping[str, Any]) -> str:
    if "verdicts" in entry:
        verdicts = ", ".join(f"{cell} {verdict}" for cell, verdict in entry["verdicts"].items())
        return f"{entry['mutant']} of {entry['model']}: {verdicts}"
    sides = [entry[side] or "not there" for side in ("old", "new")]
    return (
        f"{entry['mutant']} of {entry['model']} in {entry['cell']}: was {sides[0]}, is {sides[1]}"
    )


def _rest(found: Comparison) -> Iterator[str]:
    mutants = found["mutants"]
    yield (
        f"{count_of(mutants['both'], 'mutant')} in both, {mutants['only_old']} only in the old, "
        f"{mutants['only_new']} only in the new"
    )
    for side in ("old", "new"):
        run = found["runs"][side]
        work = run["counters"]
        yield (
            f"{side}: {run['name']}, of {run['started']}; kernels compiled "
            f"{work['kernels_compiled']}, evaluations run {work['evaluations_run']}, taken from "
            f"the store {work['evaluations_reused']}"
        )


def _count(number: int, noun: str) -> str:
    first, _, rest = noun.partition(" ")
    if noun == "survivor gone" or noun.startswith("mutant "):
        return f"{count_of(number, first)} {rest}"
    return count_of(number, noun)
