"""The part of the report about time: how long the unmutated network takes in each cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_mutatenn.report.words import Write, count_of

NOT_ASKED = "not measured: see --mutatenn-latency-repeats"
WORKERS = (
    "not measured under pytest-xdist, whose workers share the machine's cores: run it without -n"
)


def latency_of(rows: Iterable[Mapping[str, Any]], off: str) -> dict[str, Any]:
    """Gather what the rows of the unmutated network measured.

    Parameters
    ----------
    rows
        All rows.
    off
        Why nothing was measured; empty where it was.
    """
    from pytest_mutatenn.analysis.latency import summarise  # NumPy, which collecting is without

    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        stats = row.get("stats") or {}
        if row["mutant"] is None:
            for cell, part in {row["cell"]: stats, **stats.get("parts", {})}.items():
                if part.get("latency"):
                    found.setdefault((row["model"], cell), part["latency"])
    cells = [
        {
            "model": model,
            "cell": cell,
            "warmup": told["warmup"],
            "repeats": told["repeats"],
            **summarise(told["seconds"]),
        }
        for (model, cell), told in sorted(found.items())
    ]
    return {"off": off or None, "cells": cells, "tests": tests_of(cells)}


def tests_of(cells: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Test, for each network, whether its cells differ."""
    from pytest_mutatenn.analysis.latency import compare_latencies

    models: dict[str, dict[str, list[float]]] = {}
    for entry in cells:
        models.setdefault(entry["model"], {})[entry["cell"]] = entry["seconds_per_input"]
    found = []
    for model, latencies in sorted(models.items()):
        tested = compare_latencies(latencies)
        if tested is not None:
            found.append({"model": model, **tested})
    return found


def write_latencies(record: Mapping[str, Any], line: Write) -> None:
    """Write the latencies, a line a call; that they were wanted and are off, too."""
    found = record["latency"]
    if found["off"] not in (None, NOT_ASKED):
        line("")
        line(f"latency: {found['off']}")
    if not found["cells"]:
        return
    several = len(record["models"]) > 1
    names = [_name(entry, several) for entry in found["cells"]]
    width = max(map(len, names))
    repeats = count_of(found["cells"][0]["repeats"], "repeat")
    line("")
    line(f"latency per input of the unmutated network ({repeats}):", bold=True)
    for name, entry in zip(names, found["cells"], strict=True):
        median, late = _ms(entry["seconds_median"]), _ms(entry["seconds_p95"])
        line(f"{name:{width}}  median {median:>9} ms  95 % below {late:>9} ms")
    for tested in found["tests"]:
        model = f"{tested['model']}: " if several else ""
        variance, ranks = tested["anova"], tested["kruskal"]
        line(
            f"{model}ANOVA F = {_number(variance['statistic'])}, p = "
            f"{_number(variance['p_value'])}, eta squared {_number(variance['eta_squared'])}; "
            f"Kruskal-Wallis H = {_number(ranks['statistic'])}, p = {_number(ranks['p_value'])}, "
            f"epsilon squared {_number(ranks['epsilon_squared'])}"
        )


def _name(entry: Mapping[str, Any], several: bool) -> str:
    return f"{entry['model']}: {entry['cell']}" if several else str(entry["cell"])


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.4g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
