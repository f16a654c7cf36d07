"""Two runs, one after the other: what has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_mutatenn.report.matching import setups
from pytest_mutatenn.report.words import count_of

SCHEMA = "mutatenn-compare/1"

_PARTS = ("by_category", "by_stage", "by_cell", "by_operator")
_WORK = ("kernels_compiled", "evaluations_run", "evaluations_reused")

Comparison = Mapping[str, Any]


def compare(old: tuple[str, Mapping[str, Any]], new: tuple[str, Mapping[str, Any]]) -> Comparison:
    """Compare two reports.

    Parameters
    ----------
    old, new
        Each with what to call it in messages.

    Returns
    -------
    dict
        ``runs`` (``old`` and ``new``: ``name``, ``started``, ``seconds`` and the ``counters`` of
        work done); ``score``, whose ``overall`` and each of ``by_category``, ``by_stage``,
        ``by_cell`` and ``by_operator`` have ``old`` and ``new``, as in a report, and ``change``, in
        percent points, None where one is not known; ``new_survivors`` and ``gone_survivors``, each
        ``model``, ``mutant``, ``cell``, ``before``, ``after``, and its verdicts ``old`` and
        ``new``, None where that report has it not; ``newly_divergent`` and
        ``no_longer_divergent``, ``model``, ``mutant`` and ``verdicts``; ``mutants``, how many are
        in ``both``, ``only_old`` and ``only_new``; ``warnings``, where the reports are not of the
        same network, inputs, tests, cells, versions or options. Lists are sorted.
    """
    ours, theirs = (_by_cell(record) for _, record in (old, new))
    sides = [{(m["model"], m["id"]) for m in record["mutants"]} for _, record in (old, new)]
    differing = [
        {(entry["model"], entry["mutant"]): entry["verdicts"] for entry in record["divergent"]}
        for _, record in (old, new)
    ]
    return {
        "schema": SCHEMA,
        "runs": {"old": _run(*old), "new": _run(*new)},
        "score": _scores(old[1]["score"], new[1]["score"]),
        "new_survivors": _survivors(theirs, ours, theirs),
        "gone_survivors": _survivors(ours, ours, theirs),
        "newly_divergent": _only(differing[1], differing[0]),
        "no_longer_divergent": _only(differing[0], differing[1]),
        "mutants": {
            "both": len(sides[0] & sides[1]),
            "only_old": len(sides[0] - sides[1]),
            "only_new": len(sides[1] - sides[0]),
        },
        "warnings": setups([old, new]),
    }


Key = tuple[str, str, str]


def _by_cell(record: Mapping[str, Any]) -> dict[Key, Mapping[str, Any]]:
    return {
        (mutant["model"], mutant["id"], cell): there
        for mutant in record["mutants"]
        for cell, there in mutant["cells"].items()
    }


def _run(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    run = record["run"]
    return {
        "name": name,
        "started": run["started"],
        "seconds": run["seconds"],
        "counters": {part: run["counters"].get(part, 0) for part in _WORK},
    }


def _scores(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    parts = {
        part: {
            name: _score(old[part].get(name), new[part].get(name))
            for name in sorted({*old[part], *new[part]})
        }
        for part in _PARTS
    }
    return {"overall": _score(old["overall"], new["overall"]), **parts}


def _score(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    was, now = (None if one is None else one["score"] for one in (old, new))
    change = None if was is None or now is None else round(now - was, 4)
    return {"old": old, "new": new, "change": change}


def _survivors(
    of: Mapping[Key, Mapping[str, Any]],
    old: Mapping[Key, Mapping[str, Any]],
    new: Mapping[Key, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Those of one side that are none on the other."""
    found = []
    for key in sorted(of):
        verdicts = [side[key]["verdict"] if key in side else None for side in (old, new)]
        if of[key]["verdict"] == "SURVIVED" and verdicts[0] != verdicts[1]:
            model, mutant, cell = key
            found.append(
                {
                    "model": model,
                    "mutant": mutant,
                    "cell": cell,
                    "before": of[key]["before"],
                    "after": of[key]["after"],
                    "old": verdicts[0],
                    "new": verdicts[1],
                }
            )
    return found


def _only(
    some: Mapping[tuple[str, str], Any], others: Mapping[tuple[str, str], Any]
) -> list[dict[str, Any]]:
    return [
        {"model": key[0], "mutant": key[1], "verdicts": some[key]}
        for key in sorted(some.keys() - others.keys())
    ]


def _new_survivor(found: Comparison) -> str | None:
    count = len({(one["model"], one["mutant"]) for one in found["new_survivors"]})
    survive = "survives" if count == 1 else "survive"
    return f"{count_of(count, 'mutant')} {survive} that did not" if count else None


def _newly_divergent(found: Comparison) -> str | None:
    count = len(found["newly_divergent"])
    return f"cells disagree on {count_of(count, 'more mutant')}" if count else None


def _lower_score(found: Comparison) -> str | None:
    overall = found["score"]["overall"]
    change = overall["change"]
    if change is None or change >= 0:
        return None
    return f"{overall['old']['score']:.2f} % has become {overall['new']['score']:.2f} %"


def _mismatch(found: Comparison) -> str | None:
    count = len(found["warnings"])
    return (
        f"the reports differ in {count_of(count, 'way')}: {found['warnings'][0]}" if count else None
    )


CONDITIONS: Mapping[str, Callable[[Comparison], str | None]] = {
    "new-survivor": _new_survivor,
    "newly-divergent": _newly_divergent,
    "lower-score": _lower_score,
    "mismatch": _mismatch,
}
"""Condition -> what is to be said of a comparison in which it holds; None where it does not."""
