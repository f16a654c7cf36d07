"""Part cost: time per mutant, against a rebuild of the whole network per mutant.

Ours is pytest as a user runs it, on mutants that the store does not know; what it takes for them,
beyond what the network costs once, is divided by the mutants that were made and run (see
:class:`benchmarks.marginal.Marginal`). Theirs is :mod:`benchmarks.rebuild`. Both ways take turns.
"""

from __future__ import annotations

import contextlib
from typing import Any

from benchmarks.common import NETWORKS, Bench, BenchmarkError, Line, Result, counts, mean, median
from benchmarks.marginal import Marginal, each, measure
from benchmarks.runs import Project, suites
from benchmarks.worker import Worker
from pytest_mutatenn.engine.cell import Cell

MEASURED = ("coral_mobilenetv2_100_224", "coral_mobilenetv1_025_128", "mlperf_resnet8_bn")
LEVELS = (2, 3)
FOLDED = "rebuild, constants folded"
WAYS = {FOLDED: True, "rebuild": False}
TARGETS = {
    "mlperf_resnet8_bn": 40.0,
    "coral_mobilenetv1_025_128": 40.0,
    "coral_mobilenetv2_100_224": 100.0,
}
"""How many times cheaper a mutant is to be, of a suite that decides early in the fastest cell."""


def run(bench: Bench, result: Result) -> None:
    """Measure."""
    settings = {
        "networks": list(bench.pick(MEASURED, MEASURED[-1:])),
        "opt levels": list(LEVELS),
        "rounds": bench.pick(2, 1),
        "mutants a round": bench.pick(80, 8),
        "rebuilds a round": bench.pick(4, 2),
    }
    names, notes = suites()
    result.settings.update(settings)
    result.notes += notes
    for network in settings["networks"]:
        _network(bench, network, names, result)


def _network(bench: Bench, name: str, names: list[str], result: Result) -> None:
    settings, network = result.settings, NETWORKS[name]
    projects = {suite: Project(bench, network, suite=suite) for suite in names}
    first = projects["plain"]
    rebuilds: list[dict[str, Any]] = []
    rounds: dict[tuple[Cell, str], list[Marginal]] = {}
    share = -(-settings["rebuilds a round"] // len(LEVELS))
    worker = Worker("rebuild")
    with contextlib.closing(worker):
        worker.ask(model=str(first.model), inputs=str(first.inputs))
        # each round goes through all ways, so that a busy minute meets all of them
        for turn in range(settings["rounds"]):
            for cell in (Cell("llvm", level) for level in LEVELS):
                for i in range(share):
                    folded = i % 2 == 0
                    rebuilds.append(worker.ask(seed=len(rebuilds), folded=folded))
                    result.samples.append({"network": name, "way": "rebuild", **rebuilds[-1]})
                for suite, project in projects.items():
                    bench.say(f"cost: {name} {cell.id}, {suite}, round {turn + 1}")
                    found = measure(project, cell, settings["mutants a round"], turn)
                    rounds.setdefault((cell, suite), []).append(found)
                    result.samples.append(
                        {"network": name, "way": suite, "cell": cell.id, **found.as_dict()}
                    )
    theirs = {}
    for way, folded in WAYS.items():
        there = [sample for sample in rebuilds if sample["folded"] == folded]
        theirs[way] = median(sample["total"] for sample in there)
        what = f"{name}: {way}"
        result.lines += [
            Line(f"{what}, median of {len(there)}", theirs[way], "s a mutant"),
            Line(f"{what}, of that compiling", median(r["compile"] for r in there), "s"),
            Line(f"{what}, of that running", median(r["run"] for r in there), "s"),
        ]
    for (cell, suite), there in rounds.items():
        what = f"{name} {cell.id} {suite}"
        total = {v: sum(one.verdicts.get(v, 0) for one in there) for v in _met(there)}
        result.notes.append(f"{what}: {counts(total)}")
        try:
            target = TARGETS[name] if suite == "deciding" and cell.opt_level == 3 else None
            result.lines += _lines(what, there, theirs, None if bench.quick else target)
        except BenchmarkError as error:
            result.notes.append(f"{what}: not measured: {error}")


def _met(rounds: list[Marginal]) -> list[str]:
    return sorted({verdict for found in rounds for verdict in found.verdicts})


def _lines(
    name: str, rounds: list[Marginal], theirs: dict[str, float], target: float | None
) -> list[Line]:
    ours = each(rounds)
    make = mean(found.share("seconds_compile") for found in rounds)
    ran = mean(found.share("seconds_run") for found in rounds)
    fork = mean(found.fork for found in rounds)
    once = mean(found.first for found in rounds) - ours
    return [
        Line(f"{name}: once for the network, with pytest's start", once, "s"),
        Line(f"{name}: again each time, with two mutants", mean(r.second for r in rounds), "s"),
        Line(f"{name}: a mutant that is run", ours * 1000, "ms"),
        Line(f"{name}: a mutant that is made", each(rounds, made=True) * 1000, "ms"),
        *(
            Line(
                f"{name}: {way} / a mutant that is run",
                seconds / ours,
                "x",
                target if way == FOLDED else None,
                at_least=True,
            )
            for way, seconds in theirs.items()
        ),
        Line(f"{name}: of a mutant: process", fork * 1000, "ms"),
        Line(f"{name}: of a mutant: making", make * 1000, "ms"),
        Line(f"{name}: of a mutant: running", ran * 1000, "ms"),
        # some of it passes while the next mutant is made
        Line(f"{name}: besides: pytest, and all else", (ours - make - ran - fork) * 1000, "ms"),
        *_stages(name, rounds),
    ]


def _stages(name: str, rounds: list[Marginal]) -> list[Line]:
    found: dict[str, list[float]] = {}
    for one in rounds:
        for stage, values in one.by_stage().items():
            found.setdefault(stage, []).extend(values)
    return [
        Line(f"{name}: making, {stage} stage, median of {len(v)}", median(v) * 1000, "ms")
        for stage, v in sorted(found.items())
    ]
