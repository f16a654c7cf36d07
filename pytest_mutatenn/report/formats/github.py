"""Findings as annotations of a GitHub workflow.

Lines that a workflow's runner reads off a step's output:
https://docs.github.com/actions/reference/workflow-commands-for-github-actions. GitHub keeps ten
errors, ten warnings and ten notices of a step and drops the rest without a word, so that is what is
written, the most important first; the last notice says what was left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_mutatenn.report.findings import Finding, findings_of
from pytest_mutatenn.report.marking import in_checkout
from pytest_mutatenn.report.safe_text import visible, write_text
from pytest_mutatenn.report.words import count_of, score_text

DEFAULT = "-"

LIMIT = 10
"""Annotations of each kind that GitHub keeps of a step."""
_TITLE = 200


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the annotations, for a later step to print."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the annotations, a line each."""
    findings = findings_of(record)
    errors = [*_gates(record), *_red(record)]
    warnings = [one for one in findings if one.level == "warning"]
    notes = [one for one in findings if one.level == "note"]
    left: dict[str, Sequence[Any]] = {
        "errors": errors[LIMIT:],
        "warnings": warnings[LIMIT:],
        "notices": notes[LIMIT - 1 :],
    }
    lines = errors[:LIMIT]
    lines += _annotations("warning", warnings[:LIMIT])
    lines += _annotations("notice", notes[: LIMIT - 1])
    untested = record["mutants"] and record["score"]["overall"]["score"] is None
    kind = "error" if untested else "notice"
    lines.append(_command(kind, _score(record), _summary(findings, left)))
    return "\n".join(lines) + "\n"


def _gates(record: Mapping[str, Any]) -> Iterator[str]:
    for gate in record["gates"]:
        if not gate["passed"]:
            yield _command("error", "mutation testing", gate["text"])


def _red(record: Mapping[str, Any]) -> Iterator[str]:
    """Tests that fail on the unmutated network, each where it stands."""
    tests = {one["test"]: one for one in record["tests"]}
    for entry in record["baseline"]:
        if entry["outcome"] in ("failed", "error"):
            test = tests.get(entry["test"])
            file = in_checkout(record["run"]["root"], test["file"]) if test else None
            place = {"file": file, "line": test["line"]} if test and file else {}
            title = f"fails on the unmutated network in {entry['cell']}: {entry['test']}"
            yield _command("error", visible(title, lines=False), entry["message"], **place)


def _annotations(kind: str, findings: Sequence[Finding]) -> Iterator[str]:
    for one in findings:
        place = {"file": one.spots[0].file, "line": one.spots[0].line} if one.spots else {}
        yield _command(kind, one.title, "\n".join(one.lines), **place)


def _score(record: Mapping[str, Any]) -> str:
    overall = record["score"]["overall"]
    if overall["score"] is None:
        return "mutation score: no mutant was tested"
    return f"mutation score {score_text(overall)}"


def _summary(findings: Sequence[Finding], left: Mapping[str, Sequence[Any]]) -> str:
    survivors = sum(one.kind == "survived" for one in findings)
    text = (
        f"{count_of(survivors, 'mutant')} survived; cells disagree on {len(findings) - survivors}."
    )
    out = [f"{len(some)} {what}" for what, some in left.items() if some]
    if out:
        text += (
            f" Left out here: {', '.join(out)}, since GitHub shows {LIMIT} of each kind a step. "
            "All are in the other reports."
        )
    return text


def _command(kind: str, title: str, message: str, **place: Any) -> str:
    title = title if len(title) <= _TITLE else title[: _TITLE - 4] + " ..."
    properties = ",".join(
        f"{k}={_escape(str(v), ':,')}" for k, v in (*place.items(), ("title", title))
    )
    return f"::{kind} {properties}::{_escape(message)}"


def _escape(text: str, more: str = "") -> str:
    """As the runner undoes it: the percent sign first, ends of lines, and in properties ``:,``."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return visible(text)
