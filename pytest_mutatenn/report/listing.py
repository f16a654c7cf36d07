"""``--mutatenn-list``: every mutant before it is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pytest_mutatenn.operators.registry import CATEGORIES, STAGES
from pytest_mutatenn.report.words import cut

_LEFT_OUT = (
    ("sampled_out", "sampled out"),
    ("not_selected", "not selected"),
    ("elsewhere", "in other shards"),
)


def print_plans(
    told: Mapping[str, Any],
    times: Mapping[tuple[str, str], Mapping[str, float]],
    line: Callable[[str], None],
) -> None:
    """Print the mutants of every network and cell; then counts, what is absent and the time.

    Parameters
    ----------
    told
        Models and plans, as a process of the run describes them.
    times
        (model, cell) -> :func:`pytest_mutatenn.engine.estimate.estimate`.
    line
        Called with each line.
    """
    for model, cell, plan in told["plans"]:
        layers = told["models"].get(model, {}).get("layers", {})
        line(f"{model} on {cell}: {len(plan['mutants'])} mutants")
        for entry in plan["mutants"]:
            line(f"{entry['name']}  {provenance(entry, layers)}")
            line(f"    - {cut(entry['before'], entry['after'])}")
            line(f"    + {cut(entry['after'], entry['before'])}")
            if entry["id"] in plan["accepted"]:
                line(f"    {plan['accepted'][entry['id']]}")
    for model, cell, plan in told["plans"]:
        line("")
        line(f"{model} on {cell}")
        _print_counts(plan, line)
        found = times.get((model, cell))
        if found and plan["mutants"]:
            line(
                f"  about {duration(found['seconds'])} on one worker: {found['each']:.2g} s a "
                f"mutant, measured on {found['measured']} of them; assertions not included"
            )


def _print_counts(plan: Mapping[str, Any], line: Callable[[str], None]) -> None:
    counts = Counter((entry["category"], entry["stage"]) for entry in plan["mutants"])
    order = list(CATEGORIES)
    for (category, stage), count in sorted(counts.items(), key=lambda e: (order.index(e[0][0]), e)):
        line(f"{count:6d}  {CATEGORIES[category]} ({category}), {stage}")
    line(f"{len(plan['mutants']):6d}  in all" + (f": {plan['without']}" if plan["without"] else ""))
    if plan["accepted"]:
        line(f"{len(plan['accepted']):6d}  of them accepted, and not run")
    for name, text in _LEFT_OUT:
        if plan[name]:
            line(f"{len(plan[name]):6d}  {text}")
    absent = sorted(plan["absent"], key=lambda e: (STAGES.index(e["stage"]), e["operator"]))
    for entry in absent:
        line(f"     0  {entry['stage']}.{entry['operator']}: {entry['reason']}")


def provenance(entry: Mapping[str, Any], layers: Mapping[str, str]) -> str:
    """Where in the ONNX file a mutant comes from: its layers, and its weight."""
    names = ", ".join(layers.get(name, name) for name in entry["layers"])
    return f"weight {entry['weight']} of {names}" if entry.get("weight") else names


def duration(seconds: float) -> str:
    """A time for people: ``40 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
