"""What a child does with its mutant: make it, then run it on what it is given."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.lower import NoSuchSite
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.compiler.shown import Shown
from pytest_mutatenn.devices.slots import DeviceError, Slot, clock_of
from pytest_mutatenn.engine.executor import MutantRun, RunStats
from pytest_mutatenn.engine.listing import list_mutants
from pytest_mutatenn.engine.prepare import Prepared, Rejected, is_ours, last_line, prepare
from pytest_mutatenn.engine.tensors import Activations
from pytest_mutatenn.engine.texts import changes_of
from pytest_mutatenn.engine.workshop import Workshop
from pytest_mutatenn.errors import InternalError
from pytest_mutatenn.model.shared import map_arrays

Arrays = dict[str, np.ndarray]


@dataclass(eq=False)
class _Data:
    """A dataset as a child has it.

    Attributes
    ----------
    inputs
        The network's inputs by number, for every sample.
    activations
        What is kept of the baseline, or is to be.
    run
        The mutant on it; None for the baseline.
    """

    inputs: Arrays
    activations: Activations | None
    run: MutantRun | None


class Bench:
    """Serves the requests of one row, in a process of its own."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.mutant: Prepared | None = None
        self.everything = not workshop.order.incremental
        self._data: dict[str, _Data] = {}

    def do(self, request: Mapping[str, Any], arrays: Arrays, fds: list[int]) -> tuple[Any, Arrays]:
        """Do what is asked; give plain data and arrays."""
        what = request["do"]
        if what == "prepare":
            return self.prepare(request["mutant"]), {}
        if what == "run":
            return self.run(request, arrays, fds)
        if what == "list":
            return list_mutants(self.workshop, request), {}
        if what == "derive":
            from pytest_mutatenn.engine.deriving import derive

            return derive(self.workshop, request)
        if what == "export":
            from pytest_mutatenn.engine.exporting import export

            return export(self.workshop, request)
        raise InternalError(f"unknown request {what!r}")

    def prepare(self, text: str) -> Any:
        """Make the mutant: lower it and compile what is new of it."""
        start = time.perf_counter()
        mutant = Mutant.parse(text)
        workshop = self.workshop
        before = asdict(workshop.counters)
        shown: list[Shown] = []
        try:
            self.mutant = prepare(workshop, mutant, shown)
        except NoSuchSite as error:
            return {"status": "no_site", "reason": str(error)}
        except Rejected as error:
            return {
                "status": "rejected",
                "reason": str(error),
                "change": changes_of(shown),
                "seconds": time.perf_counter() - start,
            }
        self.everything = mutant.operator == "identity" or not workshop.order.incremental
        return {
            "status": "prepared",
            "digest": self.mutant.digest,
            "before": self.mutant.before,
            "after": self.mutant.after,
            "undefined": self.mutant.undefined,
            "change": changes_of(shown),
            "seconds": time.perf_counter() - start,
            "counters": {
                name: count - before[name] for name, count in asdict(workshop.counters).items()
            },
        }

    def run(self, request: Mapping[str, Any], arrays: Arrays, fds: list[int]) -> tuple[Any, Arrays]:
        """Run on the inputs whose numbers the request has in ``samples``, in that order.

        ``data`` names the dataset. When it is first named, the request brings it: ``views`` says
        where its arrays lie in the memory behind the first descriptor, or ``arrays`` are those
        inputs alone; the network's i-th input is called ``str(i)``. ``keep`` says where the
        baseline's activations lie in the memory behind the last descriptor, or, for the baseline
        itself, are to be written.
        """
        program = self.workshop.baseline.program
        data = self._data.get(request["data"])
        if data is None:
            data = self._open(request, arrays, fds)
            if not arrays:
                self._data[request["data"]] = data
        samples: list[int] = request["samples"]
        slots, memory = self._slots, self.workshop.device.memory
        outputs = [np.empty((len(samples), *spec.shape), spec.dtype) for spec in program.outputs]
        stats = RunStats()
        seconds = [0.0] * len(program.steps)
        start = time.perf_counter()
        for place, sample in enumerate(samples):
            for i, slot in enumerate(slots):
                slot.array[...] = data.inputs[str(i)][place if arrays else sample]
                slot.push()
            if data.run is not None:
                try:
                    results = data.run.run(slots, sample, stats)
                except Exception as error:
                    if is_ours(error) or isinstance(error, MemoryError | DeviceError):
                        raise
                    return {"error": "raised", "message": last_line(error)}, {}
            else:
                # to wait for each step would slow down a device that works ahead
                timed = seconds if not place or not memory.asynchronous else None
                results = self._run_baseline(slots, sample, stats, data.activations, timed)
            for output, result in zip(outputs, results, strict=True):
                output[place] = result
        elapsed = time.perf_counter() - start
        reply = {
            "infected": stats.infected,
            "steps_run": stats.steps_run,
            "steps_reused": stats.steps_reused,
            "seconds": elapsed,
            "step_seconds": seconds if data.run is None else (),
        }
        # NaN is no JSON
        latency = np.array(stats.latency, np.float64)
        return reply, {"latency": latency, **{str(i): out for i, out in enumerate(outputs)}}

    def _open(self, request: Mapping[str, Any], arrays: Arrays, fds: list[int]) -> _Data:
        """Map what the request brings; a mutant can change none of it."""
        waiting = list(fds)
        if "views" in request:
            arrays = map_arrays(waiting.pop(0), request["views"])
        activations = None
        if "keep" in request:
            activations = _map(waiting.pop(0), *request["keep"], write=self.mutant is None)
        for fd in fds:
            os.close(fd)
        run = None if self.mutant is None else self._mutant_run(activations)
        return _Data(arrays, activations, run)

    @cached_property
    def _slots(self) -> list[Slot]:
        """Where the network reads its inputs."""
        memory = self.workshop.device.memory
        inputs = self.workshop.baseline.program.inputs
        return [memory.slot(spec.shape, spec.dtype) for spec in inputs]

    def _mutant_run(self, activations: Activations | None) -> MutantRun:
        assert self.mutant is not None
        assert self.mutant.loaded is not None
        return MutantRun(
            self.workshop.run, self.mutant.loaded, activations, everything=self.everything
        )

    def _run_baseline(
        self,
        inputs: list[Slot],
        sample: int,
        stats: RunStats,
        activations: Activations | None,
        seconds: list[float] | None,
    ) -> list[np.ndarray]:
        program = self.workshop.baseline.program
        clock = clock_of(self.workshop.device.memory)

        def write(index: int, made: list[Slot]) -> None:
            for output, slot in enumerate(made):
                assert activations is not None
                kept = activations.tensor(program, index, output, sample)
                if kept is not None:
                    slot.pull()
                    kept[...] = slot.array

        start = clock()
        results = self.workshop.run.run(inputs, write if activations else None, seconds)
        stats.latency.append(clock() - start)
        stats.infected.append(False)
        stats.steps_run += sum(not constant for constant in self.workshop.run.constant)
        return results


def _map(fd: int, keep: Any, count: int, *, write: bool) -> Activations:
    """Map the kept activations; the baseline writes them, others read."""
    access = mmap.PROT_READ | mmap.PROT_WRITE if write else mmap.PROT_READ
    memory = mmap.mmap(fd, os.fstat(fd).st_size, prot=access)
    offsets = {(step, output): start for step, output, start in keep}
    return Activations(np.frombuffer(memory, np.uint8), offsets, count)
