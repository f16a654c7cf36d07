"""What a mutant costs a run of pytest, apart from what the network costs once."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import BenchmarkError
from benchmarks.runs import EXECUTED, MADE, Project, Run
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluate import Engine
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.model.source import resolve_model


@dataclass(frozen=True)
class Marginal:
    """What some mutants added to a run.

    Three runs with one store, each with mutants of its own, drawn with another seed. The first
    finds the store empty, and pays for the network: importing, compiling and running it, in the
    cell and in the reference cell, and listing its mutants. The second has two mutants, and pays
    for pytest's start and for loading the network. The third has many, and pays for these as well:
    what it takes longer is theirs. Only mutants that no run before it had count.

    Attributes
    ----------
    first, second, third
        Wall time of the three runs, in seconds.
    executed, made
        How many more mutants the third has than the second, of those made and run, and of those
        made or refused by the compiler.
    entries
        What the report says of the third run's own mutants.
    fork
        Seconds that a child process takes that does nothing: to be forked, and to end.
    """

    first: float
    second: float
    third: float
    executed: int
    made: int
    entries: list[dict[str, Any]] = field(repr=False)
    fork: float
    verdicts: dict[str, int]

    @property
    def seconds(self) -> float:
        """What the mutants added."""
        return self.third - self.second

    def share(self, what: str) -> float:
        """Sum of ``seconds_compile`` or ``seconds_run``, divided by the mutants that were run.

        The making of those that turned out equivalent, duplicate or invalid is in it, too.
        """
        total = sum(entry[what] or 0.0 for entry in self.entries)
        return float(total) / sum(entry["verdict"] in EXECUTED for entry in self.entries)

    def by_stage(self) -> dict[str, list[float]]:
        """Stage -> seconds that each of its mutants that was run took to make."""
        found: dict[str, list[float]] = {}
        for entry in self.entries:
            if entry["verdict"] in EXECUTED and entry["seconds_compile"] is not None:
                found.setdefault(entry["stage"], []).append(entry["seconds_compile"])
        return found

    def as_dict(self) -> dict[str, Any]:
        """What is kept of it as a raw sample."""
        return {
            "seconds": [self.first, self.second, self.third],
            "executed": self.executed,
            "made": self.made,
            "fork": self.fork,
            "verdicts": self.verdicts,
            "mutants": [
                {name: entry[name] for name in _KEPT if name in entry} for entry in self.entries
            ],
        }


_KEPT = ("id", "verdict", "seconds_compile", "seconds_run")


def measure(project: Project, cell: Cell, mutants: int, turn: int) -> Marginal:
    """Run pytest three times with one new store.

    Parameters
    ----------
    project
        The suite.
    cell
        Where the mutants run.
    mutants
        How many the third run draws.
    turn
        Another one draws other mutants.

    Raises
    ------
    BenchmarkError
        If there are too few mutants.
    """
    store = project.store()
    level = f"--mutatenn-opt-levels={cell.opt_level}"
    try:
        runs: list[Run] = []
        for number, amount in enumerate((1, 2, mutants)):
            seed = f"--mutatenn-seed={turn * 3 + number}"
            runs.append(project.run(store, level, seed, f"--mutatenn-sample={amount}"))
        fork = _fork_seconds(project.model, cell, store)
    finally:
        shutil.rmtree(store, ignore_errors=True)
    return of_runs(runs, fork)


def of_runs(runs: Iterable[Run], fork: float) -> Marginal:
    """What the third of three runs took longer than the second, and for which mutants.

    Raises
    ------
    BenchmarkError
        If the third has no more mutants that were run than the second.
    """
    first, second, third = runs
    new = [first.entries()]
    for run in (second, third):
        before = {entry["id"] for entries in new for entry in entries}
        new.append([entry for entry in run.entries() if entry["id"] not in before])
    (few_run, few_made), (run_, made) = (_numbers(entries) for entries in new[1:])
    if run_ <= few_run:
        raise BenchmarkError(
            f"only {run_} mutants were run where {few_run} were before: take a larger sample"
        )
    counts: dict[str, int] = {}
    for entry in new[2]:
        counts[entry["verdict"]] = counts.get(entry["verdict"], 0) + 1
    return Marginal(
        first.seconds,
        second.seconds,
        third.seconds,
        run_ - few_run,
        made - few_made,
        new[2],
        fork,
        dict(sorted(counts.items())),
    )


def _numbers(entries: Iterable[dict[str, Any]]) -> tuple[int, int]:
    verdicts = [entry["verdict"] for entry in entries]
    return sum(v in EXECUTED for v in verdicts), sum(v in MADE for v in verdicts)


def each(found: Iterable[Marginal], *, made: bool = False) -> float:
    """Seconds a mutant, over several measurements together.

    Raises
    ------
    BenchmarkError
        If more mutants took no longer: the machine is too busy to measure on, or the sample too
        small.
    """
    several = list(found)
    seconds = sum(one.seconds for one in several)
    number = sum(one.made if made else one.executed for one in several)
    if seconds <= 0:
        raise BenchmarkError(
            f"{number} mutants more took {-seconds:.1f} s less: the machine is too busy to measure "
            "on, or the sample is too small"
        )
    return seconds / number


def _fork_seconds(model: Path, cell: Cell, store: Path, times: int = 15) -> float:
    engine = Engine(
        resolve_model(model, base=Path.cwd(), scratch=store / "models"), cell, Store(store)
    )
    with contextlib.closing(engine):
        engine.fork().close()
        start = time.perf_counter()
        for _ in range(times):
            engine.fork().close()
        return (time.perf_counter() - start) / times
