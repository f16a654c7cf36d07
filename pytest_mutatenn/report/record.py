"""The report as data: rows in, one sorted dictionary out (see the README for its fields)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_mutatenn.compiler.mutant import CHECKS
from pytest_mutatenn.report.differences import NOTHING
from pytest_mutatenn.report.divergence import divergent_of
from pytest_mutatenn.report.judging import Judge, one_of_each
from pytest_mutatenn.report.latencies import NOT_ASKED, latency_of
from pytest_mutatenn.report.margins import margins_of, of_baseline
from pytest_mutatenn.report.marking import tests_of
from pytest_mutatenn.report.mutants import mutants_of
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
    mutants = mutants_of(gathered, judge)
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
