"""Divergent mutants: the same fault, and the tests of one cell see it where another's do not."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.analysis.verdict import Verdict
from pytest_mutatenn.report.differences import comparer_of
from pytest_mutatenn.report.words import Write, count_of, cut, more

if TYPE_CHECKING:
    from pytest_mutatenn.engine.store import Store

_SHOWN = 10
_FIGURES = ("outcome", "inputs_run", "infected", "propagated", "top1_changed", "tau_mean")


def divergent_of(record: Mapping[str, Any], store: Store | None) -> list[dict[str, Any]]:
    """Explain each divergent mutant by two cells in which its verdicts differ.

    Parameters
    ----------
    record
        The report, with where each answer is stored.
    store
        Where the answers lie; None where they are not to be had.

    Returns
    -------
    list of dict
        ``model`` and ``mutant``; ``verdicts``, cell -> verdict of that cell's own tests; ``cells``,
        the two that are set against each other, one that detects it first where one does not;
        ``same_change``, whether their code changes in the same lines; ``before`` and ``after``,
        cell -> those lines; ``figures``, cell -> what the mutant did there; ``between``, how far
        the two cells' outputs are from each other, on all inputs or on those that the killing
        assertion failed for; None where neither is known.
    """
    comparers = {
        model["id"]: comparer_of(model, store) if store is not None else None
        for model in record["models"]
    }
    found = []
    for mutant in record["mutants"]:
        if not mutant["divergent"]:
            continue
        cells = {
            cell: there for cell, there in mutant["cells"].items() if Verdict[there["alone"]].scored
        }
        a, b = _two(cells)
        both = {cell: cells[cell] for cell in (a, b)}
        lines = [(there["before"], there["after"]) for there in both.values()]
        found.append(
            {
                "model": mutant["model"],
                "mutant": mutant["id"],
                "verdicts": {cell: there["alone"] for cell, there in cells.items()},
                "cells": [a, b],
                "same_change": lines[0] == lines[1],
                "before": {cell: there["before"] for cell, there in both.items()},
                "after": {cell: there["after"] for cell, there in both.items()},
                "figures": {cell: _figures(there) for cell, there in both.items()},
                "between": _between(comparers.get(mutant["model"]), *both.values()),
            }
        )
    return found


def between_others(record: Mapping[str, Any], store: Store) -> list[dict[str, Any]]:
    """How far cells that disagree are from each other, beside the two that were chosen.

    Of the part of a run this is kept for the whole, where a mutant may turn out to have another's
    code in one of the two, and others are set against each other.
    """
    comparers = {model["id"]: comparer_of(model, store) for model in record["models"]}
    mutants = {(m["model"], m["id"]): m["cells"] for m in record["mutants"]}
    found = []
    for entry in record["divergent"]:
        cells = mutants[entry["model"], entry["mutant"]]
        for a, b in itertools.permutations(entry["verdicts"], 2):
            verdicts = [Verdict[cells[cell]["alone"]] for cell in (a, b)]
            as_chosen = verdicts[0].detected and verdicts[0] is not verdicts[1]
            if as_chosen and [a, b] != entry["cells"]:
                between = _between(comparers[entry["model"]], cells[a], cells[b])
                of = {"model": entry["model"], "mutant": entry["mutant"], "cells": [a, b]}
                found.append({**of, "between": between})
    return found


def _two(cells: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Two cells that disagree: one that detects the mutant and one that does not, if there are."""
    detected = [cell for cell, there in cells.items() if Verdict[there["alone"]].detected]
    survived = [cell for cell in cells if cell not in detected]
    if survived:
        return detected[0], survived[0]
    first = detected[0]
    return first, next(c for c in detected if cells[c]["alone"] != cells[first]["alone"])


def _figures(there: Mapping[str, Any]) -> dict[str, Any]:
    return {"reason": there["reason"], **{name: there[name] for name in _FIGURES}}


def _between(comparer: Any, a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any] | None:
    keys = a.get("evaluation"), b.get("evaluation")
    if comparer is None or not all(keys):
        return None
    if a["propagated"] is not None and b["propagated"] is not None:
        found: dict[str, Any] | None = comparer.compare(*keys)
    else:
        found = comparer.compare_at(*keys, a["deciding"] or b["deciding"])
    return found


def write_divergent(record: Mapping[str, Any], line: Write, *, verbose: bool) -> None:
    """Write the divergent mutants with what explains them, a line a call."""
    found = record["divergent"]
    if not found:
        return
    line("")
    other = sum(not entry["same_change"] for entry in found)
    why = f" ({other} of them another change in each cell's code)" if other else ""
    line(f"{count_of(len(found), 'mutant')} on which cells disagree{why}:", bold=True)
    # where the change is the same, it is the cells that differ
    found = sorted(found, key=lambda entry: not entry["same_change"])
    mutants = {(m["model"], m["id"]): m for m in record["mutants"]}
    for entry in found if verbose else found[:_SHOWN]:
        verdicts = ", ".join(f"{cell} {verdict}" for cell, verdict in entry["verdicts"].items())
        line(f"  {entry['mutant']}: {verdicts}")
        for text in explanation(entry):
            line(f"    {text}")
        cells = mutants[entry["model"], entry["mutant"]]["cells"]
        strays = [cell for cell, there in cells.items() if there["undefined"]]
        if strays:
            line(f"    it reaches outside its buffers in {', '.join(strays)}, which is undefined")
    if not verbose:
        more(line, len(found) - _SHOWN)


def explanation(entry: Mapping[str, Any]) -> list[str]:
    """Why a mutant's verdicts differ, in lines: by the two codes, then by the two outputs."""
    a, b = entry["cells"]
    before, after = entry["before"], entry["after"]
    if entry["same_change"]:
        lines = [f"- {cut(before[a], after[a])}", f"+ {cut(after[a], before[a])}"]
    else:
        lines = ["another change in each cell's code:"]
        for cell in (a, b):
            lines += [
                f"{cell} - {cut(before[cell], after[cell])}",
                f"{cell} + {cut(after[cell], before[cell])}",
            ]
    for cell in (a, b):
        lines.append(f"{cell}: {_what(entry['figures'][cell])}")
    between = entry["between"]
    if between is not None:
        lines.append(f"between the two: {_distance(between)}")
    return lines


def _what(figures: Mapping[str, Any]) -> str:
    reason = (figures["reason"].splitlines() or [""])[0]
    if figures["propagated"] is None:
        return cut(reason) or "it gave no outputs"
    said = (
        f"the output differs from the unmutated network's for "
        f"{count_of(figures['propagated'], 'input')}, the top-1 for {figures['top1_changed']}"
    )
    return said if not reason else f"{said}; {cut(reason)}"


def _distance(between: Mapping[str, Any]) -> str:
    inputs = count_of(between["inputs"], "input")
    if not between["differing"]:
        return f"the same bits for {inputs}"
    top1 = between["top1_dissimilar"]
    which = f" ({', '.join(top1[:5])}{', ...' if len(top1) > 5 else ''})" if top1 else ""
    most = between["max_abs_diff"]
    largest = "infinite" if most is None else f"{most:.3g}"
    return f"top-1 differs for {len(top1)} of {inputs}{which}, largest difference {largest}"
