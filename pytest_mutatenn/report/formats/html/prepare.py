"""What the page is given: the report in parts, and a few things it does not say itself.

What the first screen and the list of mutants need is read when the page is opened; what only the
view of one mutant shows, code too, lies apart, and is read when that is opened. With 10,000 mutants
in four cells that is most of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_mutatenn.analysis.ranges import ranges_of
from pytest_mutatenn.operators.registry import CATEGORIES
from pytest_mutatenn.report.one_mutant import arguments_of, run_arguments

TOGETHER = 200
"""Mutants whose details are read at once."""

_OF_INPUTS = ("top1_dissimilar", "topk_dissimilar")
_IN_THE_LIST = (
    "verdict",
    "alone",
    "planned",
    "killed_by",
    "survived",
    "seconds_compile",
    "seconds_run",
    "inputs_run",
    "infected",
    "propagated",
    "top1_changed",
    "nonfinite",
    "undefined",
    "indistinguishable",
    "accepted",
    "before",
    "after",
)

Numbers = Mapping[str, Mapping[str, int]]
"""Model -> name of an input -> its number."""


def prepare(
    record: Mapping[str, Any],
) -> tuple[dict[str, Any], list[list[dict[str, Any]]], list[str]]:
    """Give the data of the page.

    Names of inputs in the comparisons of cells become their numbers, as ranges such as ``0-3,7``.

    Parameters
    ----------
    record
        The report. It is not changed.

    Returns
    -------
    tuple of dict, list and list
        What is read at first: ``record``, the report without the details; ``titles``, of the
        categories; ``worst``, of every two cells the mutant on which they are farthest apart, with
        ``of``, how many were compared; ``alone``, by cell, the words of the command that runs one
        mutant, of which ``--mutatenn-mutants=`` is to end with its id. Then the details,
        :data:`TOGETHER` mutants each: of a mutant ``cells``, cell -> what the list does not need,
        and ``pairs``, its comparisons of cells. Then the texts of the sources, in their order.
    """
    numbers = {
        model["id"]: {name: i for i, name in enumerate(model["dataset"]["names"])}
        for model in record["models"]
        if model["dataset"] is not None
    }
    differential = record["differential"]
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in differential["mutants"]:
        found = pairs.setdefault((entry["model"], entry["mutant"]), [])
        found.append(_compact(entry, entry["model"], numbers))
    first = {
        **record,
        "mutants": [_listed(mutant) for mutant in record["mutants"]],
        "sources": [
            {key: value for key, value in source.items() if key != "text"}
            for source in record["sources"]
        ],
        "divergent": [
            {**e, "between": e["between"] and _compact(e["between"], e["model"], numbers)}
            for e in record["divergent"]
        ],
        "differential": {
            **differential,
            "baseline": [_compact(e, e["model"], numbers) for e in differential["baseline"]],
            "mutants": [],
        },
    }
    details = [
        {
            "cells": {cell: _detailed(there) for cell, there in mutant["cells"].items()},
            "pairs": pairs.get((mutant["model"], mutant["id"]), []),
        }
        for mutant in record["mutants"]
    ]
    worst = [_compact(e, e["model"], numbers) for e in _worst(differential["mutants"])]
    return (
        {
            "record": first,
            "titles": CATEGORIES,
            "worst": worst,
            "alone": {cell["id"]: _alone(record, cell["id"]) for cell in record["cells"]},
            "together": TOGETHER,
        },
        [details[start : start + TOGETHER] for start in range(0, len(details), TOGETHER)],
        [source["text"] for source in record["sources"]],
    )


def _alone(record: Mapping[str, Any], cell: str) -> list[str]:
    return ["pytest", *run_arguments(record, cell), *arguments_of([""], cell)]


def _listed(mutant: Mapping[str, Any]) -> dict[str, Any]:
    cells = {
        cell: {
            **{name: there[name] for name in _IN_THE_LIST if name in there},
            "stderr": bool(there["stderr"]),
        }
        for cell, there in mutant["cells"].items()
    }
    return {**mutant, "cells": cells}


def _detailed(there: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in there.items() if name not in _IN_THE_LIST}


def _compact(entry: Mapping[str, Any], model: str, numbers: Numbers) -> dict[str, Any]:
    known = numbers.get(model, {})
    found = dict(entry)
    for key in _OF_INPUTS:
        if all(name in known for name in entry[key]):
            found[key] = ranges_of(sorted({known[name] for name in entry[key]}))
    return found


def _worst(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    pairs: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for entry in entries:
        pairs.setdefault((entry["model"], entry["a"], entry["b"]), []).append(entry)
    found = []
    for group in pairs.values():
        least = min(group, key=_agreement)
        found.append({**least, "of": len(group)})
    return sorted(found, key=_agreement)


def _agreement(entry: Mapping[str, Any]) -> tuple[int, float]:
    tau = entry["tau_min"]
    return -len(entry["top1_dissimilar"]), 2.0 if tau is None else tau
