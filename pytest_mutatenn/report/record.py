"""The report as data: rows in, one sorted dictionary out (see the README for its fields)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_mutatenn.analysis.verdict import Judgement, Verdict
from pytest_mutatenn.compiler.mutant import CHECKS
from pytest_mutatenn.report.differences import NOTHING
from pytest_mutatenn.report.divergence import divergent_of
from pytest_mutatenn.report.duplicates import accepted_one, counts, same_code_as
from pytest_mutatenn.report.grouped import column
from pytest_mutatenn.report.judging import MADE, Judge, one_of_each
from pytest_mutatenn.report.latencies import NOT_ASKED, latency_of
from pytest_mutatenn.report.margins import Margins, margins_of, of_baseline
from pytest_mutatenn.report.marking import tests_of
from pytest_mutatenn.report.noise import doubtful, noise_of
from pytest_mutatenn.report.scores import excluded_of, scores_of
from pytest_mutatenn.report.sources import sources_of

SCHEMA = "mutatenn/1"
FIELDS = (
    "schema",
    "run",
    "models",
    "cells",
    "baseline",
    "checks",
    "tests",
    "plans",
    "operators",
    "mutants",
    "sources",
    "divergent",
    "differential",
    "latency",
    "noise",
    "margins",
    "absent",
    "score",
    "excluded",
    "gates",
    "warnings",
    "artefacts",
)
"""What a report has."""

_STATS = (
    "outcome",
    "seconds_compile",
    "seconds_run",
    "inputs_run",
    "infected",
    "propagated",
    "top1_changed",
    "nonfinite",
    "tau_mean",
    "code_digest",
    "undefined",
    "change",
    "inputs",
    "evaluation",
    "output_difference",
)
_SHOWN = (
    "infected",
    "propagated",
    "top1_changed",
    "nonfinite",
    "tau_mean",
    "inputs",
    "evaluation",
    "output_difference",
)
_NOWHERE: Mapping[str, Any] = {"before": "", "after": "", "index": None}
"""What a cell says of a mutant that it has not."""


@dataclass
class Gathered:
    """What a session produced, however many processes it took; plain data throughout.

    Attributes
    ----------
    rows
        One a row that ran or was skipped.
    models
        Model id -> its description.
    plans
        (model id, cell id) -> the cell's plan.
    cells
        Cell id -> its description.
    tests
        Test -> where it stands.
    counters
        Work done and spared.
    mixed
        In which processes that took part differ, where they should be the same.
    sources
        Id -> a text that mutants change.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    plans: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)


def build_record(
    gathered: Gathered,
    run: Mapping[str, Any],
    *,
    full_matrix: bool,
    sampled: bool,
    latency_off: str = NOT_ASKED,
    repeats: int = 0,
) -> dict[str, Any]:
    """Build the report.

    Parameters
    ----------
    gathered
        What happened.
    run
        The part ``run``, without its counters.
    full_matrix
        Whether every test was to run on every mutant.
    sampled
        Whether the mutants are a sample.
    latency_off
        Why latencies were not measured; empty where they were.
    repeats
        How often the unmutated network was run once more.
    """
    everything = one_of_each(gathered.rows)
    judge = Judge(everything, full_matrix)
    mutants = _mutants(gathered, judge)
    plans = _plans(gathered)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "run": {**run, "counters": dict(sorted(gathered.counters.items()))},
        "models": [gathered.models[name] for name in sorted(gathered.models)],
        "cells": [gathered.cells[name] for name in sorted(gathered.cells)],
        "baseline": _baseline(everything),
        "checks": _checks(judge),
        "tests": tests_of(everything, gathered.tests),
        "plans": plans,
        "operators": _operators(gathered),
        "mutants": mutants,
        "sources": sources_of(mutants, gathered.sources),
        "divergent": [],
        "differential": {**NOTHING},
        "latency": latency_of(everything, latency_off),
        "noise": noise_of(everything, repeats),
        "margins": margins_of(mutants),
        "absent": _absent(gathered),
        "score": scores_of(mutants, sampled),
        "excluded": excluded_of(mutants, plans),
        "gates": [],
        "warnings": _warnings(gathered),
        "artefacts": {"folder": None, "kept": []},
    }
    record["warnings"] = sorted({*record["warnings"], *doubtful(record)})
    return {**record, "divergent": divergent_of(record, None)}


def _baseline(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = [
        {
            "test": row["test"],
            "model": row["model"],
            "cell": row["cell"],
            "outcome": row["result"],
            "message": row["reason"],
            "margins": of_baseline(row),
            **({"told": row["stats"]} if row.get("stats") else {}),
        }
        for row in rows
        if row["mutant"] is None
    ]
    return sorted(found, key=lambda e: (e["model"], e["cell"], e["test"]))


def _checks(judge: Judge) -> list[dict[str, Any]]:
    found = []
    for model, cell, mutant in judge.rows:
        if mutant in CHECKS:
            judgement = judge.alone(model, cell, mutant)
            found.append(
                {
                    "id": mutant,
                    "model": model,
                    "cell": cell,
                    "verdict": judgement.verdict.name,
                    "killed_by": sorted(judgement.killed_by),
                    "reason": judgement.reason,
                }
            )
    return sorted(found, key=lambda e: (e["model"], e["cell"], e["id"]))


def _plans(gathered: Gathered) -> list[dict[str, Any]]:
    """How many mutants each cell has, and how many were left out."""
    return [
        {
            "model": model,
            "cell": cell,
            "mutants": len(plan["mutants"]),
            "sampled_out": len(plan["sampled_out"]),
            "not_selected": len(plan["not_selected"]),
            "other_shards": len(plan["elsewhere"]),
        }
        for (model, cell), plan in sorted(gathered.plans.items())
    ]


def _operators(gathered: Gathered) -> list[dict[str, Any]]:
    """What the operators of the mutants do."""
    found = {
        entry["operator"]: {
            "id": entry["operator"],
            "category": entry["category"],
            "summary": entry["summary"],
        }
        for plan in gathered.plans.values()
        for entry in plan["mutants"]
    }
    return [found[name] for name in sorted(found)]


def _mutants(gathered: Gathered, judge: Judge) -> list[dict[str, Any]]:
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
            record["cells"][cell] = _cell(judgement, group, entry)
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
                record["cells"][cell] = _no_device(told["reason"])
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


def _cell(
    judgement: Judgement, rows: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]
) -> dict[str, Any]:
    stats: dict[str, Any] = {}
    for row in rows:
        # what does not count for the verdict may have run or not: that depends on the worker
        found = row.get("stats") or {}
        known = found if row["test"] in judgement.read else MADE & found.keys()
        stats.update({k: found[k] for k in known if found[k] is not None})
    stats |= _most_shown([row for row in rows if row["test"] in judgement.read])
    if judgement.verdict is Verdict.DUPLICATE:
        stats = {k: stats[k] for k in MADE if k in stats}
    return {
        "verdict": judgement.verdict.name,
        "alone": judgement.verdict.name,
        "planned": True,
        "index": entry["index"],
        "accepted": False,
        "reason": judgement.reason,
        "killed_by": sorted(judgement.killed_by),
        "survived": sorted(judgement.survived),
        **{name: stats.get(name) for name in _STATS},
        "before": stats.get("before", entry["before"]),
        "after": stats.get("after", entry["after"]),
        "stderr": stats.get("stderr", ""),
        "deciding": _deciding(judgement, rows),
        "indistinguishable": None,
        "margins": [],
        "code": None,
        "artefacts": [],
    }


def _most_shown(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Figures for the inputs that show most, where tests of one network have other inputs."""
    told = [row.get("stats") or {} for row in rows]
    whole = [stats for stats in told if stats.get("propagated") is not None]
    if not whole:
        return {}
    most = max(reversed(whole), key=lambda stats: (stats["propagated"], stats.get("infected") or 0))
    return {name: most[name] for name in _SHOWN if most.get(name) is not None}


def _deciding(judgement: Judgement, rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Numbers of the inputs for which the killing assertion failed, where it says."""
    killers = judgement.killed_by[:1]
    return next((r["deciding"] for r in rows if r["test"] in killers and r.get("deciding")), [])


def absent_here(*, sampled_out: bool | None, without: str = "") -> dict[str, Any]:
    """What stands for a mutant in a cell that has it not: it is sampled out, or is not there.

    Parameters
    ----------
    sampled_out
        Which of the two; None where nobody knows.
    without
        Why the cell has no mutants at all.
    """
    reason = without or "this cell's lowering has no such site"
    if sampled_out is not False and not without:
        here = "sampled out in this cell"
        reason = here if sampled_out else f"{here}, or its lowering has no such site"
    empty = Judgement(Verdict.SKIPPED, reason)
    return {**_cell(empty, [], _NOWHERE), "planned": False}


def _no_device(reason: str) -> dict[str, Any]:
    empty = Judgement(Verdict.SKIPPED, f"no such device: {reason}")
    return {**_cell(empty, [], _NOWHERE), "planned": False}


def _absent(gathered: Gathered) -> list[dict[str, Any]]:
    found = [
        {"model": model, "cell": cell, **absent}
        for (model, cell), plan in gathered.plans.items()
        for absent in plan["absent"]
    ]
    return sorted(found, key=lambda e: (e["model"], e["cell"], e["stage"], e["operator"]))


def _warnings(gathered: Gathered) -> list[str]:
    """What is no error, and is to be looked at."""
    met: dict[str, bool] = {}
    for plan in gathered.plans.values():
        for entry, covers in plan["accepting"].items():
            met[entry] = met.get(entry, False) or covers
    stale = [
        f"--mutatenn-accept: no mutant is {entry} any more; remove the entry."
        for entry, covers in sorted(met.items())
        if not covers
    ]
    return sorted({*stale, *gathered.mixed})
