"""What the process that ran a mutant did; what that means is :mod:`pytest_mutatenn.analysis`'."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What happened to the process."""

    RETURNED = "returned"
    """It gave outputs."""
    RAISED = "raised"
    """The runtime raised an error."""
    CRASHED = "crashed"
    """It died: a signal, an exit, a reply that is none."""
    TIMED_OUT = "timed_out"
    """It gave no answer within its deadline."""
    OUT_OF_MEMORY = "out_of_memory"
    """It went past its memory limit."""
    REJECTED = "rejected"
    """The compiler refused the mutant."""


@dataclass(frozen=True)
class Failure:
    """An outcome other than RETURNED, with what is known of it.

    Attributes
    ----------
    outcome
        What happened.
    reason
        In a phrase: ``died of SIGSEGV``.
    stderr
        The end of what the process wrote to its standard error.
    """

    outcome: Outcome
    reason: str
    stderr: str = ""
