"""Part cost: time per mutant, against a rebuild of the whole network per mutant.

Ours is pytest as a user runs it, with an empty store, on two samples of one seed: one mutant, and
many. What does not grow from one to the other is the one-time cost of the network (importing,
compiling and running it, in the cell and in the reference cell; listing its mutants); the rest,
divided by the mutants that were made and run, is a mutant's. Both ways take turns.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.common import (
    EXECUTED,
    NETWORKS,
    Bench,
    Line,
    Project,
    Result,
    Run,
    Worker,
    counts,
    mean,
    median,
    slope,
    suites,
)
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.model.source import resolve_model

MEASURED = ("mlperf_resnet8_bn", "coral_mobilenetv1_025_128", "coral_mobilenetv2_100_224")
LEVELS = (2, 3)


def run(bench: Bench) -> Result:
    """Measure."""
    settings = {
        "networks": list(bench.pick(MEASURED, MEASURED[:1])),
        "opt levels": list(LEVELS),
        "rounds": bench.pick(3, 1),
        "mutants a round": bench.pick(60, 8),
        "rebuilds a round": bench.pick(4, 2),
    }
    names, notes = suites()
    result = Result(settings, notes=notes)
    for network in settings["networks"]:
        _network(bench, network, names, result)
    return result


def _network(bench: Bench, name: str, names: list[str], result: Result) -> None:
    settings, network = result.settings, NETWORKS[name]
    projects = {suite: Project(bench, network, suite=suite) for suite in names}
    first = projects["plain"]
    rebuilds: list[dict[str, Any]] = []
    rounds: dict[tuple[int, str], list[dict[str, Any]]] = {}
    worker = Worker("rebuild")
    with contextlib.closing(worker):
        worker.ask(model=str(first.model), inputs=str(first.inputs))
        for number in range(settings["rounds"]):
            share = -(-settings["rebuilds a round"] // len(LEVELS))
            for place, level in enumerate(LEVELS):
                # each round goes through all ways, so that a busy minute meets all of them
                for i in range(share):
                    seed = (number * len(LEVELS) + place) * share + i
                    rebuilds.append(worker.ask(seed=seed))
                    result.samples.append({"network": name, "way": "rebuild", **rebuilds[-1]})
                for suite, project in projects.items():
                    bench.say(f"cost: {name} O{level}, {suite}, round {number + 1}")
                    found = _round(project, level, number, settings["mutants a round"])
                    rounds.setdefault((level, suite), []).append(found)
                    sample = {"network": name, "way": suite, "opt level": level, **found}
                    result.samples.append(sample)
    theirs = median(sample["total"] for sample in rebuilds)
    result.lines += [
        Line(f"{name}: rebuild, median of {len(rebuilds)}", theirs, "s a mutant"),
        Line(f"{name}: rebuild, of that compiling", median(r["compile"] for r in rebuilds), "s"),
        Line(f"{name}: rebuild, of that running", median(r["run"] for r in rebuilds), "s"),
    ]
    for (level, suite), there in rounds.items():
        result.lines += _lines(f"{name} O{level} {suite}", there, theirs)
        verdicts = {v: sum(r["verdicts"].get(v, 0) for r in there) for v in _met(there)}
        result.notes.append(f"{name} O{level} {suite}: {counts(verdicts)}")


def _met(rounds: list[dict[str, Any]]) -> list[str]:
    return sorted({verdict for found in rounds for verdict in found["verdicts"]})


def _round(project: Project, level: int, seed: int, mutants: int) -> dict[str, Any]:
    options = (f"--mutatenn-opt-levels={level}", f"--mutatenn-seed={seed}")
    few = project.cold(*options, "--mutatenn-sample=1")
    store = project.store()
    try:
        many = project.run(store, *options, f"--mutatenn-sample={mutants}")
        fork = fork_seconds(project.model, Cell("llvm", level), store)
    finally:
        shutil.rmtree(store, ignore_errors=True)
    once, executed = slope((few.executed(), few.seconds), (many.executed(), many.seconds))
    _, made = slope((few.made(), few.seconds), (many.made(), many.seconds))
    return {
        "once": once,
        "each executed": executed,
        "each made": made,
        **shares(many),
        "fork": fork,
        "few": few.summary(),
        **many.summary(),
        "by stage": by_stage(many),
    }


def shares(run: Run) -> dict[str, float]:
    """Seconds of making and of running a mutant, for each that was run.

    The making of those that turned out equivalent, duplicate or invalid is counted, too.
    """
    number = max(1, run.executed())
    entries = run.entries()
    return {
        "make": sum(entry["seconds_compile"] or 0 for entry in entries) / number,
        "run": sum(entry["seconds_run"] or 0 for entry in entries) / number,
    }


def by_stage(run: Run) -> dict[str, list[float]]:
    """Stage -> seconds that each of its mutants that was run took to make."""
    found: dict[str, list[float]] = {}
    for entry in run.entries():
        if entry["verdict"] in EXECUTED and entry["seconds_compile"] is not None:
            found.setdefault(entry["stage"], []).append(entry["seconds_compile"])
    return found


def fork_seconds(model: Path, cell: Cell, store: Path, times: int = 15) -> float:
    """Seconds that a child process takes that does nothing: to be forked, and to end."""
    folder = Store(store)
    engine = Engine(resolve_model(model, base=Path.cwd(), scratch=store / "models"), cell, folder)
    with contextlib.closing(engine):
        engine.fork().close()
        start = time.perf_counter()
        for _ in range(times):
            engine.fork().close()
        return (time.perf_counter() - start) / times


def _lines(name: str, rounds: list[dict[str, Any]], theirs: float) -> list[Line]:
    ours = mean(found["each executed"] for found in rounds)
    make, ran, fork = (mean(found[part] for found in rounds) for part in ("make", "run", "fork"))
    lines = [
        Line(f"{name}: once for the network", mean(r["once"] for r in rounds), "s"),
        Line(f"{name}: a mutant that is run", ours * 1000, "ms"),
        Line(f"{name}: a mutant that is made", mean(r["each made"] for r in rounds) * 1000, "ms"),
        Line(f"{name}: rebuild / a mutant that is run", theirs / ours, "x"),
        Line(f"{name}: of a mutant: process", fork * 1000, "ms"),
        Line(f"{name}: of a mutant: making", make * 1000, "ms"),
        Line(f"{name}: of a mutant: running", ran * 1000, "ms"),
        Line(f"{name}: of a mutant: pytest, and all else", (ours - make - ran - fork) * 1000, "ms"),
    ]
    stages = sorted({stage for found in rounds for stage in found["by stage"]})
    for stage in stages:
        values = [value for found in rounds for value in found["by stage"].get(stage, ())]
        what = f"{name}: making, stage {stage}, median of {len(values)}"
        lines.append(Line(what, median(values) * 1000, "ms"))
    return lines
