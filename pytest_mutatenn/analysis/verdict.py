"""What an outcome means: the verdict on a mutant in a cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """The verdict on a mutant in one cell.

    Members carry what the score and the terminal ask: whether the fault was detected, whether it
    counts, a letter and a colour (after PIT's DetectionStatus).
    """

    KILLED = ("k", True, True, "green")
    """A test failed on it that passes on the baseline of that cell."""
    SURVIVED = ("S", False, True, "red")
    """Every test passed on it."""
    TIMEOUT = ("t", True, True, "green")
    """No answer within the baseline's time times a factor plus a constant."""
    CRASHED = ("c", True, True, "green")
    """Its process died, or the device faulted."""
    INVALID = ("i", False, False, "yellow")
    """The compiler refused it."""
    EQUIVALENT = ("=", False, False, "cyan")
    """The generated code is the baseline's."""
    DUPLICATE = ("d", False, False, "cyan")
    """The generated code is another mutant's."""
    SKIPPED = ("s", False, False, "yellow")
    """Not run, with its reason."""

    def __init__(self, letter: str, detected: bool, scored: bool, colour: str) -> None:
        self.letter = letter
        self.detected = detected
        self.scored = scored
        self.colour = colour


@dataclass(frozen=True)
class RowResult:
    """What one test did on one mutant in one cell.

    Attributes
    ----------
    test
        The test, without its row.
    order
        Its place in the collection.
    result
        ``passed``, ``failed``, ``verdict`` (the row gave a verdict by itself: see ``verdict``),
        ``spared`` (not run: an earlier test had decided), ``skipped`` (by the user's test) or
        ``error``.
    verdict
        With ``verdict``: its name.
    reason
        What the failed assertion said, or why there was nothing to run.
    """

    test: str
    order: int
    result: str
    verdict: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Judgement:
    """The verdict on a mutant in a cell, and what led to it.

    Attributes
    ----------
    verdict, reason
        What it is, and why.
    killed_by, survived
        The tests that failed and passed on it, and that count.
    read
        All tests that count, those too that gave the verdict in another way.
    """

    verdict: Verdict
    reason: str
    killed_by: tuple[str, ...] = ()
    survived: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


def judge(rows: Iterable[RowResult], green: Mapping[str, bool], *, full_matrix: bool) -> Judgement:
    """Give the verdict on a mutant in a cell.

    The rows are read in the order of the collection, and what comes after the deciding test does
    not count unless the full matrix was asked for: a run on several workers, where later tests
    may have run already, gives the same verdict and the same list of tests.

    Parameters
    ----------
    rows
        What the tests did.
    green
        Test -> whether it passed on this cell's baseline; missing where that was not run.
    full_matrix
        Whether every test was to run on every mutant.
    """
    killed: list[str] = []
    survived: list[str] = []
    verdict: Verdict | None = None
    reason = ""
    left_out: list[str] = []
    read: list[str] = []
    for row in sorted(rows, key=lambda r: (r.order, r.test)):
        if verdict is not None and not full_matrix:
            break
        if not green.get(row.test, False):
            left_out.append(
                f"{row.test} fails on the baseline"
                if row.test in green
                else f"the baseline of {row.test} was not run"
            )
            continue
        read.append(row.test)
        if row.result == "verdict":
            verdict, reason = verdict or Verdict[row.verdict], reason or row.reason
        elif row.result == "failed":
            killed.append(row.test)
            verdict, reason = verdict or Verdict.KILLED, reason or row.reason
        elif row.result == "passed":
            survived.append(row.test)
        elif row.reason:
            left_out.append(f"{row.test}: {row.reason}")
    if verdict is None and survived:
        verdict = Verdict.SURVIVED
    if verdict is None:
        return Judgement(Verdict.SKIPPED, "; ".join(dict.fromkeys(left_out)))
    return Judgement(verdict, reason, tuple(killed), tuple(survived), tuple(read))
