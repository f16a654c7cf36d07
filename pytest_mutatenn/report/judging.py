"""From rows to verdicts: which rows count, and what the tests of a cell say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_mutatenn.analysis.verdict import Judgement, RowResult, Verdict, judge
from pytest_mutatenn.compiler.mutant import CHECKS
from pytest_mutatenn.report.grouped import groups_of, name_in_cells, per_cell

MADE = frozenset(["code_digest", "seconds_compile", "before", "after", "undefined", "change"])
"""What is known of a mutant as soon as it is made."""


def one_of_each(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in order; of a row that several workers ran, the first that ran to a result."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    ranked = sorted(rows, key=lambda r: (r["order"], r["test"], r["result"] == "spared"))
    for row in ranked:
        found.setdefault((row["model"], row["cell"], row["mutant"], row["test"]), row)
    return list(found.values())


def _with_twins(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that a worker left out as duplicates, with what the same code did on the same test.

    Which of several mutants with one code a worker meets first is chance; which of them stands
    for the others in the report is not.
    """
    done: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        if row["mutant"] in CHECKS or row.get("verdict") == Verdict.DUPLICATE.name:
            continue
        if (row.get("stats") or {}).get("accepted"):
            continue  # it was not run, and its twin may have been
        if row["result"] in ("passed", "failed", "verdict"):
            done.setdefault(_twins(row), row)
    return [
        _as_twin(row, done[_twins(row)])
        if row.get("verdict") == Verdict.DUPLICATE.name and _twins(row) in done
        else row
        for row in rows
    ]


def _as_twin(row: dict[str, Any], twin: Mapping[str, Any]) -> dict[str, Any]:
    """A row as if it had run: with its twin's result, and what is known of its own making."""
    stats = {**twin["stats"], **_made(row["stats"])}
    if "parts" in stats:
        own = row["stats"]["parts"]
        stats["parts"] = {
            cell: {**part, **_made(own.get(cell, {}))} for cell, part in stats["parts"].items()
        }
    return {**twin, "mutant": row["mutant"], "stats": stats}


def _made(stats: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stats.items() if name in MADE}


def _twins(row: Mapping[str, Any]) -> tuple[Any, ...]:
    code = (row.get("stats") or {}).get("code_digest") or row["mutant"]
    return row["model"], row["cell"], code, row["test"]


class Judge:
    """Gives verdicts from rows: those about a cell alone, and those that compare it with others."""

    def __init__(self, rows: list[dict[str, Any]], full_matrix: bool) -> None:
        self.full_matrix = full_matrix
        self.groups = groups_of(rows)
        self.rows: dict[tuple[str, str, str | None], list[dict[str, Any]]] = {}
        self._compared: dict[tuple[str, str, str | None], list[dict[str, Any]]] = {}
        self._green: dict[tuple[str, str], dict[str, bool]] = {}
        for row in _with_twins(rows):
            self.rows.setdefault((row["model"], row["cell"], row["mutant"]), []).append(row)
            for part in per_cell(row) if "cells" in row else ():
                key = part["model"], part["cell"], part["mutant"]
                self._compared.setdefault(key, []).append(part)
            if row["mutant"] is None:
                passed = row["result"] in ("passed", "compiled")
                self._green.setdefault((row["model"], row["cell"]), {})[row["test"]] = passed
                for cell in row.get("cells", ()):
                    there = self._green.setdefault((row["model"], cell), {})
                    there[name_in_cells(row)] = passed

    def all_rows(self, model: str, cell: str, mutant: str | None) -> list[dict[str, Any]]:
        """Rows about a mutant in a cell, those that compare it with others last."""
        key = model, cell, mutant
        return [*self.rows.get(key, ()), *self._compared.get(key, ())]

    def alone(self, model: str, cell: str, mutant: str) -> Judgement:
        """By the tests about that cell alone, or over that group of cells."""
        return self._read(self.rows.get((model, cell, mutant), ()), model, cell)

    def verdict(self, model: str, cell: str, mutant: str) -> Judgement:
        """By all tests."""
        return self._read(self.all_rows(model, cell, mutant), model, cell)

    def _read(self, rows: Iterable[Mapping[str, Any]], model: str, cell: str) -> Judgement:
        results = [
            RowResult(r["test"], r["order"], r["result"], r.get("verdict", ""), r["reason"])
            for r in rows
        ]
        green = self._green.get((model, cell), {})
        return judge(results, green, full_matrix=self.full_matrix)
