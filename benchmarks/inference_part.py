"""Part inference: what :mod:`benchmarks.inference` measures, as lines of the table."""

from __future__ import annotations

import importlib

from benchmarks.common import Bench, BenchmarkError, Line, Result, has_module


def run(bench: Bench, result: Result) -> None:
    """Measure; every number of a row becomes a line."""
    if not has_module("benchmarks.inference"):
        raise BenchmarkError("benchmarks/inference.py is not there")
    settings = {"threads": 1, "repeats": bench.pick(20, 3)}
    result.settings.update(settings)
    rows = importlib.import_module("benchmarks.inference").measure(bench.models, **settings)
    result.samples += rows
    for row in rows:
        name = ", ".join(str(value) for value in row.values() if isinstance(value, str))
        for what, value in row.items():
            if isinstance(value, float):
                result.lines.append(Line(f"{name}: {what}", value))
