"""The part ``sources`` of the report: the texts that mutants change, each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["merged_sources", "parts_of", "sources_of"]


def parts_of(change: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Each text that a mutant changes, with its edits, in the order of the stages."""
    return [] if change is None else [change, *change.get("others", ())]


def sources_of(
    mutants: Iterable[dict[str, Any]], known: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The texts that the mutants of a report change, with the cells that have them.

    A change of which a text is not known is none any more: its process has ended before it could
    tell.
    """
    cells: dict[str, set[str]] = {}
    for mutant in mutants:
        for cell, there in mutant["cells"].items():
            parts = parts_of(there["change"])
            if any(part["source"] not in known for part in parts):
                there["change"] = None
                continue
            for part in parts:
                cells.setdefault(part["source"], set()).add(cell)
    return [_entry(name, known[name], cells[name]) for name in sorted(cells)]


def merged_sources(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The texts of several reports."""
    found: dict[str, Mapping[str, Any]] = {}
    cells: dict[str, set[str]] = {}
    for source in _each(records):
        found[source["id"]] = source
        cells.setdefault(source["id"], set()).update(source["cells"])
    return [_entry(name, found[name], cells[name]) for name in sorted(found)]


def _each(records: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for record in records:
        yield from record["sources"]


def _entry(name: str, source: Mapping[str, Any], cells: Iterable[str]) -> dict[str, Any]:
    return {
        "id": name,
        "model": source["model"],
        "stage": source["stage"],
        "name": source["name"],
        "cells": sorted(cells),
        "language": source["language"],
        "text": source["text"],
    }
