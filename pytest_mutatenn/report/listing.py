"""``--mutatenn-list``: every mutant before it is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any


def print_plans(told: Mapping[str, Any], line: Callable[[str], None]) -> None:
    """Print the mutants of every network and cell, and what is absent, with counts."""
    for model, cell, plan in told["plans"]:
        layers = told["models"].get(model, {}).get("layers", {})
        line(f"{model} on {cell}: {len(plan['mutants'])} mutants")
        for entry in plan["mutants"]:
            names = [layers.get(name, name) for name in entry["layers"]]
            line(f"{entry['id']}  {', '.join(names)}")
            line(f"    - {entry['before']}")
            line(f"    + {entry['after']}")
        counts = Counter((entry["stage"], entry["category"]) for entry in plan["mutants"])
        for (stage, category), count in sorted(counts.items()):
            line(f"{count:6d}  {stage} {category}")
        for absent in plan["absent"]:
            line(f"     0  {absent['stage']}.{absent['operator']}: {absent['reason']}")
        for name, text in (("sampled_out", "sampled out"), ("not_selected", "not selected")):
            if plan[name]:
                line(f"{len(plan[name]):6d}  {text}")
