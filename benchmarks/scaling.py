"""Part scaling: how the time of a run grows with the inputs, and with the mutants."""

from __future__ import annotations

import contextlib
from typing import Any

from benchmarks.common import NETWORKS, Bench, BenchmarkError, Line, Result, median
from benchmarks.marginal import each, measure
from benchmarks.runs import Project
from benchmarks.worker import Worker
from pytest_mutatenn.engine.cell import Cell

NETWORK = "mlperf_resnet8_bn"
SMALL = "digits"
CELL = Cell("llvm", 2)
LEVELS = (0, 1, 2, 3)
"""The largest number of mutants takes the mutants of several opt levels."""


def run(bench: Bench, result: Result) -> None:
    """Measure."""
    settings = {
        "inputs": list(bench.pick((1, 10, 100, 1000), (1, 10))),
        "mutants on them": bench.pick(60, 6),
        "mutants": list(bench.pick((10, 100, 1000, 10000), (10, 20))),
        "networks": f"{NETWORK} (inputs), {SMALL} (mutants, opt levels {LEVELS}, operators all)",
    }
    result.settings.update(settings)
    if bench.quick:
        result.notes.append("--quick: 100 and 1000 inputs, and 100 mutants and more, are left out")
    _inputs(bench, result)
    _mutants(bench, result)


def _inputs(bench: Bench, result: Result) -> None:
    number = result.settings["mutants on them"]
    for count in result.settings["inputs"]:
        bench.say(f"scaling: {count} inputs")
        project = Project(bench, NETWORKS[NETWORK], count=count)
        found = measure(project, CELL, number, 0)
        rebuilds = _rebuilds(project, bench.pick(3, 1))
        whole = median(rebuild["total"] for rebuild in rebuilds)
        result.samples.append({"inputs": count, "rebuilds": rebuilds, **found.as_dict()})
        what = f"{NETWORK}, {count} inputs"
        result.lines.append(Line(f"{what}: rebuild", whole * 1000, "ms"))
        try:
            ours = each([found])
        except BenchmarkError as error:
            result.notes.append(f"{what}: not measured: {error}")
            continue
        result.lines += [
            Line(f"{what}: once for the network", found.first - ours, "s"),
            Line(f"{what}: a mutant that is run", ours * 1000, "ms"),
            Line(f"{what}: rebuild / a mutant that is run", whole / ours, "x"),
        ]


def _rebuilds(project: Project, number: int) -> list[dict[str, Any]]:
    worker = Worker("rebuild")
    with contextlib.closing(worker):
        worker.ask(model=str(project.model), inputs=str(project.inputs))
        return [worker.ask(seed=seed, folded=True) for seed in range(number)]


def _mutants(bench: Bench, result: Result) -> None:
    project = Project(bench, NETWORKS[SMALL])
    levels = ",".join(map(str, LEVELS))
    for wanted in result.settings["mutants"]:
        bench.say(f"scaling: {wanted} mutants")
        done = project.cold(
            "--mutatenn-operators=all",
            f"--mutatenn-opt-levels={levels}",
            f"--mutatenn-sample={-(-wanted // len(LEVELS))}",
        )
        result.samples.append({"mutants": wanted, **done.summary()})
        what = f"{SMALL}: {done.made()} mutants, {done.executed()} run"
        result.lines += [
            Line(f"{what}: in all", done.seconds, "s"),
            Line(f"{what}: in all, by mutant", done.seconds * 1000 / max(1, done.made()), "ms"),
        ]
        if done.made() < 0.9 * wanted:
            result.notes.append(
                f"{wanted} mutants were wanted, and {done.made()} made: {SMALL} has no more"
            )
