"""An engine for devices that take a whole network: baseline and reference, and no mutants.

It has the face of :class:`pytest_mutatenn.engine.evaluate.Engine`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.engine.cell import Cell
from pytest_mutatenn.engine.evaluation import (
    Arrays,
    Counters,
    Evaluation,
    Limits,
    Opened,
    Recipe,
    role_of,
)
from pytest_mutatenn.engine.outcome import Failure
from pytest_mutatenn.engine.process import Process
from pytest_mutatenn.engine.results import Results
from pytest_mutatenn.engine.store import Store
from pytest_mutatenn.engine.version import code_version, host
from pytest_mutatenn.errors import InternalError, MutatennError
from pytest_mutatenn.model.shared import SharedArrays
from pytest_mutatenn.model.source import ModelSource

if TYPE_CHECKING:
    from pytest_mutatenn.devices.whole import WholeKind
    from pytest_mutatenn.engine.row import Row

NO_MUTANTS = "whole model: no mutants"
"""Why a cell has no mutants, in reports."""

_FORMAT = "whole, by input"


@dataclass(eq=False)
class WholeEngine:
    """Evaluates one network on a device that takes it whole.

    Nothing is started before the store is asked; see
    :class:`~pytest_mutatenn.engine.evaluate.Engine` for the attributes.
    """

    model: ModelSource
    cell: Cell
    store: Store
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    threads: int = 1
    incremental: bool = True
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        self._device: WholeKind = open_device(self.cell.spec)  # type: ignore[assignment]
        self._device.check_level(self.cell.opt_level)
        self._process: Process | None = None
        self._scratch: Path | None = None
        self._open: set[str] = set()  # the datasets that the process has mapped
        self._baselines: dict[str, Evaluation] = {}
        self.known_info: dict[str, Any] | None = None
        self.notes: list[str] = []
        self.recipes: dict[str, Recipe] = {}
        self.opened: dict[str, Opened] = {}
        self.key = combine(
            code_version(),
            host(),
            self.model.digest,
            repr(sorted((name, tuple(shape)) for name, shape in self.shapes.items())),
            repr((self.cell.spec, self.cell.opt_level)),
            f"{self._device.version()} {self.threads}",
        )

    # -- the process --------------------------------------------------------------------------

    def zygote(self) -> Process:
        """The process with the network loaded, started at the first call."""
        if self._process is None or not self._process.alive:
            reason = self._device.missing()
            if reason is not None:
                raise MutatennError(f"{self.cell.device}: {reason}.")
            self._open.clear()
            self._scratch = self._scratch or self.store.scratch()
            order = {
                "model": str(self.model.path),
                "shapes": {name: list(shape) for name, shape in self.shapes.items()},
                "device": self.cell.spec,
                "opt_level": self.cell.opt_level,
                "threads": self.threads,
            }
            self._process = Process(order, self._scratch, self.limits.compile_timeout)
            told = self._process.info
            info = {
                **told,
                "digest": combine("whole", self.model.digest, repr(sorted(self.shapes.items()))),
                "fingerprint": f"{told['fingerprint']} {combine(host())[:12]}",
                "steps": [],
                "layers": [],
            }
            self.store.put_json("baselines", self.key, info)
            self.known_info = info
        return self._process

    @property
    def info(self) -> dict[str, Any]:
        """What the network is here: its digest, fingerprint, inputs and outputs."""
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
        """End the process; what is stored stays."""
        if self._process is not None:
            self._process.close()
            self._process = None
        if self._scratch is not None:
            self.store.remove(self._scratch)
            self._scratch = None

    # -- mutants ------------------------------------------------------------------------------

    def list_mutants(self, *_: Any) -> dict[str, Any]:
        """No mutants, and why."""
        return {"mutants": [], "absent": [], "without": NO_MUTANTS}

    def recipe(self, mutant: str, child: Row | None = None) -> Recipe:
        """No mutant is made here: nothing collects a row that would ask."""
        raise InternalError(f"{self.cell.id} was asked for {mutant}: {NO_MUTANTS}")

    # -- runs ---------------------------------------------------------------------------------

    def evaluate(
        self,
        mutant: str | None,
        arrays: Arrays,
        digest: str,
        row: Row | None = None,
        *,
        keep: bool = False,
    ) -> Evaluation | Failure:
        """Run on all inputs, or read what an earlier run gave."""
        results = self.open(mutant, arrays, digest, row, keep=keep)
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
        """Give what is known of a run, to be asked for more of its inputs."""
        if mutant is not None:
            raise InternalError(f"{self.cell.id} was asked for {mutant}: {NO_MUTANTS}")
        key = self.result_key(None, digest)
        if key is not None:
            self.opened[key] = Opened(self.info["digest"], digest, role_of(None))
        return Results(
            self,
            None,
            arrays,
            digest,
            None,
            keep=False,
            key=key,
            allowed=self.limits.compile_timeout,
        )

    def result_key(self, mutant: str | None, digest: str) -> str | None:
        """Where the store has the results on these inputs; None where nothing is kept."""
        key = combine(_FORMAT, self.info["digest"], digest, self.info["fingerprint"])
        return key if self.incremental else None

    def baseline(self, arrays: Arrays, digest: str, *, keep: bool = False) -> Evaluation:
        """Run, or read what an earlier run gave.

        Raises
        ------
        MutatennError
            If the network does not run here.
        """
        if digest not in self._baselines:
            result = self.evaluate(None, arrays, digest)
            if isinstance(result, Failure):
                said = f"\n{result.stderr}" if result.stderr else ""
                raise MutatennError(
                    f"The model {self.model.source} does not run on {self.cell.id}: "
                    f"{result.reason}.{said}"
                )
            self._baselines = {digest: result}
        return self._baselines[digest]

    def run(
        self,
        mutant: str | None,
        arrays: Arrays,
        digest: str,
        row: Row | None,
        allowed: float,
        keep: bool,
        samples: Sequence[int],
    ) -> Evaluation | Failure:
        """Run on some of the inputs, in the order given.

        The first is run once more before the others, for its time: what it takes decides what they
        all may take, and a runtime is slowest at first.
        """
        first = self._ask(arrays, digest, samples[:1], allowed)
        if isinstance(first, Failure):
            return first
        return self._ask(
            arrays, digest, samples, self.limits.deadline(first.seconds * len(samples))
        )

    def _ask(
        self, arrays: Arrays, digest: str, samples: Sequence[int], seconds: float
    ) -> Evaluation | Failure:
        process = self.zygote()
        numbers = list(samples)
        names = [spec["name"] for spec in self.info["inputs"]]
        request: dict[str, Any] = {"do": "run", "data": digest, "samples": numbers}
        sent, fds = {}, []
        if not isinstance(arrays, SharedArrays):
            sent = {str(i): arrays[name][numbers] for i, name in enumerate(names)}
        elif digest not in self._open:
            views = {view[0]: view[1:] for view in arrays.views}
            request["views"] = [[str(i), *views[name]] for i, name in enumerate(names)]
            fds.append(arrays.memory.fd)
            self._open.add(digest)
        reply = process.ask(request, sent, fds=fds, seconds=seconds)
        if isinstance(reply, Failure):
            return reply
        outputs = [spec["name"] for spec in self.info["outputs"]]
        return Evaluation(
            {name: reply.arrays[str(i)] for i, name in enumerate(outputs)},
            reply.arrays["latency"],
            [False] * len(numbers),
            reply.value["seconds"],
        )
