"""What engines share: their face, and how those that start a process keep what they know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluation import (
    Arrays,
    Counters,
    Evaluation,
    Job,
    Limits,
    Opened,
    Recipe,
)
from pytest_mutatenn.engine.outcome import Failure
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.texts import Texts
from pytest_mutatenn.engine.version import code_version, host
from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.source import ModelSource

if TYPE_CHECKING:
    from pytest_mutatenn.engine.results import Results
    from pytest_mutatenn.engine.row import Row

_BASELINES_HELD = 4  # datasets whose baseline results stay in memory, an engine


@dataclass(eq=False)
class BaseEngine(ABC):
    """Gives what one network, and its mutants, compute on one cell.

    Attributes
    ----------
    model, cell
        The network and the cell.
    store
        Where results lie.
    shapes
        Input shapes that the file leaves open.
    limits
        What a mutant may take.
    counters
        Work done and work spared.
    key
        Where the store has what belongs to the network here.
    """

    model: ModelSource
    cell: Cell
    store: Store
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    counters: Counters = field(default_factory=Counters)
    key: str = field(init=False)

    @property
    @abstractmethod
    def info(self) -> dict[str, Any]:
        """What the baseline is: its digest, fingerprint, inputs, outputs, steps and layers."""

    @abstractmethod
    def peek(self) -> dict[str, Any] | None:
        """What :attr:`info` gives, if it is known without starting a process."""

    @abstractmethod
    def close(self) -> None:
        """End what has been started; what is stored stays."""

    @abstractmethod
    def recipe(self, mutant: str, child: Row | None = None, following: str | None = None) -> Recipe:
        """How this cell makes a mutant, and which is asked for next, where that is known."""

    def row_of(self, mutant: str | None) -> Row | None:
        """The child of a row; None where rows have none."""
        return None

    @abstractmethod
    def known_texts(self) -> Mapping[str, Mapping[str, str]]:
        """The texts that mutants change, as far as any was asked for; see :class:`Texts`."""

    def evaluate(
        self,
        mutant: str | None,
        arrays: Arrays,
        digest: str,
        row: Row | None = None,
        *,
        keep: bool = False,
    ) -> Evaluation | Failure:
        """Run the baseline, or a mutant, on all inputs; or read what an earlier run gave.

        Parameters
        ----------
        mutant, arrays, digest, row, keep
            As :class:`~pytest_mutatenn.engine.evaluation.Job` has them.
        """
        results = self.results(Job(mutant, arrays, digest, row, keep))
        try:
            return results.whole()
        finally:
            results.save()

    def open(
        self,
        mutant: str | None,
        arrays: Arrays,
        digest: str,
        row: Row | None = None,
        *,
        keep: bool = False,
    ) -> Results:
        """Give what is known of a run, to be asked for more of its inputs; as :meth:`evaluate`.

        Raises
        ------
        MutatennError
            If the device is not here, or a recording has no such run.
        """
        return self.results(Job(mutant, arrays, digest, row, keep))

    @abstractmethod
    def results(self, job: Job) -> Results:
        """What is known of a job."""

    @abstractmethod
    def result_key(self, mutant: str | None, digest: str) -> str | None:
        """Where the store has the results on these inputs; None where nothing is kept."""

    @abstractmethod
    def baseline(self, arrays: Arrays, digest: str, *, keep: bool = False) -> Evaluation:
        """Run the unmutated network, or read what an earlier run gave.

        Raises
        ------
        MutatennError
            If it does not run here.
        """

    @abstractmethod
    def run(self, job: Job, allowed: float, samples: Sequence[int]) -> Evaluation | Failure:
        """Run on some of the inputs, in the order given, for so many seconds."""


@dataclass(eq=False)
class ProcessEngine(BaseEngine):
    """An engine with a process that has the network loaded. The store is asked before it starts.

    Attributes
    ----------
    threads
        Threads a kernel may use.
    incremental
        Whether results of earlier runs are read, and this run's kept.
    notes
        What the reader of a report should know of the cell.
    recipes
        Mutant -> how it is made here, of those asked for so far.
    texts
        The texts that they change.
    opened
        Key in the store -> whose results lie there, of those asked for so far.
    """

    threads: int = 1
    incremental: bool = True

    called: ClassVar[str] = "unmutated model"

    def __post_init__(self) -> None:
        self._scratch: Path | None = None
        self.known_info: dict[str, Any] | None = None
        self.notes: list[str] = []
        self.recipes: dict[str, Recipe] = {}
        self.opened: dict[str, Opened] = {}
        self.texts = Texts(self.store)
        self._baselines: dict[str, Evaluation] = {}

    def known_texts(self) -> Mapping[str, Mapping[str, str]]:
        """The texts that mutants change, as far as any was asked for; see :class:`Texts`."""
        return self.texts.known

    def _make_key(self, *parts: str) -> str:
        """Where the store has what belongs to this network here; ``parts`` say what else counts."""
        return combine(
            code_version(),
            host(),
            self.model.digest,
            repr(sorted((name, tuple(shape)) for name, shape in self.shapes.items())),
            repr((self.cell.spec, self.cell.opt_level)),
            *parts,
        )

    def _order(self) -> dict[str, Any]:
        """What every process has to be told first."""
        return {
            "model": str(self.model.path),
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "device": self.cell.spec,
            "opt_level": self.cell.opt_level,
        }

    @abstractmethod
    def zygote(self) -> Any:
        """The process with the network loaded, started at the first call."""

    def _take_info(self, info: dict[str, Any]) -> None:
        self.store.put_json("baselines", self.key, info)
        self.known_info = info

    @property
    def info(self) -> dict[str, Any]:
        """What the baseline is: its digest, fingerprint, inputs, outputs, steps and layers."""
        if self.peek() is None:
            self.zygote()
        assert self.known_info is not None
        return self.known_info

    def peek(self) -> dict[str, Any] | None:
        """What :attr:`info` gives, if it is known without starting a process."""
        if self.known_info is None:
            self.known_info = self.store.get_json("baselines", self.key)
        return self.known_info

    def close(self) -> None:
        """End the processes; what is stored stays."""
        if self._scratch is not None:
            self.store.remove(self._scratch)
            self._scratch = None

    def baseline(self, arrays: Arrays, digest: str, *, keep: bool = False) -> Evaluation:
        """Run the unmutated network, or read what an earlier run gave.

        Raises
        ------
        MutatennError
            If it does not run here.
        """
        known = self._baselines.get(digest)
        if known is not None:
            return known
        result = self.evaluate(None, arrays, digest, keep=keep)
        if isinstance(result, Failure):
            said = f"\n{result.stderr}" if result.stderr else ""
            raise MutatennError(
                f"The {self.called} {self.model.source} does not run on {self.cell.id}: "
                f"{result.reason}.{said}"
            )
        while len(self._baselines) >= _BASELINES_HELD:
            self._baselines.pop(next(iter(self._baselines)))
        self._baselines[digest] = result
        return result
