"""The part of the report that compares cells with each other."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.analysis.verdict import Verdict

if TYPE_CHECKING:
    from pytest_mutatenn.analysis.differential import Comparer
    from pytest_mutatenn.engine.store import Store

NOTHING: Mapping[str, Any] = {
    "reference": None,
    "cells": [],
    "baseline": [],
    "mutants": [],
    "not_compared": {},
}
"""The part of the report where nothing was compared."""

NOT_STORED = "nothing is stored (--mutatenn-no-incremental)"
"""Why a mutant that ran on all inputs is not compared."""

_SHOWN = 10
_SHOWN_OF_MUTANTS = 5

_Row = tuple[str, Mapping[str, Any], str]
"""Two cells, what is between them, and a remark."""


def comparer_of(model: Mapping[str, Any], store: Store) -> Comparer | None:
    """What compares the answers of a network, as the report describes it; None without inputs."""
    if model["dataset"] is None or model["output"] is None:
        return None
    from pytest_mutatenn.analysis.differential import Comparer  # NumPy, which collecting is without

    names, batch = model["dataset"]["names"], model["inputs"][0]["shape"][0]
    return Comparer(store, model["output"]["name"], names, batch)


def differential_of(record: Mapping[str, Any], store: Store, reference: str) -> dict[str, Any]:
    """Compare the cells on the unmutated networks and on their mutants, as far as they ran.

    Parameters
    ----------
    record
        The report, with where each answer is stored.
    store
        Where the answers lie.
    reference
        The reference cell.

    Returns
    -------
    dict
        The part ``differential`` of the report.
    """
    from pytest_mutatenn.analysis.differential import compare_cells

    found: dict[str, Any] = {"reference": reference, "cells": [], "baseline": [], "mutants": []}
    not_compared: Counter[str] = Counter()
    for model in record["models"]:
        comparer = comparer_of(model, store)
        if comparer is None:
            continue
        keys = baselines_of(record, model["id"], reference)
        for cell, key in sorted(keys.items()):
            best = comparer.best(key)
            if best is not None:
                found["cells"].append({"model": model["id"], "cell": cell, **best})
        found["baseline"] += [{"model": model["id"], **e} for e in compare_cells(comparer, keys)]
        for mutant in record["mutants"]:
            if mutant["model"] == model["id"]:
                of = {"model": model["id"], "mutant": mutant["id"]}
                there = _answers(mutant, keys, not_compared)
                found["mutants"] += [{**of, **e} for e in compare_cells(comparer, there)]
    found["not_compared"] = dict(sorted(not_compared.items()))
    return found


def baselines_of(record: Mapping[str, Any], model: str, reference: str) -> dict[str, str]:
    """Cell -> where the unmutated network's answers lie; the reference's if a test asked."""
    keys: dict[str, str] = {}
    for entry in record["baseline"]:
        if entry["model"] != model:
            continue
        told = entry.get("told", {})
        for cell, stats in {entry["cell"]: told, **told.get("parts", {})}.items():
            if stats.get("evaluation"):
                keys[cell] = stats["evaluation"]
            if stats.get("reference"):
                keys[reference] = stats["reference"]
    return keys


def _answers(
    mutant: Mapping[str, Any], baselines: Mapping[str, str], not_compared: Counter[str]
) -> dict[str, str]:
    """Cell -> where a mutant's answers to all inputs lie; counts the pairs that lack them."""
    keys = {
        cell: baselines.get(cell)
        if there["verdict"] == Verdict.EQUIVALENT.name
        else there["evaluation"]
        for cell, there in mutant["cells"].items()
    }
    stored = {cell: key for cell, key in keys.items() if key}
    known = comparable(mutant, not_compared, stored=stored)
    return {cell: key for cell, key in stored.items() if cell in known}


def comparable(
    mutant: Mapping[str, Any], not_compared: Counter[str], *, stored: Container[str]
) -> set[str]:
    """Give the cells in which a mutant's answers to all inputs are known, if cells can be compared.

    Parameters
    ----------
    mutant
        As it stands in the report.
    not_compared
        Reason -> how many pairs of cells cannot be compared: those of this mutant are added.
    stored
        The cells whose answers are stored, if they are known.
    """
    known = set()
    why: dict[str, str] = {}
    for cell, there in mutant["cells"].items():
        verdict = Verdict[there["verdict"]]
        ran = there["propagated"] is not None or verdict is Verdict.EQUIVALENT
        if ran and cell in stored:
            known.add(cell)
        elif verdict.scored:
            why[cell] = _missing(verdict, there)
    for a, b in itertools.combinations(sorted({*known, *why}), 2):
        reason = why.get(a) or why.get(b)
        if reason:
            not_compared[reason] += 1
    # where it is the baseline's code in every cell there is nothing to see
    shown = any(there["propagated"] is not None for there in mutant["cells"].values())
    return known if shown else set()


def _missing(verdict: Verdict, there: Mapping[str, Any]) -> str:
    if verdict in (Verdict.CRASHED, Verdict.TIMEOUT):
        return "gave no answer in a cell"
    if there["propagated"] is not None:
        return NOT_STORED
    return "killed before all inputs were run (see --mutatenn-differential)"


def without_keys(record: dict[str, Any]) -> dict[str, Any]:
    """The report without what only led to it, such as where answers are stored."""
    for entry in record["baseline"]:
        entry.pop("told", None)
    for mutant in record["mutants"]:
        for there in mutant["cells"].values():
            there.pop("evaluation", None)
            there.pop("deciding", None)
            if there.get("output_difference") == math.inf:
                there["output_difference"] = None  # JSON has no such number
    return record


def write_differences(
    record: Mapping[str, Any], line: Callable[..., None], *, verbose: bool
) -> None:
    """Write how far the cells are from each other, a line a call."""
    from pytest_mutatenn.analysis.differential import worst_first

    found = record["differential"]
    several = len(record["models"]) > 1
    rows = [(_pair(e, several), e, "") for e in worst_first(found["baseline"])]
    if rows and not verbose and not any(_dissimilar(entry) for _, entry, _ in rows):
        line("")
        line(_all_agree(rows), bold=True)
    elif rows:
        line("")
        line("cells compared on the unmutated network:", bold=True)
        _table(rows, line, shown=None if verbose else _SHOWN)
    worst: dict[str, Mapping[str, Any]] = {}
    counts: Counter[str] = Counter()
    for entry in worst_first(found["mutants"]):
        worst.setdefault(_pair(entry, several), entry)
        counts[_pair(entry, several)] += 1
    if worst:
        line("")
        line("on the mutants that both ran on all inputs, each pair's worst:", bold=True)
        rows = [
            (pair, entry, f"{entry['mutant']}, of {counts[pair]}") for pair, entry in worst.items()
        ]
        _table(rows, line, shown=None if verbose else _SHOWN_OF_MUTANTS)
    for reason, count in found["not_compared"].items():
        line(f"not compared, {count} {'time' if count == 1 else 'times'}: {reason}")


def _dissimilar(entry: Mapping[str, Any]) -> bool:
    return bool(entry["top1_dissimilar"] or entry["topk_dissimilar"])


def _all_agree(rows: Sequence[_Row]) -> str:
    """One line for cells that give the same answers, with the two that are farthest apart."""
    pair, worst, _ = rows[0]
    pairs = f"all {len(rows)} pairs of cells give" if len(rows) > 1 else f"{pair} give"
    text = (
        f"{pairs} the same best class and best {worst['k']} for every input of the unmutated "
        "network"
    )
    # cells of runs that were combined: reports have their best classes, and no scores
    scored = [(pair, entry) for pair, entry, _ in rows if entry["tau_min"] is not None]
    if not scored:
        return text
    pair, worst = scored[0]
    largest = worst["max_abs_diff"]
    most = f"{largest:.3g}" if largest is not None else _unknown(worst)
    where = f" ({pair})" if len(rows) > 1 else ""
    return f"{text}; the largest difference is {most}{where}"


def _table(rows: Sequence[_Row], line: Callable[..., None], *, shown: int | None) -> None:
    width = max(len(pair) for pair, _, _ in rows)
    deepest = max(entry["k"] for _, entry, _ in rows)
    line(f"{'':{width}}  top-1 differs  top-{deepest} differs  least tau  largest difference")
    for pair, entry, note in rows[:shown]:
        top1, topk = len(entry["top1_dissimilar"]), len(entry["topk_dissimilar"])
        tau = "-" if entry["tau_min"] is None else f"{entry['tau_min']:.4f}"
        largest = entry["max_abs_diff"]
        most = f"{largest:.3g}" if largest is not None else _unknown(entry)
        text = f"{pair:{width}}  {top1:13d}  {topk:13d}  {tau:>9}  {most:>18}"
        line(f"{text}  {note}".rstrip(), yellow=bool(top1))
        if top1:
            named = ", ".join(entry["top1_dissimilar"][:5])
            more = f", and {top1 - 5} more" if top1 > 5 else ""
            line(f"    top-1 differs for {named}{more}")
    if shown is not None and len(rows) > shown:
        line(f"  ... and {len(rows) - shown} more; -v shows all")


def _unknown(entry: Mapping[str, Any]) -> str:
    return "infinite" if entry["tau_min"] is not None else "-"


def _pair(entry: Mapping[str, Any], several: bool) -> str:
    pair = f"{entry['a']} ~ {entry['b']}"
    return f"{entry['model']}: {pair}" if several else pair
