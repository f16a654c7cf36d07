"""Part exact: the same verdicts and killers with and without incremental execution."""

from __future__ import annotations

from typing import Any

from benchmarks.common import NETWORKS, Bench, Line, Result
from benchmarks.runs import Project, Run

WITHOUT = "--mutatenn-no-incremental"
MEASURED = ("digits", "mlperf_resnet8_bn", "coral_mobilenetv1_025_128")


def run(bench: Bench, result: Result) -> None:
    """Measure."""
    names = bench.pick(MEASURED, MEASURED[:1])
    settings = {
        "networks": list(names),
        "mutants": bench.pick(510, 12),
        "without": WITHOUT,
    }
    result.settings.update(settings)
    compared = differing = 0
    for name in names:
        project = Project(bench, NETWORKS[name])
        option = f"--mutatenn-sample={settings['mutants'] // len(names)}"
        found = []
        for more in ((), (WITHOUT,)):
            bench.say(f"exact: {name} {' '.join(more) or 'incremental'}")
            # a store each: nothing that one has found can reach the other
            found.append(project.cold(option, *more))
        different = differences(*found)
        for each in different:
            bench.say(f"exact: {each}")
        compared += len(_verdicts(found[0]))
        differing += len(different)
        result.samples.append(
            {
                "network": name,
                "differences": different,
                "incremental": found[0].summary(),
                "not incremental": found[1].summary(),
            }
        )
        result.lines.append(
            Line(f"{name}: not incremental / incremental", found[1].seconds / found[0].seconds, "x")
        )
    wanted = None if bench.quick else 500
    result.lines += [
        Line("mutants compared", compared, "mutants", wanted, at_least=True),
        Line("mutants with another verdict or killer", differing, "mutants", 0),
    ]


def differences(one: Run, other: Run) -> list[str]:
    """The mutants whose verdicts or killers are not the same in two runs, for people."""
    ours, theirs = _verdicts(one), _verdicts(other)
    return [
        f"{mutant} {cell}: {ours.get((mutant, cell))} and {theirs.get((mutant, cell))}"
        for mutant, cell in sorted(ours.keys() | theirs.keys())
        if ours.get((mutant, cell)) != theirs.get((mutant, cell))
    ]


def _verdicts(run: Run) -> dict[tuple[str, str], Any]:
    return {
        (entry["id"], entry["cell"]): (entry["verdict"], entry["killed_by"])
        for entry in run.entries()
    }
