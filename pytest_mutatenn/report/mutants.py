"""The mutants of a report: verdicts of cells and groups, and who stands for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.analysis.verdict import Judgement, Verdict
from pytest_mutatenn.report.duplicates import accepted_one, counts, same_code_as
from pytest_mutatenn.report.grouped import column
from pytest_mutatenn.report.in_cell import absent_here, cell_entry, no_device
from pytest_mutatenn.report.judging import Judge
from pytest_mutatenn.report.margins import Margins

if TYPE_CHECKING:
    from pytest_mutatenn.report.record import Gathered


def mutants_of(gathered: Gathered, judge: Judge) -> list[dict[str, Any]]:
    """Give every mutant with its verdict in each cell, sorted by network and id."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    alone: dict[tuple[str, str], dict[str, Verdict]] = {}
    ids: dict[tuple[str, str], str] = {}
    margins = Margins(judge)
    for (model, cell), plan in sorted(gathered.plans.items()):
        by_code = _accepted_code(judge, model, cell, plan)
        lonely = dict(by_code)
        for entry in plan["mutants"]:
            group = judge.all_rows(model, cell, entry["id"])
            own = judge.alone(model, cell, entry["id"])
            judgement = judge.verdict(model, cell, entry["id"])
            judgement = _first_of_its_code(judgement, entry["name"], group, by_code)
            if not group:
                judgement = Judgement(
                    Verdict.SKIPPED, "not run: no test on it was selected, or the run ended"
                )
            record = found.setdefault((model, entry["name"]), _described(model, entry, gathered))
            record["cells"][cell] = cell_entry(judgement, group, entry)
            record["cells"][cell]["accepted"] = entry["id"] in plan["accepted"]
            measured = margins.of_mutant(model, cell, judgement, group)
            record["cells"][cell]["margins"] = measured
            ids[model, entry["name"]] = entry["id"]
            alone.setdefault((model, entry["name"]), {})[cell] = own.verdict
            own = _first_of_its_code(own, entry["name"], group, lonely)
            record["cells"][cell]["alone"] = own.verdict.name
    left_out = {key: set(plan["sampled_out"]) for key, plan in gathered.plans.items()}
    codes: dict[tuple[str, str], dict[str, str]] = {}
    for (model, mutant), record in found.items():
        everywhere = "device" not in record["stage"].split("+")
        for (other, cell), sampled_out in left_out.items():
            if other == model and cell not in record["cells"] and everywhere:
                without = gathered.plans[other, cell]["without"]
                record["cells"][cell] = absent_here(
                    sampled_out=mutant in sampled_out, without=without
                )
        for cell, told in gathered.cells.items():
            if not told["available"] and cell not in record["cells"] and everywhere:
                record["cells"][cell] = no_device(told["reason"])
        cells = record["cells"] = dict(sorted(record["cells"].items()))
        scored = {v["alone"] for v in cells.values() if Verdict[v["alone"]].scored}
        record["divergent"] = len(scored) > 1
        if everywhere:
            record["groups"] = _columns(judge, model, ids[model, mutant], mutant, alone, codes)
    return [found[key] for key in sorted(found)]


def _columns(
    judge: Judge,
    model: str,
    entry: str,
    mutant: str,
    alone: Mapping[tuple[str, str], Mapping[str, Verdict]],
    codes: dict[tuple[str, str], dict[str, str]],
) -> dict[str, Any]:
    """A mutant's entries in the columns of several cells."""
    found = {}
    for group, cells in judge.groups.get(model, {}).items():
        rows = judge.rows.get((model, group, entry))
        judgement = None
        if rows:
            by_code = codes.setdefault((model, group), {})
            judgement = judge.alone(model, group, entry)
            judgement = _first_of_its_code(judgement, mutant, rows, by_code)
        there = alone[model, mutant]
        found[group] = column(there, cells, judgement, full_matrix=judge.full_matrix)
        # where it does not count, its rows may have been spared
        code = _code_of(rows or ()) if counts(found[group]["verdict"]) else None
        found[group]["code_digest"] = code
    return found


def _accepted_code(judge: Judge, model: str, cell: str, plan: Mapping[str, Any]) -> dict[str, str]:
    """Code of an accepted mutant -> its name: what has the same code is no survivor either."""
    found = {}
    for entry in plan["mutants"]:
        if entry["id"] in plan["accepted"]:
            for row in judge.all_rows(model, cell, entry["id"]):
                code = (row.get("stats") or {}).get("code_digest")
                if code:
                    found[code] = accepted_one(entry["name"])
    return found


def _first_of_its_code(
    judgement: Judgement, mutant: str, rows: Iterable[Mapping[str, Any]], by_code: dict[str, str]
) -> Judgement:
    """Of the mutants with the same code the first in the plan stands for all."""
    code = _code_of(rows)
    if not counts(judgement.verdict.name) or not code:
        return judgement
    first = by_code.setdefault(code, mutant)
    if first == mutant:
        return judgement
    return Judgement(Verdict.DUPLICATE, same_code_as(first))


def _code_of(rows: Iterable[Mapping[str, Any]]) -> str | None:
    found = ((row.get("stats") or {}).get("code_digest") for row in rows)
    return next((digest for digest in found if digest), None)


def _described(model: str, entry: Mapping[str, Any], gathered: Gathered) -> dict[str, Any]:
    layers = gathered.models.get(model, {}).get("layers", {})
    return {
        "id": entry["name"],
        "model": model,
        "operator": entry["operator"],
        "category": entry["category"],
        "stage": entry["stage"],
        "kernel": entry["kernel"],
        "site": entry["site"],
        "layers": entry["layers"],
        "layer": ", ".join(dict.fromkeys(layers.get(name, name) for name in entry["layers"])),
        "weight": entry.get("weight"),
        "before": entry["before"],
        "after": entry["after"],
        "parameters": entry["parameters"],
        "cells": {},
        "groups": {},
        "divergent": False,
    }
