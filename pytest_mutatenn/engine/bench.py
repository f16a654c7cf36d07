"""What a child does with its mutant: make it, then run it on what it is given."""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.lower import NoSuchSite
from pytest_mutatenn.compiler.mutant import Mutant
from pytest_mutatenn.devices.memory import as_tensor, guarded
from pytest_mutatenn.engine.executor import Activations, MutantRun, RunStats
from pytest_mutatenn.engine.listing import list_mutants
from pytest_mutatenn.engine.prepare import Prepared, Rejected, is_ours, last_line, prepare
from pytest_mutatenn.engine.workshop import Workshop
from pytest_mutatenn.errors import InternalError

Arrays = dict[str, np.ndarray]


class Bench:
    """Serves the requests of one row, in a process of its own."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.mutant: Prepared | None = None
        self.everything = False

    def do(self, request: Mapping[str, Any], arrays: Arrays, fds: list[int]) -> tuple[Any, Arrays]:
        """Do what is asked; give plain data and arrays."""
        what = request["do"]
        if what == "prepare":
            return self.prepare(request["mutant"]), {}
        if what == "run":
            return self.run(arrays, fds, request.get("keep"))
        if what == "list":
            return list_mutants(self.workshop, request), {}
        raise InternalError(f"unknown request {what!r}")

    def prepare(self, text: str) -> Any:
        """Make the mutant: lower it and compile what is new of it."""
        start = time.perf_counter()
        mutant = Mutant.parse(text)
        workshop = self.workshop
        before = asdict(workshop.counters)
        try:
            self.mutant = prepare(workshop, mutant)
        except NoSuchSite as error:
            return {"status": "no_site", "reason": str(error)}
        except Rejected as error:
            return {
                "status": "rejected",
                "reason": str(error),
                "seconds": time.perf_counter() - start,
            }
        self.everything = mutant.operator == "identity"
        return {
            "status": "prepared",
            "digest": self.mutant.digest,
            "before": self.mutant.before,
            "after": self.mutant.after,
            "undefined": self.mutant.undefined,
            "seconds": time.perf_counter() - start,
            "counters": {
                name: count - before[name] for name, count in asdict(workshop.counters).items()
            },
        }

    def run(self, arrays: Arrays, fds: list[int], keep: Any) -> tuple[Any, Arrays]:
        """Run on every input, in order.

        ``arrays`` holds for the network's i-th input ``str(i)``, of shape (n, input shape);
        ``keep`` says where the baseline's activations lie in the memory behind the descriptor,
        or, for the baseline itself, are to be written.
        """
        program = self.workshop.baseline.program
        count = len(arrays["0"])
        slots = [guarded(spec.shape, spec.dtype) for spec in program.inputs]
        tensors = [as_tensor(slot) for slot in slots]
        outputs = [np.empty((count, *spec.shape), spec.dtype) for spec in program.outputs]
        stats = RunStats()
        activations = _map(fds[0], keep, write=self.mutant is None) if fds else None
        seconds = [0.0] * len(program.steps)
        run = self._mutant_run(activations) if self.mutant is not None else None
        start = time.perf_counter()
        for sample in range(count):
            for i, slot in enumerate(slots):
                slot[...] = arrays[str(i)][sample]
            if run is not None:
                try:
                    results = run.run(tensors, sample, stats)
                except Exception as error:
                    if is_ours(error) or isinstance(error, MemoryError):
                        raise
                    return {"error": "raised", "message": last_line(error)}, {}
            else:
                results = self._run_baseline(tensors, sample, stats, activations, seconds)
            for output, result in zip(outputs, results, strict=True):
                output[sample] = result
        elapsed = time.perf_counter() - start
        reply = {**asdict(stats), "seconds": elapsed, "step_seconds": seconds}
        # NaN is no JSON
        latency = np.array(reply.pop("latency"), np.float64)
        return reply, {"latency": latency, **{str(i): out for i, out in enumerate(outputs)}}

    def _mutant_run(self, activations: Activations | None) -> MutantRun:
        assert self.mutant is not None
        return MutantRun(
            self.workshop.run, self.mutant.loaded, activations, everything=self.everything
        )

    def _run_baseline(
        self,
        tensors: list[Any],
        sample: int,
        stats: RunStats,
        activations: Activations | None,
        seconds: list[float],
    ) -> list[np.ndarray]:
        program = self.workshop.baseline.program

        def write(index: int, made: list[Any]) -> None:
            for output, tensor in enumerate(made):
                assert activations is not None
                kept = activations.tensor(program, index, output, sample)
                if kept is not None:
                    kept[...] = tensor.numpy()

        start = time.perf_counter()
        results = self.workshop.run.run(tensors, write if activations else None, seconds)
        stats.latency.append(time.perf_counter() - start)
        stats.infected.append(False)
        stats.steps_run += sum(not constant for constant in self.workshop.run.constant)
        return results


def _map(fd: int, keep: Any, *, write: bool) -> Activations:
    """Map the kept activations: shared for the baseline that writes them, else a private copy."""
    size = os.fstat(fd).st_size
    flags = mmap.MAP_SHARED if write else mmap.MAP_PRIVATE
    memory = mmap.mmap(fd, size, flags=flags)
    with contextlib.suppress(OSError):
        os.close(fd)
    offsets = {(step, output): start for step, output, start in keep}
    return Activations(np.frombuffer(memory, np.uint8), offsets)
