"""An engine for devices that take a whole network: baseline and reference, and no mutants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_mutatenn.compiler.digest import combine
from pytest_mutatenn.devices.base import open_device
from pytest_mutatenn.engine.base import ProcessEngine
from pytest_mutatenn.engine.evaluation import Evaluation, Job, Opened, Recipe, role_of
from pytest_mutatenn.engine.outcome import Failure
from pytest_mutatenn.engine.process import Process
from pytest_mutatenn.engine.results import Results
from pytest_mutatenn.engine.version import host
from pytest_mutatenn.errors import InternalError, MutatennError
from pytest_mutatenn.model.shared import SharedArrays

if TYPE_CHECKING:
    from pytest_mutatenn.devices.whole import WholeKind
    from pytest_mutatenn.engine.row import Row

NO_MUTANTS = "whole model: no mutants"
"""Why a cell has no mutants, in reports."""

_FORMAT = "whole, by input"


@dataclass(eq=False)
class WholeEngine(ProcessEngine):
    """Evaluates one network on a device that takes it whole."""

    called: ClassVar[str] = "model"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._device: WholeKind = open_device(self.cell.spec)  # type: ignore[assignment]
        self._device.check_level(self.cell.opt_level)
        self._process: Process | None = None
        self._open: set[str] = set()  # the datasets that the process has mapped
        self.key = self._make_key(f"{self._device.version()} {self.threads}")

    # -- the process --------------------------------------------------------------------------

    def zygote(self) -> Process:
        """The process with the network loaded, started at the first call."""
        if self._process is None or not self._process.alive:
            reason = self._device.missing()
            if reason is not None:
                raise MutatennError(f"{self.cell.device}: {reason}.")
            self._open.clear()
            self._scratch = self._scratch or self.store.scratch()
            order = {**self._order(), "threads": self.threads}
            self._process = Process(order, self._scratch, self.limits.compile_timeout)
            told = self._process.info
            info = {
                **told,
                "digest": combine("whole", self.model.digest, repr(sorted(self.shapes.items()))),
                "fingerprint": f"{told['fingerprint']} {combine(host())[:12]}",
                "steps": [],
                "layers": [],
            }
            self._take_info(info)
        return self._process

    def close(self) -> None:
        """End the process; what is stored stays."""
        if self._process is not None:
            self._process.close()
            self._process = None
        super().close()

    # -- mutants ------------------------------------------------------------------------------

    def list_mutants(self, *_: Any) -> dict[str, Any]:
        """No mutants, and why."""
        return {"mutants": [], "absent": [], "without": NO_MUTANTS}

    def recipe(self, mutant: str, child: Row | None = None, following: str | None = None) -> Recipe:
        """No mutant is made here: nothing collects a row that would ask."""
        raise InternalError(f"{self.cell.id} was asked for {mutant}: {NO_MUTANTS}")

    # -- runs ---------------------------------------------------------------------------------

    def results(self, job: Job) -> Results:
        """What is known of a run."""
        if job.mutant is not None:
            raise InternalError(f"{self.cell.id} was asked for {job.mutant}: {NO_MUTANTS}")
        key = self.result_key(None, job.digest)
        if key is not None:
            self.opened[key] = Opened(self.info["digest"], job.digest, role_of(None))
        return Results(self, job, key=key, allowed=self.limits.compile_timeout)

    def result_key(self, mutant: str | None, digest: str) -> str | None:
        """Where the store has the results on these inputs; None where nothing is kept."""
        key = combine(_FORMAT, self.info["digest"], digest, self.info["fingerprint"])
        return key if self.incremental else None

    def run(self, job: Job, allowed: float, samples: Sequence[int]) -> Evaluation | Failure:
        """Run on some of the inputs, in the order given.

        The first is run once more before the others, for its time: what it takes decides what they
        all may take, and a runtime is slowest at first.
        """
        first = self._ask(job, samples[:1], allowed)
        if isinstance(first, Failure):
            return first
        return self._ask(job, samples, self.limits.deadline(first.seconds * len(samples)))

    def _ask(self, job: Job, samples: Sequence[int], seconds: float) -> Evaluation | Failure:
        arrays, digest = job.arrays, job.digest
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
