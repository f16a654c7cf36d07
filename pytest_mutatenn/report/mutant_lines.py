"""All that a report has of one mutant, as lines for a terminal."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.compiler.edits import apply_edits
from pytest_mutatenn.report.one_mutant import command_of, run_arguments
from pytest_mutatenn.report.safe_text import visible
from pytest_mutatenn.report.sources import parts_of
from pytest_mutatenn.report.words import count_of

__all__ = ["lines_of"]

_COLOURS = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "blue": "34"}
_CONTEXT = 3  # lines around a change
_MANY = 40  # lines of one change that are shown


class _Paint:
    """Colours text, or leaves it; what could steer a terminal is written out either way."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, *colours: str) -> str:
        text = visible(text, lines=False)
        codes = ";".join(_COLOURS[name] for name in colours if name in _COLOURS)
        return f"\033[{codes}m{text}\033[0m" if self._colour and codes and text else text


def lines_of(
    record: Mapping[str, Any], mutant: Mapping[str, Any], *, colour: bool
) -> Iterator[str]:
    """Yield the lines.

    Parameters
    ----------
    record, mutant
        The report, and one of its mutants.
    colour
        Whether to colour them for a terminal.
    """
    paint = _Paint(colour=colour)
    yield paint(mutant["id"], "bold")
    yield from _what(record, mutant, paint)
    sources = {source["id"]: source for source in record["sources"]}
    shown: dict[str, list[str]] = {}
    for cell, there in mutant["cells"].items():
        lines = list(_change(there["change"], sources, paint))
        if not lines and (there["before"] or there["after"]):
            lines = [paint(f"- {there['before']}", "red"), paint(f"+ {there['after']}", "green")]
        if lines:
            shown.setdefault("\n".join(lines), []).append(cell)
    for text, cells in shown.items():
        yield ""
        if len(shown) > 1:
            yield paint(f"in {', '.join(cells)}:", "cyan")
        yield from text.split("\n")
    for cell, there in mutant["cells"].items():
        yield ""
        yield from _cell(record, mutant, cell, there, paint)


def _what(record: Mapping[str, Any], mutant: Mapping[str, Any], paint: _Paint) -> Iterator[str]:
    sources = {model["id"]: model["source"] for model in record["models"]}
    parameters = ", ".join(f"{name} = {value}" for name, value in mutant["parameters"].items())
    about = {
        "network": f"{mutant['model']} ({sources.get(mutant['model'], '')})",
        "operator": f"{mutant['operator']}, {mutant['category']}"
        + (f"; {parameters}" if parameters else ""),
        "stage": f"{mutant['stage']}, at {mutant['kernel']}",
        "layers": mutant["layer"],
        "weight": mutant["weight"] or "",
    }
    for name, value in about.items():
        if value:
            yield f"  {name:9} {paint(str(value))}"
    if mutant["divergent"]:
        yield "  " + paint("divergent: its verdicts differ between cells", "yellow")


def _change(
    change: Mapping[str, Any] | None, sources: Mapping[str, Any], paint: _Paint
) -> Iterator[str]:
    """A change in context: each text's lines that differ, and some around them."""
    for part in parts_of(change):
        source = sources.get(part["source"])
        if source is None:
            continue
        before = source["text"]
        after = apply_edits(before, part["edits"])
        lines = list(
            difflib.unified_diff(before.splitlines(), after.splitlines(), n=_CONTEXT, lineterm="")
        )[2:]
        yield paint(f"{source['name']}, {source['language']}", "cyan")
        for line in lines[:_MANY]:
            name = {"-": "red", "+": "green", "@": "cyan"}.get(line[:1], "")
            yield paint(line, name)
        if len(lines) > _MANY:
            yield paint(f"... and {len(lines) - _MANY} more lines of it", "cyan")


def _cell(
    record: Mapping[str, Any],
    mutant: Mapping[str, Any],
    cell: str,
    there: Mapping[str, Any],
    paint: _Paint,
) -> Iterator[str]:
    verdict = Verdict[there["verdict"]]
    yield f"{paint(cell, 'bold')}  {paint(verdict.name, verdict.colour, 'bold')}"
    about = {
        "because": there["reason"],
        "killed by": ", ".join(there["killed_by"]),
        "passed": ", ".join(there["survived"]),
        "inputs": _inputs(there),
        "outcome": there["outcome"] or "",
        "outside": there["undefined"] or "",
        "took": _seconds(there),
        "code": there["code_digest"] or "",
        "artefacts": _artefacts(record, there),
        "stderr": there["stderr"],
    }
    for name, value in about.items():
        for line in str(value).splitlines():
            yield f"  {name:9} {paint(line)}"
            name = ""
    if there["planned"]:
        alone = command_of(mutant["id"], cell, run_arguments(record, cell))
        yield f"  {'alone':9} {paint(alone)}"


def _inputs(there: Mapping[str, Any]) -> str:
    if there["inputs_run"] is None:
        return ""
    said = [f"{count_of(there['inputs_run'], 'input')} run"]
    ranges = there["inputs"] or {}
    for name, words in (
        ("infected", "infected"),
        ("propagated", "with another output"),
        ("top1_changed", "with another best class"),
    ):
        if there[name] is not None:
            which = f" ({ranges[name]})" if ranges.get(name) else ""
            said.append(f"{there[name]} {words}{which}")
    return ", ".join(said)


def _seconds(there: Mapping[str, Any]) -> str:
    told = {"to compile": there["seconds_compile"], "to run": there["seconds_run"]}
    return ", ".join(f"{value:.3f} s {name}" for name, value in told.items() if value is not None)


def _artefacts(record: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    if not there["artefacts"]:
        return ""
    folder = record["artefacts"]["folder"]
    first = there["artefacts"][0].rpartition("/")[0]
    place = f"{folder}/{first}" if folder else first
    return f"{count_of(len(there['artefacts']), 'file')} in {place}"
