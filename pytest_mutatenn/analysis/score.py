"""The mutation score and its parts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_mutatenn.analysis.verdict import Verdict

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Score:
    """How many mutants were detected and how many survived.

    Attributes
    ----------
    detected, survived
        Counts.
    sampled
        Whether the mutants are a sample, so that the score has an interval.
    """

    detected: int
    survived: int
    sampled: bool = False

    @property
    def value(self) -> float | None:
        """Detected of detected and survived, in percent; None where there are none."""
        total = self.detected + self.survived
        return 100 * self.detected / total if total else None

    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval in percent (Wilson 1927); None unless sampled."""
        total = self.detected + self.survived
        if not self.sampled or not total:
            return None
        p, z2 = self.detected / total, _Z95 * _Z95
        middle = (p + z2 / (2 * total)) / (1 + z2 / total)
        half = _Z95 / (1 + z2 / total) * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
        return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)


def score(verdicts: Iterable[Verdict], *, sampled: bool = False) -> Score:
    """Count verdicts; those that are not in the score do not count."""
    detected = survived = 0
    for verdict in verdicts:
        if verdict.scored:
            detected += verdict.detected
            survived += not verdict.detected
    return Score(detected, survived, sampled)
