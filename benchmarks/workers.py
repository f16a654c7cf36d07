"""Part workers: two workers of pytest-xdist against none, with empty stores, taking turns."""

from __future__ import annotations

from benchmarks.common import (
    NETWORKS,
    Bench,
    BenchmarkError,
    Line,
    Result,
    has_module,
    median,
)
from benchmarks.runs import Project

NETWORK = "mlperf_resnet8_bn"


def run(bench: Bench, result: Result) -> None:
    """Measure."""
    if not has_module("xdist"):
        raise BenchmarkError("it needs pytest-xdist: pip install '.[xdist]'")
    settings = {
        "network": NETWORK,
        # a run of some minutes: of a short one, starting and the baseline are the larger part
        "mutants": bench.pick(1000, 12),
        "rounds": bench.pick(2, 1),
    }
    result.settings.update(settings)
    project = Project(bench, NETWORKS[NETWORK])
    found: dict[int, list[float]] = {0: [], 2: []}
    verdicts = set()
    for number in range(settings["rounds"]):
        # the one that goes first is the other each time
        for workers in (0, 2) if number % 2 else (2, 0):
            bench.say(f"workers: -n {workers}, round {number + 1} of {settings['rounds']}")
            done = project.cold(f"-n{workers}", f"--mutatenn-sample={settings['mutants']}")
            found[workers].append(done.seconds)
            verdicts.add(str(done.verdicts()))
            result.samples.append({"workers": workers, **done.summary()})
    if len(verdicts) > 1:
        raise BenchmarkError(f"verdicts differ between runs: {sorted(verdicts)}")
    pairs = [none / two for none, two in zip(found[0], found[2], strict=True)]
    result.lines += [
        Line("-n 0", median(found[0]), "s"),
        Line("-n 2", median(found[2]), "s"),
        # what two workers give depends on the mutants: of few, most of the time is the baseline's
        Line("-n 0 / -n 2, median of pairs", median(pairs), "x",
             None if bench.quick else 1.7, at_least=True),
    ]  # fmt: skip
