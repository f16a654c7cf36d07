"""The report of Stryker, which its viewer and its dashboard read.

A file of it is a text that mutants change, and a mutant of it is one of ours in one cell, so that
its score is ours. The format: https://github.com/stryker-mutator/mutation-testing-elements, package
mutation-testing-report-schema.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from pytest_mutatenn.compiler.edits import Edit
from pytest_mutatenn.report.safe_text import visible, write_text
from pytest_mutatenn.report.sources import parts_of

DEFAULT = "mutation-report.json"

VERSION = "2.0"
"""Of the format."""

STATUS = {
    "KILLED": "Killed",
    "SURVIVED": "Survived",
    "TIMEOUT": "Timeout",
    # a mutant that kills its process is detected; their RuntimeError is in no score
    "CRASHED": "Killed",
    "INVALID": "CompileError",
    "EQUIVALENT": "Ignored",
    "DUPLICATE": "Ignored",
    "SKIPPED": "Ignored",
}
"""Verdict -> what Stryker calls it."""

_LANGUAGE = {"tvmscript": "python"}
_SUFFIX = {"tvmscript": "py"}
_THRESHOLDS = {"high": 80, "low": 60}  # Stryker's own
_NOT_MADE = "not made.txt"

Range = tuple[tuple[int, int], tuple[int, int], str]
"""Where a range starts and ends, line and column from 1, and what takes its place."""


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write the report."""
    write_text(path, render(record))


def render(record: Mapping[str, Any]) -> str:
    """Give the report, a mutant on a line."""
    report = report_of(record)
    files = report.pop("files")
    rest = json.dumps(report, ensure_ascii=False, allow_nan=False)
    return f'{rest[:-1]}, "files": {{\n{_lines(files)}\n}}}}\n'


def _lines(files: Mapping[str, Mapping[str, Any]]) -> str:
    found = []
    for name, file in files.items():
        mutants = ",\n".join(_text(mutant) for mutant in file["mutants"])
        found.append(
            f'{_text(name)}: {{"language": {_text(file["language"])}, '
            f'"source": {_text(file["source"])}, "mutants": [\n{mutants}\n]}}'
        )
    return ",\n".join(found)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def report_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give the report as data, with ``files`` and the mutants of each sorted."""
    files: dict[str, dict[str, Any]] = {}
    names = _names(record["sources"])
    for source in record["sources"]:
        files[names[source["id"]]] = {
            "language": _LANGUAGE.get(source["language"], source["language"]),
            "source": source["text"],
            "mutants": [],
        }
    texts = {source["id"]: _Source(source["text"]) for source in record["sources"]}
    nowhere: dict[str, list[tuple[Mapping[str, Any], str]]] = {}
    for mutant in record["mutants"]:
        made = [there["change"] for there in mutant["cells"].values() if there["change"]]
        for cell, there in mutant["cells"].items():
            change = there["change"] or next(iter(made), None)
            if change is None:
                nowhere.setdefault(mutant["model"], []).append((mutant, cell))
                continue
            where = texts[change["source"]].range(change["edits"])
            beside = [names[part["source"]] for part in parts_of(change)[1:]]
            entry = _mutant(mutant, cell, where, beside, elsewhere=there["change"] is None)
            files[names[change["source"]]]["mutants"].append(entry)
    for model, entries in nowhere.items():
        files[_free(f"{_piece(model)}/{_NOT_MADE}", files)] = _not_made(entries)
    for file in files.values():
        file["mutants"].sort(key=lambda entry: entry["id"])
    run = record["run"]
    return {
        "schemaVersion": VERSION,
        "thresholds": dict(_THRESHOLDS),
        "framework": {
            "name": "pytest-mutatenn",
            # of runs that were combined, and differ in it, it is not known
            **({"version": run["version"]} if run["version"] else {}),
            "dependencies": {"apache-tvm": run["tvm"]} if run["tvm"] else {},
        },
        "config": run["options"] or {},
        "testFiles": _test_files(record),
        "files": {name: files[name] for name in sorted(files) if files[name]["mutants"]},
    }


# -- files --------------------------------------------------------------------------------------


def _names(sources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Source -> its file: network, stage and name, with its cells where cells have several."""
    short = {source["id"]: _name(source) for source in sources}
    several = {name for name, number in Counter(short.values()).items() if number > 1}
    found: dict[str, str] = {}
    for source in sources:
        name = short[source["id"]]
        if name in several:
            name = _name(source, f" ({', '.join(source['cells'])})")
        found[source["id"]] = _free(name, set(found.values()))
    return found


def _name(source: Mapping[str, Any], more: str = "") -> str:
    suffix = _SUFFIX.get(source["language"], "txt")
    pieces = _piece(source["model"]), source["stage"], _piece(source["name"]) + more
    return f"{'/'.join(pieces)}.{suffix}"


def _piece(text: str) -> str:
    """A part of a path: the viewer makes folders of what is between slashes."""
    return visible(text, lines=False).replace("/", "_").replace("\\", "_") or "_"


def _free(name: str, taken: Container[str]) -> str:
    """A name that is not taken: with a number behind it, where need be."""
    numbers = (f"{name} ({number})" for number in count(2))
    return next(free for free in chain([name], numbers) if free not in taken)


def _not_made(entries: Sequence[tuple[Mapping[str, Any], str]]) -> dict[str, Any]:
    """A file for the mutants that no cell has made: a line each."""
    lines = list(dict.fromkeys(visible(mutant["id"], lines=False) for mutant, _ in entries))
    numbers = {line: number for number, line in enumerate(lines, 1)}
    mutants = []
    for mutant, cell in entries:
        line = visible(mutant["id"], lines=False)
        where = (numbers[line], 1), (numbers[line], len(line) + 1), mutant["after"] or line
        mutants.append(_mutant(mutant, cell, where, []))
    return {"language": "text", "source": "\n".join(lines) + "\n", "mutants": mutants}


# -- mutants ------------------------------------------------------------------------------------


class _Source:
    """A text whose lines are counted once, however many mutants change it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(end.end() for end in re.finditer("\n", text))]

    def offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column - 1

    def position(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line_at(self, offset: int) -> tuple[int, int]:
        """Where the code of a line starts and ends; at the end of the text, of its last line."""
        if offset == len(self.text) and offset:
            offset -= 1
        start = self._starts[bisect_right(self._starts, offset) - 1]
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        line = self.text[start:end]
        return start + len(line) - len(line.lstrip()), end

    def range(self, edits: Sequence[Edit]) -> Range:
        """One range that has all edits in it, and what stands there with them made.

        A place where something is only put in is widened to its line, since nothing of it could be
        seen; an end of line at the end of the range is left out.
        """
        text = self.text
        spans = [(self.offset(a, b), self.offset(c, d), new) for a, b, c, d, new in edits]
        start, end = spans[0][0], spans[-1][1]
        if start == end:
            first, last = self.line_at(start)
            start, end = min(start, first), last
        parts, done = [], start
        for before, after, new in spans:
            parts += [text[done:before], new]
            done = after
        made = "".join([*parts, text[done:end]])
        if end > start and text[end - 1] == "\n":
            end -= 1
        if text[end : end + 1] == "\n":
            made = made.removesuffix("\n")
        return self.position(start), self.position(end), made


def _mutant(
    mutant: Mapping[str, Any],
    cell: str,
    where: Range,
    beside: Sequence[str],
    *,
    elsewhere: bool = False,
) -> dict[str, Any]:
    there = mutant["cells"][cell]
    start, end, replacement = where
    verdict = there["verdict"]
    tests = [*there["killed_by"], *there["survived"]]
    seconds = [there[name] for name in ("seconds_compile", "seconds_run") if there[name]]
    return {
        "id": visible(f"{mutant['model']} {mutant['id']} in {cell}", lines=False),
        "mutatorName": mutant["operator"],
        "location": {
            "start": {"line": start[0], "column": start[1]},
            "end": {"line": end[0], "column": end[1]},
        },
        "replacement": replacement,
        "description": _description(mutant, cell, beside, elsewhere=elsewhere),
        "status": STATUS[verdict],
        "statusReason": visible(_reason(there)),
        "killedBy": [visible(test, lines=False) for test in there["killed_by"]],
        "coveredBy": [visible(test, lines=False) for test in tests],
        "testsCompleted": len(tests),
        **({"duration": round(1000 * sum(seconds), 3)} if seconds else {}),
    }


def _description(
    mutant: Mapping[str, Any], cell: str, beside: Sequence[str], *, elsewhere: bool
) -> str:
    there = mutant["cells"][cell]
    before, after = (there[side] or mutant[side] for side in ("before", "after"))
    parts = [f"{cell}: {mutant['id']}", f"{before} -> {after}"]
    if mutant["layer"]:
        parts.append(f"layer {mutant['layer']}")
    if elsewhere:
        parts.append("not made in this cell; shown as another cell makes it")
    if beside:
        parts.append(f"it changes {', '.join(beside)}, too")
    if mutant["divergent"]:
        parts.append("cells disagree on it")
    return visible(". ".join(parts), lines=False)


def _reason(there: Mapping[str, Any]) -> str:
    """The verdict by our name where theirs says less, and why."""
    verdict, reason = there["verdict"], there["reason"]
    if STATUS[verdict].upper() != verdict:
        reason = f"{verdict}: {reason}" if reason else verdict
    if there.get("indistinguishable"):
        reason = f"{reason}. Its whole difference lies within the noise".removeprefix(". ")
    return str(reason)


# -- tests --------------------------------------------------------------------------------------


def _test_files(record: Mapping[str, Any]) -> dict[str, Any]:
    """Every test that any mutant or baseline names, by its file."""
    cells = [there for mutant in record["mutants"] for there in mutant["cells"].values()]
    ids = {entry["test"] for entry in record["baseline"]}
    ids |= {test for there in cells for test in (*there["killed_by"], *there["survived"])}
    found: dict[str, dict[str, Any]] = {}
    for test in sorted(visible(name, lines=False) for name in ids):
        file, _, name = test.partition("::")
        tests = found.setdefault(file, {"tests": []})["tests"]
        tests.append({"id": test, "name": name or test})
    return found
