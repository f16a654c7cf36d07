"""What goes into an evaluation and what comes out of it, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.engine.texts import Change

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.engine.row import Row

Arrays = Mapping[str, "np.ndarray"]
"""Name of a network's tensor -> array of shape (n, shape of the tensor)."""


@dataclass(frozen=True)
class Limits:
    """What a mutant may take, and what may be kept to spare it work.

    Attributes
    ----------
    timeout_factor, timeout_constant
        A run may take the baseline's time times the factor, plus the constant in seconds (PIT's
        strategy).
    compile_timeout
        Seconds a mutant's compilation may take.
    list_timeout
        Seconds that asking all operators about a network may take.
    memory
        Bytes a child may allocate beyond the baseline.
    activations
        Bytes of the baseline's tensors that are kept, a cell and dataset.
    """

    timeout_factor: float = 5.0
    timeout_constant: float = 5.0
    compile_timeout: float = 120.0
    list_timeout: float = 300.0
    memory: int = 2 << 30
    activations: int = 256 << 20

    def deadline(self, baseline_seconds: float) -> float:
        """Seconds that a run may take."""
        return baseline_seconds * self.timeout_factor + self.timeout_constant


@dataclass(frozen=True, eq=False)
class Job:
    """A program, and inputs to run it on.

    Attributes
    ----------
    mutant
        Its id; None for the baseline.
    arrays
        Network input -> array of shape (n, *input shape); a
        :class:`~pytest_mutatenn.model.shared.SharedArrays` is mapped by the process that runs them,
        others are sent to it.
    digest
        Digest of the inputs.
    row
        The child to use where one is needed; a new one is made and ended otherwise.
    keep
        Keep the baseline's activations for these inputs: many mutants will run on them.
    """

    mutant: str | None
    arrays: Arrays
    digest: str
    row: Row | None = None
    keep: bool = False

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(next(iter(self.arrays.values())))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a program gave for a set of inputs.

    Attributes
    ----------
    outputs
        Every network output by name, of shape (n, *output shape).
    latency
        Seconds per input; NaN where part of the work was the baseline's.
    infected
        Per input, whether a changed step's result differs from the baseline's.
    seconds
        Time of the whole run.
    step_seconds
        For the baseline: time of each step, over all inputs.
    """

    outputs: Arrays
    latency: np.ndarray
    infected: Sequence[bool]
    seconds: float
    step_seconds: Sequence[float] = ()


@dataclass(frozen=True)
class Recipe:
    """A mutant as this cell makes it.

    Attributes
    ----------
    status
        ``prepared``, ``rejected`` or ``no_site``.
    digest
        Of its program; empty unless prepared.
    reason
        Why it is not prepared.
    before, after
        The lines that change here.
    undefined
        Which access of its kernels is outside its buffer, if one is: what it reads there is not
        defined, and is NaN in this sandbox.
    change
        The texts that it changes here, and how; empty where it could not be made so far.
    seconds
        Time it took to make.
    passing
        Whether the machine's load decided it, so that another run may find otherwise.
    """

    status: str
    digest: str = ""
    reason: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    undefined: str = ""
    change: Change = ()
    seconds: float = 0.0
    passing: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Recipe:
        """Read one that has become JSON."""
        sequences = {name: tuple(stored[name]) for name in ("before", "after", "change")}
        return cls(**{**stored, **sequences})


@dataclass(frozen=True)
class Opened:
    """Whose results an entry of the store holds, for who reads it by its key.

    Attributes
    ----------
    program, data
        Digests of the program and of its inputs.
    role
        ``baseline``, ``mutant``, or ``identity``, which runs for itself although its program is
        the baseline's.
    """

    program: str
    data: str
    role: str


def role_of(mutant: str | None) -> str:
    """The role of a mutant, or of the baseline, in :class:`Opened`."""
    if mutant is None:
        return "baseline"
    return "identity" if mutant == "identity" else "mutant"


@dataclass(eq=False)
class Counters:
    """Work done and work spared, as the report counts it."""

    kernels_compiled: int = 0
    kernels_reused: int = 0
    steps_run: int = 0
    steps_reused: int = 0
    evaluations_run: int = 0
    evaluations_reused: int = 0
    inputs_run: int = 0
    inputs_spared: int = 0

    def add(self, other: Mapping[str, int]) -> None:
        """Add the counts of another process."""
        for name, count in other.items():
            setattr(self, name, getattr(self, name) + count)
