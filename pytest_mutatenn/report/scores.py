"""The parts of the report that count verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_mutatenn.analysis.score import Score, score
from pytest_mutatenn.analysis.verdict import Verdict


def scores_of(mutants: Iterable[Mapping[str, Any]], sampled: bool) -> dict[str, Any]:
    """The mutation score and its parts.

    Groups of cells have scores of their own, which the others do not contain: what a test that
    compares cells finds out is in the verdicts of those cells.

    Parameters
    ----------
    mutants
        As they stand in the report.
    sampled
        Whether they are a sample.
    """
    parts: dict[str, dict[str, list[Verdict]]] = {
        "by_category": {},
        "by_stage": {},
        "by_cell": {},
        "by_operator": {},
        "by_group": {},
    }
    overall: list[Verdict] = []
    for mutant in mutants:
        for cell, there in mutant["cells"].items():
            verdict = Verdict[there["verdict"]]
            overall.append(verdict)
            for part, name in (
                ("by_category", mutant["category"]),
                ("by_stage", mutant["stage"]),
                ("by_cell", cell),
                ("by_operator", mutant["operator"]),
            ):
                parts[part].setdefault(name, []).append(verdict)
        for group, there in mutant["groups"].items():
            parts["by_group"].setdefault(group, []).append(Verdict[there["verdict"]])
    return {
        "overall": _plain(score(overall, sampled=sampled)),
        **{
            part: {
                name: _plain(score(verdicts, sampled=sampled))
                for name, verdicts in sorted(found.items())
            }
            for part, found in parts.items()
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


def excluded_of(
    mutants: Iterable[Mapping[str, Any]], plans: Iterable[Mapping[str, Any]]
) -> dict[str, int]:
    """How many verdicts are not in the score, by why; and how many mutants were left out."""
    counts = {verdict.name: 0 for verdict in Verdict if not verdict.scored}
    for mutant in mutants:
        for there in mutant["cells"].values():
            if there["verdict"] in counts:
                counts[there["verdict"]] += 1
    for name in ("sampled_out", "not_selected", "other_shards"):
        counts[name] = sum(plan[name] for plan in plans)
    return counts
