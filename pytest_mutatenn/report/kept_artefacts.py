"""What a report says of the artefacts that were kept: their paths, and the code that changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.compiler.edits import edits_between
from pytest_mutatenn.devices.emitted import LANGUAGES
from pytest_mutatenn.engine.texts import source_id
from pytest_mutatenn.report.artefacts import (
    BASELINE,
    INDEX,
    SCHEMA,
    folder_of,
    read_index,
    write_json,
)

__all__ = ["common_artefacts", "take_artefacts"]

_ELSEWHERE = "kept by a worker on another machine, or taken away since"
_CODE = {language: i for i, language in enumerate(LANGUAGES.values())}


def take_artefacts(
    record: dict[str, Any],
    folder: Path,
    relative: str,
    kinds: Sequence[str],
    ids: Mapping[tuple[str, str, str], str],
) -> None:
    """Put what was kept into the report, and write the index of the folder.

    Parameters
    ----------
    record
        The report.
    folder, relative
        The folder of artefacts, and what the report calls it.
    kinds
        What was wanted.
    ids
        (model, cell, mutant as the report names it) -> its id within the cell.
    """
    record["artefacts"] = {"folder": relative, "kept": list(kinds)}
    sources: dict[str, dict[str, Any]] = {}
    entries: list[dict[str, Any]] = []
    for model, cell, mutant, told in _wanted(record):
        own = None if mutant is None else ids.get((model, cell, mutant), mutant)
        place = folder_of(model, cell, own)
        index = read_index(folder / place)
        about = {"model": model, "cell": cell, "mutant": mutant}
        if index is None:
            reason = _why_none(told)
            if told is not None and reason == _ELSEWHERE:
                record["warnings"] = sorted(
                    {*record["warnings"], f"{mutant} in {cell}: no artefacts, {_ELSEWHERE}."}
                )
            entries.append({**about, "folder": None, "reason": reason, "files": [], "missing": {}})
            continue
        entries.append({**about, "folder": place.as_posix(), **_said(index)})
        if told is not None:
            names = sorted([file["name"] for file in index["files"]] + [INDEX])
            told["artefacts"] = [f"{place.as_posix()}/{name}" for name in names]
            told["code"] = _code(folder, place, index, sources)
    known = {source["id"]: source for source in record["sources"]}
    record["sources"] = [{**known, **sources}[key] for key in sorted({**known, **sources})]
    write_json(folder / INDEX, {"schema": SCHEMA, "kept": list(kinds), "entries": entries})


def _wanted(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None, Any]]:
    """Model, cell and mutant of all that artefacts may be of, and the report's part about it."""
    for model, cell in sorted({(e["model"], e["cell"]) for e in record["baseline"]}):
        if any(known["id"] == cell for known in record["cells"]):
            yield model, cell, None, None
    for mutant in record["mutants"]:
        for cell, told in mutant["cells"].items():
            yield mutant["model"], cell, mutant["id"], told


def _said(index: Mapping[str, Any]) -> dict[str, Any]:
    return {name: index[name] for name in ("reason", "files", "missing")}


def _why_none(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "no row of the unmutated network ran here"
    return str(told["reason"]) if told["verdict"] == "SKIPPED" else _ELSEWHERE


def _code(
    folder: Path, place: Path, index: Mapping[str, Any], sources: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """How a mutant's generated code differs, kernel by kernel, in the shape of ``change``.

    None where no source was kept, or it differs in no kernel that the baseline has.
    """
    base = folder / place.parent / BASELINE
    found = [file for file in index["files"] if file["language"] in _CODE and file["before"]]
    first = min((_CODE[file["language"]] for file in found), default=0)
    parts = []
    for file in found:
        if _CODE[file["language"]] != first:
            continue
        try:
            before = (base / file["before"]).read_text(encoding="utf-8")
            after = (folder / place / file["name"]).read_text(encoding="utf-8")
        except OSError:
            continue
        if before != after:
            source = _source(index, file, before)
            known = sources.setdefault(source["id"], source)
            known["cells"] = sorted({*known["cells"], index["cell"]})
            edits = [list(edit) for edit in edits_between(before, after)]
            parts.append({"source": source["id"], "edits": edits})
    return {**parts[0], "others": parts[1:]} if parts else None


def _source(index: Mapping[str, Any], file: Mapping[str, Any], text: str) -> dict[str, Any]:
    key = combine("code", file["place"], file["language"], text)
    return {
        "id": source_id(index["model"], key),
        "model": index["model"],
        "stage": "code",
        "name": file["place"],
        "cells": [index["cell"]],
        "language": file["language"],
        "text": text,
    }


def common_artefacts(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the artefacts of several runs are: in one folder, if all of them say the same."""
    folders = {record["artefacts"]["folder"] for record in records}
    kept = [kind for record in records for kind in record["artefacts"]["kept"]]
    return {
        "folder": folders.pop() if len(folders) == 1 else None,
        "kept": list(dict.fromkeys(kept)),
    }
