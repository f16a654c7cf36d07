"""A summary in Markdown, for a job's page or a comment.

GitHub takes 1 MiB of it from a step, and none of a longer one. Sections that no longer fit are left
out whole, and the last line says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_mutatenn.operators.registry import CATEGORIES
from pytest_mutatenn.report.findings import Finding, findings_of
from pytest_mutatenn.report.safe_text import visible, write_text
from pytest_mutatenn.report.words import count_of, score_text

DEFAULT = "mutatenn.md"

LIMIT = 2**20
"""Bytes that GitHub takes from a step."""
_NAMES = {"divergent": "mutants on which cells disagree", "survived": "survivors"}
_MARKUP = re.compile(r"[^\w ,;%()/.-]|(?<![^\W_])_|_(?![^\W_])|www")
_RESERVED = 400
"""Bytes for the line that says what was left out."""


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the summary."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the summary, in at most 1 MiB."""
    text = summary(record, LIMIT)
    assert text is not None
    return text


def summary(record: Mapping[str, Any], limit: int) -> str | None:
    """Give the summary in at most so many bytes; None where not even its head fits."""
    return fitted(_head(record), _sections(record), limit)


def fitted(head: str, sections: Iterable[tuple[str, str]], limit: int = LIMIT) -> str | None:
    """Give a head and as many sections as there is room for, in order; whole ones.

    Parameters
    ----------
    head
        What stands first.
    sections
        Of each what it is, for the line that says what was left out, and its text.
    limit
        Bytes; where not even the head fits, there is no text.
    """
    room = limit - _size(head) - _RESERVED
    if room < 0:
        return None
    found, left = [head], list[str]()
    for name, text in sections:
        if _size(text) <= room and not left:
            found.append(text)
            room -= _size(text)
        else:
            left.append(name)
    if left:
        found.append(_left_out(left))
    return "\n".join(found)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace")) + 1


def _left_out(names: list[str]) -> str:
    counts = {name: names.count(name) for name in names}
    words = [name if count == 1 else f"{name} ({count})" for name, count in counts.items()]
    return (
        f"> Left out, for GitHub takes no more than {LIMIT >> 20} MiB of a step: "
        f"{', '.join(words)}. The other reports have them.\n"
    )


def _head(record: Mapping[str, Any]) -> str:
    overall = record["score"]["overall"]
    lines = [f"## Mutation score: {_percent(overall)}", ""]
    lines += [f"- {'✅' if gate['passed'] else '❌'} {plain(gate['text'])}"
              for gate in record["gates"]]  # fmt: skip
    lines.append(
        f"- {overall['detected']} detected, {overall['survived']} survived, over "
        f"{count_of(len(record['score']['by_cell']), 'cell')}; cells disagree on "
        f"{count_of(len(record['divergent']), 'mutant')}"
    )
    networks = ", ".join(code(model["id"]) for model in record["models"])
    run = record["run"]
    ours, tvm = (plain(run[name] or "of several versions") for name in ("version", "tvm"))
    lines.append(
        f"- {networks or 'no network'}; pytest-mutatenn {ours}, TVM {tvm}; {run['seconds']:.1f} s"
    )
    return "\n".join(lines) + "\n"


def _sections(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of each, in the order in which they are given room."""
    red = [entry for entry in record["baseline"] if entry["outcome"] in ("failed", "error")]
    alive = [c for c in record["checks"] if c["id"] == "canary" and c["verdict"] == "SURVIVED"]
    away = [cell for cell in record["cells"] if not cell["available"]]
    told = [f"{code(e['test'])} fails on the unmutated network in {code(e['cell'])}" for e in red]
    told += [f"**The canary lives** in {code(c['cell'])}: this suite cannot kill anything"
             for c in alive]  # fmt: skip
    told += [f"{code(c['id'])}: no such device, {plain(c['reason'])}" for c in away]
    told += [plain(text) for text in record["warnings"]]
    if told:
        yield "warnings", "### Warnings\n\n" + "".join(f"- {text}\n" for text in told)
    scores = record["score"]
    if record["mutants"]:
        titles = {
            **CATEGORIES,
            **{name: name for name in scores["by_category"].keys() - CATEGORIES},
        }
        parts = [(titles[name], scores["by_category"][name])
                 for name in titles if name in scores["by_category"]]  # fmt: skip
        yield "scores by category", _table("category", parts)
        if len(scores["by_cell"]) > 1:
            yield "scores by cell", _table("cell", scores["by_cell"].items())
    findings = findings_of(record)
    for kind, title in (("divergent", "Cells disagree"), ("survived", "Survivors")):
        some = [one for one in findings if one.kind == kind]
        for i, one in enumerate(some):
            heading = "" if i else f"### {title}: {len(some)}\n\n"
            yield _NAMES[kind], heading + _finding(one)
    excluded = [f"{count} {name}" for name, count in record["excluded"].items() if count]
    if excluded:
        yield "what is not in the score", f"Not in the score: {plain(', '.join(excluded))}.\n"


def _table(what: str, parts: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    lines = [f"| {what} | detected | survived | score |", "|---|---:|---:|---:|"]
    lines += [
        f"| {plain(name)} | {found['detected']} | {found['survived']} | {_percent(found)} |"
        for name, found in parts
    ]
    return "\n".join(lines) + "\n"


def _percent(found: Mapping[str, Any]) -> str:
    return "–" if found["score"] is None else score_text(found)


def _finding(one: Finding) -> str:
    mark = "⚠️ " if one.level == "warning" else ""
    where = f"\n{plain(one.spots[0].file)}:{one.spots[0].line}\n" if one.spots else ""
    cells = ", ".join(map(code, one.cells))
    return (
        f"<details><summary>{mark}{code(one.mutant['id'])} in {cells}</summary>\n{where}\n"
        f"{fenced(one.lines)}\n</details>\n"
    )


def fenced(lines: Iterable[str]) -> str:
    """A block of code in which nothing is markup; each line is coloured by its sign."""
    text = "\n".join(lines)
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}diff\n{text}\n{fence}\n"


def plain(text: str) -> str:
    """Text in which nothing is markup, a mention or a link."""
    return _MARKUP.sub(_entity, visible(text, lines=False))


def code(text: str) -> str:
    """The same in the type of code."""
    return f"<code>{plain(text)}</code>"


def _entity(match: re.Match[str]) -> str:
    return "".join(f"&#{ord(character)};" for character in match[0])
