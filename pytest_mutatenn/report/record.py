"""The report as data: rows in, one sorted dictionary out (see the README for its fields)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_mutatenn.analysis.score import Score, score
from pytest_mutatenn.analysis.verdict import Judgement, RowResult, Verdict, judge
from pytest_mutatenn.compiler.mutant import CHECKS

SCHEMA = "mutatenn/1"

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
)
_MADE = frozenset(["code_digest", "seconds_compile", "before", "after", "undefined"])
"""What is known of a mutant as soon as it is made."""


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
    counters
        Work done and spared.
    mixed
        In which processes that took part differ, where they should be the same.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    plans: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)


def build_record(
    gathered: Gathered, run: Mapping[str, Any], *, full_matrix: bool, sampled: bool
) -> dict[str, Any]:
    """Build the report.

    Parameters
    ----------
    gathered
        What happened.
    run
        The part ``run``.
    full_matrix
        Whether every test was to run on every mutant.
    sampled
        Whether the mutants are a sample.
    """
    rows: dict[tuple[str, str, str | None], list[dict[str, Any]]] = {}
    everything = _one_of_each(gathered.rows)
    for row in _with_twins(everything):
        rows.setdefault((row["model"], row["cell"], row["mutant"]), []).append(row)
    green = _green(everything)
    mutants = _mutants(gathered, rows, green, full_matrix)
    return {
        "schema": SCHEMA,
        "run": dict(run),
        "models": [gathered.models[name] for name in sorted(gathered.models)],
        "cells": [gathered.cells[name] for name in sorted(gathered.cells)],
        "baseline": _baseline(everything),
        "checks": _checks(rows, green, full_matrix),
        "mutants": mutants,
        "absent": _absent(gathered),
        "score": _scores(mutants, sampled),
        "excluded": _excluded(gathered, mutants),
        "warnings": _warnings(gathered),
        "counters": dict(sorted(gathered.counters.items())),
    }


def _one_of_each(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
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
    own = {name: value for name, value in row["stats"].items() if name in _MADE}
    return {**twin, "mutant": row["mutant"], "stats": {**twin["stats"], **own}}


def _twins(row: Mapping[str, Any]) -> tuple[Any, ...]:
    code = (row.get("stats") or {}).get("code_digest") or row["mutant"]
    return row["model"], row["cell"], code, row["test"]


def _green(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, bool]]:
    """(model, cell) -> test -> whether it passed on the baseline."""
    green: dict[tuple[str, str], dict[str, bool]] = {}
    for row in rows:
        if row["mutant"] is None:
            passed = row["result"] in ("passed", "compiled")
            green.setdefault((row["model"], row["cell"]), {})[row["test"]] = passed
    return green


def _baseline(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = [
        {
            "test": row["test"],
            "model": row["model"],
            "cell": row["cell"],
            "outcome": row["result"],
            "message": row["reason"],
        }
        for row in rows
        if row["mutant"] is None
    ]
    return sorted(found, key=lambda e: (e["model"], e["cell"], e["test"]))


def _judge(
    rows: Iterable[Mapping[str, Any]], green: Mapping[str, bool], full_matrix: bool
) -> Judgement:
    results = [
        RowResult(r["test"], r["order"], r["result"], r.get("verdict", ""), r["reason"])
        for r in rows
    ]
    return judge(results, green, full_matrix=full_matrix)


def _checks(
    rows: Mapping[Any, Any], green: Mapping[Any, Any], full_matrix: bool
) -> list[dict[str, Any]]:
    found = []
    for (model, cell, mutant), group in rows.items():
        if mutant in CHECKS:
            judgement = _judge(group, green.get((model, cell), {}), full_matrix)
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


def _mutants(
    gathered: Gathered, rows: Mapping[Any, Any], green: Mapping[Any, Any], full_matrix: bool
) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for (model, cell), plan in sorted(gathered.plans.items()):
        by_code = _accepted_code(rows, model, cell, plan)
        for entry in plan["mutants"]:
            group = rows.get((model, cell, entry["id"]), [])
            judgement = _judge(group, green.get((model, cell), {}), full_matrix)
            judgement = _first_of_its_code(judgement, entry["name"], group, by_code)
            if not group:
                judgement = Judgement(
                    Verdict.SKIPPED, "not run: no test on it was selected, or the run ended"
                )
            record = found.setdefault((model, entry["name"]), _described(model, entry, gathered))
            record["cells"][cell] = _cell(judgement, group, entry)
    left_out = {key: set(plan["sampled_out"]) for key, plan in gathered.plans.items()}
    for (model, mutant), record in found.items():
        for (other, cell), sampled_out in left_out.items():
            elsewhere = "device" not in record["stage"].split("+")
            if other == model and cell not in record["cells"] and elsewhere:
                without = gathered.plans[other, cell]["without"]
                record["cells"][cell] = _absent_here(mutant in sampled_out, without)
        for cell, told in gathered.cells.items():
            on_device = "device" in record["stage"].split("+")
            if not told["available"] and cell not in record["cells"] and not on_device:
                record["cells"][cell] = _no_device(told["reason"])
        cells = record["cells"] = dict(sorted(record["cells"].items()))
        scored = {v["verdict"] for v in cells.values() if Verdict[v["verdict"]].scored}
        record["divergent"] = len(scored) > 1
    return [found[key] for key in sorted(found)]


def _accepted_code(
    rows: Mapping[Any, Any], model: str, cell: str, plan: Mapping[str, Any]
) -> dict[str, str]:
    """Code of an accepted mutant -> its name: what has the same code is no survivor either."""
    found = {}
    for entry in plan["mutants"]:
        if entry["id"] in plan["accepted"]:
            for row in rows.get((model, cell, entry["id"]), []):
                code = (row.get("stats") or {}).get("code_digest")
                if code:
                    found[code] = f"{entry['name']}, which is accepted"
    return found


def _first_of_its_code(
    judgement: Judgement, mutant: str, rows: Iterable[Mapping[str, Any]], by_code: dict[str, str]
) -> Judgement:
    """Of the mutants with the same code the first in the plan stands for all."""
    if not (judgement.verdict.scored or judgement.verdict is Verdict.DUPLICATE):
        return judgement
    code = next((r["stats"].get("code_digest") for r in rows if r.get("stats")), None)
    if not code:
        return judgement
    first = by_code.setdefault(code, mutant)
    if first == mutant:
        return judgement
    return Judgement(Verdict.DUPLICATE, f"the same code as {first}")


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
        "divergent": False,
    }


def _cell(
    judgement: Judgement, rows: Iterable[Mapping[str, Any]], entry: Mapping[str, Any]
) -> dict[str, Any]:
    stats: dict[str, Any] = {}
    for row in rows:
        # what does not count for the verdict may have run or not: that depends on the worker
        found = row.get("stats") or {}
        known = found if row["test"] in judgement.read else _MADE & found.keys()
        stats.update({k: found[k] for k in known if found[k] is not None})
    if judgement.verdict is Verdict.DUPLICATE:
        stats = {k: stats[k] for k in _MADE if k in stats}
    return {
        "verdict": judgement.verdict.name,
        "reason": judgement.reason,
        "killed_by": sorted(judgement.killed_by),
        "survived": sorted(judgement.survived),
        **{name: stats.get(name) for name in _STATS},
        "before": stats.get("before", entry["before"]),
        "after": stats.get("after", entry["after"]),
        "stderr": stats.get("stderr", ""),
    }


def _absent_here(sampled_out: bool, without: str) -> dict[str, Any]:
    here = "sampled out in this cell"
    reason = here if sampled_out else without or "this cell's lowering has no such site"
    empty = Judgement(Verdict.SKIPPED, reason)
    return _cell(empty, [], {"before": "", "after": ""})


def _no_device(reason: str) -> dict[str, Any]:
    empty = Judgement(Verdict.SKIPPED, f"no such device: {reason}")
    return _cell(empty, [], {"before": "", "after": ""})


def _absent(gathered: Gathered) -> list[dict[str, Any]]:
    found = [
        {"model": model, "cell": cell, **absent}
        for (model, cell), plan in gathered.plans.items()
        for absent in plan["absent"]
    ]
    return sorted(found, key=lambda e: (e["model"], e["cell"], e["stage"], e["operator"]))


def _scores(mutants: Iterable[Mapping[str, Any]], sampled: bool) -> dict[str, Any]:
    groups: dict[str, dict[str, list[Verdict]]] = {
        "by_category": {},
        "by_stage": {},
        "by_cell": {},
        "by_operator": {},
    }
    overall: list[Verdict] = []
    for mutant in mutants:
        for cell, there in mutant["cells"].items():
            verdict = Verdict[there["verdict"]]
            overall.append(verdict)
            for group, name in (
                ("by_category", mutant["category"]),
                ("by_stage", mutant["stage"]),
                ("by_cell", cell),
                ("by_operator", mutant["operator"]),
            ):
                groups[group].setdefault(name, []).append(verdict)
    return {
        "overall": _plain(score(overall, sampled=sampled)),
        **{
            group: {
                name: _plain(score(verdicts, sampled=sampled))
                for name, verdicts in sorted(parts.items())
            }
            for group, parts in groups.items()
        },
    }


def _plain(found: Score) -> dict[str, Any]:
    interval = found.interval()
    return {
        "detected": found.detected,
        "survived": found.survived,
        "score": _rounded(found.value),
        "low": _rounded(interval[0]) if interval else None,
        "high": _rounded(interval[1]) if interval else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 4)


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
    return stale + sorted(set(gathered.mixed))


def _excluded(gathered: Gathered, mutants: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts = {v.name: 0 for v in Verdict if not v.scored}
    for mutant in mutants:
        for there in mutant["cells"].values():
            if there["verdict"] in counts:
                counts[there["verdict"]] += 1
    counts["sampled_out"] = sum(len(plan["sampled_out"]) for plan in gathered.plans.values())
    counts["not_selected"] = sum(len(plan["not_selected"]) for plan in gathered.plans.values())
    return counts
