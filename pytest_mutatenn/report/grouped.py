"""Rows of tests that compare cells: what they say of each cell, and of the cells together.

A test that compares cells is a test of each of them, and is read after those that are about one
cell. So a mutant that only such a test kills is killed in each of its cells, once a cell, and a
test that passes takes nothing from the score. Beside that the cells have a column together, which
says what the comparison alone finds; it is in no sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_mutatenn.analysis.verdict import Judgement, Verdict

Rows = Mapping[tuple[str, str, str | None], list[dict[str, Any]]]

_LATER = 10**9  # a place in the collection behind every test of one cell


def per_cell(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a row of several cells says of each: a row of that cell."""
    found = []
    parts = (row.get("stats") or {}).get("parts", {})
    for cell in row["cells"]:
        part = parts.get(cell, {})
        result, verdict, reason = row["result"], row["verdict"], row["reason"]
        if row["mutant"] is not None:
            result, verdict, reason = _there(row, part)
        found.append(
            {
                **row,
                "cell": cell,
                "test": name_in_cells(row),
                "order": row["order"] + _LATER,
                "result": result,
                "verdict": verdict,
                "reason": reason,
                "stats": part,
            }
        )
    return found


def _there(row: Mapping[str, Any], part: Mapping[str, Any]) -> tuple[str, str, str]:
    if part.get("equivalent"):
        return "verdict", Verdict.EQUIVALENT.name, "the generated code is the baseline's"
    if row["result"] != "verdict":
        return row["result"], row["verdict"], row["reason"]
    if part.get("verdict"):
        return "verdict", part["verdict"], part["reason"]
    # another cell has it not, or gave no answer, which says nothing of this one
    return "skipped", "", row["reason"]


def name_in_cells(row: Mapping[str, Any]) -> str:
    """A test that compares cells, as the reports of its cells name it."""
    return f"{row['test']} ({row['cell']})"


def groups_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Model -> groups of cells that some test compares -> their cells."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if "cells" in row:
            found.setdefault(row["model"], {})[row["cell"]] = list(row["cells"])
    return {model: dict(sorted(groups.items())) for model, groups in sorted(found.items())}


def column(
    alone: Mapping[str, Verdict],
    cells: Iterable[str],
    judgement: Judgement | None,
    *,
    full_matrix: bool,
) -> dict[str, Any]:
    """A mutant's entry in the column of several cells.

    Parameters
    ----------
    alone
        Cell that has the mutant -> the verdict of the tests that are about that cell alone.
    cells
        The cells.
    judgement
        That of the tests that compare them; None where none ran.
    full_matrix
        Whether every test was to run on every mutant.
    """
    missing = [cell for cell in cells if cell not in alone]
    if missing:
        nowhere = f"not among the mutants of {', '.join(missing)}"
        judgement = Judgement(Verdict.SKIPPED, nowhere)
    elif not full_matrix and all(alone[cell].detected for cell in cells):
        # whether its rows were spared depends on what the worker knew
        judgement = Judgement(Verdict.SKIPPED, "detected in each of its cells")
    elif judgement is None:
        judgement = Judgement(Verdict.SKIPPED, "not run: no test on it was selected")
    return {
        "verdict": judgement.verdict.name,
        "reason": judgement.reason,
        "killed_by": sorted(judgement.killed_by),
        "survived": sorted(judgement.survived),
    }
