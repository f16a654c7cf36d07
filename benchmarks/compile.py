"""Part compile: how long it takes to compile a mutant's kernel.

From the PrimFunc to the shared library in the store: scheduled, lowered, code generated, linked.
The store is empty at first, and only kernels that were really compiled count. Run as a worker it
makes the mutants of one network in one cell, without running any.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.common import (
    NETWORKS,
    Bench,
    Line,
    Result,
    median,
    quantile,
)
from benchmarks.worker import Worker, serve

LEVELS = (2, 3)
STAGES = ("kernel", "device")
MEDIAN_MS, HIGH_MS = 50.0, 120.0


def run(bench: Bench, result: Result) -> None:
    """Measure."""
    names = [name for name in NETWORKS if name != "digits"]
    settings = {
        "networks": names if not bench.quick else ["ms_mnist8", "mlperf_resnet8_bn"],
        "opt levels": list(LEVELS),
        "mutants a network, stage and level": bench.pick(25, 3),
    }
    result.settings.update(settings)
    for name in settings["networks"]:
        for level in LEVELS:
            bench.say(f"compile: {name} O{level}")
            store = bench.folder("store")
            worker = Worker("compile")
            with contextlib.closing(worker):
                found = worker.ask(
                    model=str(bench.place(NETWORKS[name].model)),
                    level=level,
                    store=str(store),
                    number=settings["mutants a network, stage and level"],
                )
            shutil.rmtree(store)
            result.samples += [{"network": name, "opt level": level, **each} for each in found]
    for level in LEVELS:
        of_level = [s for s in result.samples if s["opt level"] == level]
        times = [seconds * 1000 for sample in of_level for seconds in sample["kernels"]]
        what = f"O{level}: a mutant's kernel, {len(times)} kernels"
        result.lines += [
            Line(f"{what}: median", median(times), "ms", MEDIAN_MS),
            Line(f"{what}: 95th percentile", quantile(times, 0.95), "ms", HIGH_MS),
        ]
        for stage in STAGES:
            there = [s * 1000 for x in of_level if x["stage"] == stage for s in x["kernels"]]
            result.lines.append(Line(f"O{level}: stage {stage}: median", median(there), "ms"))
        for name in settings["networks"]:
            there = [s * 1000 for x in of_level if x["network"] == name for s in x["kernels"]]
            if not there:
                result.notes.append(f"{name} O{level}: no kernel of its mutants was a new one")
                continue
            result.lines.append(Line(f"O{level}: {name}: median", median(there), "ms"))


def make(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Make some mutants of a network; of each, seconds for every kernel that was compiled."""
    from pytest_mutatenn.compiler.lower import NoSuchSite
    from pytest_mutatenn.compiler.mutant import Mutant
    from pytest_mutatenn.engine.listing import list_mutants
    from pytest_mutatenn.engine.prepare import Rejected, prepare
    from pytest_mutatenn.engine.workshop import Order, Workshop

    order = Order(request["model"], {}, "llvm", request["level"], (), (), (), (), request["store"])
    workshop = Workshop(order)
    workshop.load_baseline()
    compiled = workshop.compile
    times: list[float] = []

    def timed(*arguments: Any) -> tuple[str, Path]:
        before = workshop.counters.kernels_compiled
        start = time.perf_counter()
        code = compiled(*arguments)
        if workshop.counters.kernels_compiled > before:
            times.append(time.perf_counter() - start)
        return code

    workshop.compile = timed  # type: ignore[method-assign, assignment]
    listed = list_mutants(
        workshop,
        {
            "operators": "default",
            "stages": list(STAGES),
            "order": "site",
            "count": 1,
            "positions": [0, None],
            "seed": 0,
        },
    )["mutants"]
    found = []
    for stage in STAGES:
        ids = [entry["id"] for entry in listed if entry["stage"] == stage]
        for mutant in random.Random(0).sample(ids, min(request["number"], len(ids))):
            times.clear()
            start = time.perf_counter()
            try:
                prepare(workshop, Mutant.parse(mutant))
                status = "made"
            except (NoSuchSite, Rejected) as error:
                status = type(error).__name__
            whole = time.perf_counter() - start
            found.append(
                {
                    "mutant": mutant,
                    "stage": stage,
                    "status": status,
                    "kernels": list(times),
                    "whole": whole,
                }
            )
    return found


if __name__ == "__main__":
    serve(make)
