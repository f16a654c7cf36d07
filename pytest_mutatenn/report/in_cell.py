"""What a report says of a mutant in one cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_mutatenn.analysis.verdict import Judgement, Verdict
from pytest_mutatenn.report.judging import MADE

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


def cell_entry(
    judgement: Judgement, rows: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the verdict, who gave it, and the figures of the rows that it was read from."""
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
    return {**cell_entry(empty, [], _NOWHERE), "planned": False}


def no_device(reason: str) -> dict[str, Any]:
    """What stands for a mutant in a cell whose device is not here."""
    empty = Judgement(Verdict.SKIPPED, f"no such device: {reason}")
    return {**cell_entry(empty, [], _NOWHERE), "planned": False}
