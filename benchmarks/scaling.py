"""Part scaling: how the time of a run grows with the inputs, and with the mutants."""

from __future__ import annotations

import contextlib
from typing import Any

from benchmarks.common import NETWORKS, Bench, Line, Project, Result, Worker, median, slope

NETWORK = "mlperf_resnet8_bn"
SMALL = "digits"
LEVELS = (0, 1, 2, 3)
"""The largest number of mutants takes the mutants of several opt levels."""


def run(bench: Bench) -> Result:
    """Measure."""
    settings = {
        "inputs": list(bench.pick((1, 10, 100, 1000), (1, 10))),
        "mutants on them": bench.pick(60, 6),
        "mutants": list(bench.pick((10, 100, 1000, 10000), (10, 20))),
        "networks": f"{NETWORK} (inputs), {SMALL} (mutants, opt levels {LEVELS}, operators all)",
    }
    result = Result(settings)
    if bench.quick:
        result.notes.append("--quick: 100 and 1000 inputs, and 100 mutants and more, are left out")
    _inputs(bench, result)
    _mutants(bench, result)
    return result


def _inputs(bench: Bench, result: Result) -> None:
    number = result.settings["mutants on them"]
    for count in result.settings["inputs"]:
        bench.say(f"scaling: {count} inputs")
        project = Project(bench, NETWORKS[NETWORK], count=count)
        few = project.cold("--mutatenn-sample=1")
        many = project.cold(f"--mutatenn-sample={number}")
        once, each = slope((few.executed(), few.seconds), (many.executed(), many.seconds))
        theirs = _rebuilds(project, bench.pick(3, 1))
        whole = median(rebuild["total"] for rebuild in theirs)
        result.samples.append(
            {"inputs": count, "few": few.summary(), "rebuilds": theirs, **many.summary()}
        )
        result.lines += [
            Line(f"{NETWORK}, {count} inputs: once for the network", once, "s"),
            Line(f"{NETWORK}, {count} inputs: a mutant that is run", each * 1000, "ms"),
            Line(f"{NETWORK}, {count} inputs: rebuild", whole * 1000, "ms"),
            Line(f"{NETWORK}, {count} inputs: rebuild / a mutant", whole / each, "x"),
        ]


def _rebuilds(project: Project, number: int) -> list[dict[str, Any]]:
    worker = Worker("rebuild")
    with contextlib.closing(worker):
        worker.ask(model=str(project.model), inputs=str(project.inputs))
        return [worker.ask(seed=seed) for seed in range(number)]


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
