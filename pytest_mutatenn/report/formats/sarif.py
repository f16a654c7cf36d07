"""Findings as SARIF 2.1.0, for whatever lists what tools find in a repository.

The standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. A rule is a mutation
operator. A result stands at the marker of a test file that let the mutant pass; the TVMScript it
changes is part of the file, as an embedded artifact, and a related location.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_mutatenn.report.findings import Finding, Spot, findings_of
from pytest_mutatenn.report.safe_text import visible, write_text

DEFAULT = "mutatenn.sarif"

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_SUFFIX = {"tvmscript": "py", "c": "c", "opencl": "cl", "cuda": "cu", "llvm": "ll", "asm": "s"}
_LINK = re.compile(r"\[([^\[\]]*)\]\(")


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the findings."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the findings, the most important first."""
    findings = findings_of(record)
    sources = _sources(record, findings)
    rules = _rules(record, findings)
    places = {rule["id"]: i for i, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "pytest-mutatenn",
                "version": record["run"]["version"] or "",
                "rules": rules,
            }
        },
        # code scanning keeps the results of runs with other ids beside these
        "automationDetails": {"id": f"mutatenn/{'+'.join(c['id'] for c in record['cells'])}/"},
        "columnKind": "unicodeCodePoints",
        "artifacts": [_artifact(source) for source in sources.values()],
        "results": [_result(one, places, sources) for one in findings],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _sources(record: Mapping[str, Any], findings: list[Finding]) -> dict[str, dict[str, Any]]:
    """The sources that findings point into, by id, numbered as artifacts."""
    wanted = {change["source"] for one in findings for _, change in one.changes}
    found = [source for source in record["sources"] if source["id"] in wanted]
    return {source["id"]: {**source, "index": i} for i, source in enumerate(found)}


def _artifact(source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "location": {"uri": _uri(source), "index": source["index"]},
        "contents": {"text": source["text"]},
        "sourceLanguage": "python" if source["language"] == "tvmscript" else source["language"],
        "encoding": "UTF-8",
        "description": {
            "text": _plain(f"{source['stage']} of {source['model']}: {source['name']}")
        },
    }


def _uri(source: Mapping[str, Any]) -> str:
    return f"mutatenn/sources/{source['id']}.{_SUFFIX.get(source['language'], 'txt')}"


def _rules(record: Mapping[str, Any], findings: list[Finding]) -> list[dict[str, Any]]:
    used = {one.mutant["operator"] for one in findings}
    return [
        {
            "id": operator["id"],
            "shortDescription": {"text": _plain(operator["summary"])},
            "help": {
                "text": _plain(
                    f"{operator['summary']} A test that passes on such a fault does not check what "
                    "it breaks: add an assertion that fails on it, or an input that shows it."
                )
            },
            "defaultConfiguration": {"level": "warning"},
            "properties": {"tags": ["mutation-testing", operator["category"]]},
        }
        for operator in record["operators"]
        if operator["id"] in used
    ]


def _result(
    one: Finding, rules: Mapping[str, int], sources: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    mutant = one.mutant
    within = list(_within(one, sources))
    location: dict[str, Any] = {
        "logicalLocations": [
            {
                "name": visible(mutant["kernel"], lines=False),
                "fullyQualifiedName": visible(f"{mutant['model']}::{mutant['id']}", lines=False),
                "kind": "function",
            }
        ]
    }
    if one.spots:
        location["physicalLocation"] = _spot(one.spots[0])
    elif within:
        location["physicalLocation"] = within[0]["physicalLocation"]
    related = [{"physicalLocation": _spot(spot)} for spot in one.spots[1:]] + within
    return {
        "ruleId": mutant["operator"],
        "ruleIndex": rules[mutant["operator"]],
        "kind": "fail",
        "level": one.level,
        "message": {"text": _plain("\n".join((one.title, *one.lines)))},
        "locations": [location],
        "relatedLocations": [{"id": i, **place} for i, place in enumerate(related, 1)],
        "partialFingerprints": {"mutatenn/v1": one.fingerprint},
        "properties": {
            "finding": one.kind,
            "mutant": mutant["id"],
            "model": mutant["model"],
            "stage": mutant["stage"],
            "layer": mutant["layer"],
            "verdicts": {cell: mutant["cells"][cell]["verdict"] for cell in one.cells},
        },
    }


def _spot(spot: Spot) -> dict[str, Any]:
    uri = quote(spot.file.encode("utf-8", "surrogateescape"))
    return {"artifactLocation": {"uri": uri}, "region": {"startLine": spot.line}}


def _within(one: Finding, sources: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each edit that makes the mutant, where it is in its source."""
    for cells, change in one.changes:
        source = sources[change["source"]]
        for edit in change["edits"]:
            start_line, start_column, end_line, end_column, _ = edit
            yield {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(source), "index": source["index"]},
                    "region": {
                        "startLine": start_line,
                        "startColumn": start_column,
                        "endLine": end_line,
                        "endColumn": end_column,
                    },
                },
                "message": {"text": _plain(f"{', '.join(cells)}: {_edit(edit)}")},
            }


def _edit(edit: Sequence[Any]) -> str:
    after = edit[4]
    if not after:
        return "this is left out"
    return f"{after} is put in" if edit[:2] == edit[2:4] else f"this becomes {after}"


def _plain(text: str) -> str:
    """Text of a message, in which a link is no link."""
    return _LINK.sub(r"\\[\1\\](", visible(text))
