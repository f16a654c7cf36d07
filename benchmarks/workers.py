"""Part workers: two workers of pytest-xdist against none, with empty stores, taking turns.

Without workers a run makes the next mutant on a core that is idle, so it is measured both with that
and on one core alone.
"""

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
_WAYS = {
    "-n 0, one core": ("-n0", "--mutatenn-no-ahead"),
    "-n 0": ("-n0",),
    "-n 2": ("-n2",),
}


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
    found: dict[str, list[float]] = {name: [] for name in _WAYS}
    verdicts = set()
    for number in range(settings["rounds"]):
        # the one that goes first is the other each time
        for name in list(_WAYS) if number % 2 else list(reversed(_WAYS)):
            bench.say(f"workers: {name}, round {number + 1} of {settings['rounds']}")
            done = project.cold(*_WAYS[name], f"--mutatenn-sample={settings['mutants']}")
            found[name].append(done.seconds)
            verdicts.add(str(done.verdicts()))
            result.samples.append({"way": name, **done.summary()})
    if len(verdicts) > 1:
        raise BenchmarkError(f"verdicts differ between runs: {sorted(verdicts)}")
    two = found["-n 2"]
    result.lines += [Line(name, median(seconds), "s") for name, seconds in found.items()]
    for name, target in (("-n 0, one core", None if bench.quick else 1.7), ("-n 0", None)):
        pairs = [none / both for none, both in zip(found[name], two, strict=True)]
        what = f"{name} / -n 2, median of pairs"
        # what two workers give depends on the mutants: of few, most of the time is the baseline's
        result.lines.append(Line(what, median(pairs), "x", target, at_least=True))
