"""Mutants with the same code: of each cell, and of each group of cells, the first stands for all.

A run judges this of its own mutants as it builds its report. Where its mutants are shared out over
several jobs, none of them sees all, and it is judged anew of the reports that are combined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.report.judging import MADE

DUPLICATE = Verdict.DUPLICATE.name

_KEPT = ("alone", "planned", "index", "accepted", "code", "artefacts", *sorted(MADE))
"""What is said of a mutant whose code another one has: how it was made, and nothing of its runs."""

Entry = dict[str, Any]
Blank = Callable[[], Entry]
"""Gives a cell's entry for a mutant that was not run."""


def same_code_as(first: str) -> str:
    """The reason of a duplicate."""
    return f"the same code as {first}"


def accepted_one(name: str) -> str:
    """How a duplicate's reason names a mutant that is accepted."""
    return f"{name}, which is accepted"


def counts(verdict: str) -> bool:
    """Whether a mutant with this verdict may stand for others, or have one that stands for it."""
    return verdict == DUPLICATE or Verdict[verdict].scored


def judge_anew(mutants: Iterable[Entry], blank: Blank) -> None:
    """Judge in place which mutants are duplicates.

    Parameters
    ----------
    mutants
        As they stand in reports, of any number of networks.
    blank
        What is left of an entry that nothing is known of.
    """
    by_model: dict[str, list[Entry]] = {}
    for mutant in mutants:
        by_model.setdefault(mutant["model"], []).append(mutant)
    for found in by_model.values():
        for cell in sorted({cell for mutant in found for cell in mutant["cells"]}):
            _cell(found, cell, blank)
        for group in sorted({group for mutant in found for group in mutant["groups"]}):
            _group(found, group)


def _cell(mutants: Sequence[Entry], cell: str, blank: Blank) -> None:
    there = [(m["cells"][cell], m) for m in mutants if cell in m["cells"]]
    there = [(entry, m) for entry, m in there if entry["planned"] and entry["code_digest"]]
    there.sort(key=lambda pair: (pair[0]["index"], pair[1]["id"]))
    accepted = {
        entry["code_digest"]: accepted_one(mutant["id"])
        for entry, mutant in there
        if entry["accepted"]
    }
    first, first_alone = dict(accepted), dict(accepted)
    for entry, mutant in there:
        code, name = entry["code_digest"], mutant["id"]
        if counts(entry["alone"]) and first_alone.setdefault(code, name) != name:
            entry["alone"] = DUPLICATE
        if counts(entry["verdict"]) and first.setdefault(code, name) != name:
            kept = {key: entry[key] for key in _KEPT}
            found = {"verdict": DUPLICATE, "reason": same_code_as(first[code]), **kept}
            # in the order of a report's fields
            mutant["cells"][cell] = {key: found.get(key, value) for key, value in blank().items()}


def _group(mutants: Sequence[Entry], group: str) -> None:
    there = [m for m in mutants if m["groups"].get(group, {}).get("code_digest")]
    there.sort(key=_place)
    first: dict[str, str] = {}
    for mutant in there:
        entry = mutant["groups"][group]
        stands = first.setdefault(entry["code_digest"], mutant["id"])
        if counts(entry["verdict"]) and stands != mutant["id"]:
            mutant["groups"][group] = {
                **entry,
                "verdict": DUPLICATE,
                "reason": same_code_as(stands),
                "killed_by": [],
                "survived": [],
            }


def _place(mutant: Mapping[str, Any]) -> tuple[str, int, str]:
    """Where a mutant stands in the plans, which are read in the order of the cells' names."""
    return min(
        (cell, entry["index"], mutant["id"])
        for cell, entry in mutant["cells"].items()
        if entry["planned"]
    )
