"""Part warm: the same run again, when everything is in the store; and collection alone."""

from __future__ import annotations

import subprocess
import time

from benchmarks.common import (
    NETWORKS,
    Bench,
    BenchmarkError,
    Line,
    Result,
    counts,
    environment,
    median,
)
from benchmarks.runs import Project

NETWORK = "mlperf_resnet8_bn"
TESTS = 2
CHECKS = 3  # beside the mutants each test has the baseline, the canary and the identity
IDLE = ("kernels_compiled", "evaluations_run", "steps_run")
"""Counters of the report that stay at nothing when nothing is compiled and nothing is run."""


def run(bench: Bench, result: Result) -> None:
    """Measure."""
    rows = bench.pick(5000, 60)
    settings = {
        "network": NETWORK,
        "operators": "all",
        "rows wanted": rows,
        "repeats": bench.pick(5, 2),
    }
    result.settings.update(settings)
    project = Project(bench, NETWORKS[NETWORK])
    store = project.store()
    options = ("--mutatenn-operators=all", f"--mutatenn-sample={rows // TESTS - CHECKS}")
    bench.say(f"warm: the first run, {rows} rows")
    cold = project.run(store, *options)
    result.samples.append({"what": "cold", **cold.summary()})
    for number in range(settings["repeats"]):
        bench.say(f"warm: again, {number + 1} of {settings['repeats']}")
        again = project.run(store, *options)
        busy = {name: again.report["run"]["counters"].get(name, 0) for name in IDLE}
        if any(busy.values()):
            raise BenchmarkError(f"a warm run did work: {counts(busy)}")
        if again.verdicts() != cold.verdicts():
            raise BenchmarkError(f"verdicts: {cold.verdicts()} cold, {again.verdicts()} warm")
        result.samples.append({"what": "warm", **again.summary()})
        found = collect(project, project.command(store, *options, "--collect-only"))
        result.samples.append({"what": "collect", **found})
    number = result.samples[-1]["rows"]
    warm = median(s["seconds"] for s in result.samples if s["what"] == "warm")
    collected = median(s["seconds"] for s in result.samples if s["what"] == "collect")
    # the targets are for 5000 rows, and for no fewer
    whole = number >= 5000
    result.lines += [
        Line("rows", number, "rows", 5000 if not bench.quick else None, at_least=True),
        Line("first run", cold.seconds, "s"),
        Line("the same run again", warm, "s", 15.0 if whole else None),
        Line("the same run again", number / warm, "rows/s"),
        Line("--collect-only -q", collected, "s", 3.0 if whole else None),
        Line("--collect-only -q", number / collected, "rows/s"),
    ]
    result.notes.append(f"warm runs: {', '.join(IDLE)} all 0, by the counters of their reports")


def collect(project: Project, command: list[str]) -> dict[str, float]:
    """Collect only; ``seconds``, and the ``rows`` that it lists.

    Raises
    ------
    BenchmarkError
        If pytest fails.
    """
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=project.folder, env=environment(), capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise BenchmarkError(f"pytest ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return {"seconds": seconds, "rows": sum("::" in line for line in done.stdout.splitlines())}
