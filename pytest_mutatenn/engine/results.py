"""What is known of one program's outputs on a dataset so far; it grows as inputs are asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pytest_mutatenn.engine.evaluation import Arrays, Counters, Evaluation, Job, Limits
from pytest_mutatenn.engine.outcome import Failure, Outcome

if TYPE_CHECKING:
    import numpy as np

    from pytest_mutatenn.engine.store import Store

KIND = "evaluations"
_LEAST = 0.05  # seconds that a run gets even where the time is used up: so it is the run that says


class Runner(Protocol):
    """What an engine is for its results."""

    store: Store
    limits: Limits
    counters: Counters

    def run(self, job: Job, allowed: float, samples: Sequence[int]) -> Evaluation | Failure:
        """Run on some of the inputs, in the order given, for so many seconds."""
        ...


class Results:
    """Results of a program, input by input: those that are stored, and what is run besides.

    Parameters
    ----------
    engine
        Runs what is not known.
    job
        The program and its inputs.
    key
        The store's key of these results; None where nothing is to be stored or read.
    allowed
        Seconds that all inputs together may take.

    Attributes
    ----------
    count
        Number of inputs.
    """

    def __init__(self, engine: Runner, job: Job, *, key: str | None, allowed: float) -> None:
        self._engine, self._job = engine, job
        self._key, self._allowed = key, allowed
        self.count = job.count
        self._have: set[int] = set()
        self._outputs: dict[str, np.ndarray] = {}
        self._latency: np.ndarray | None = None
        self._infected = [False] * self.count
        self._seconds = 0.0
        self._step_seconds: tuple[float, ...] = ()
        self._failure: Failure | None = None
        self._spent = 0.0
        self._asked = False
        self._ran = 0
        if key is not None:
            self._read(key)

    @property
    def done(self) -> frozenset[int]:
        """The inputs whose results are known."""
        return frozenset(self._have)

    @property
    def complete(self) -> bool:
        """Whether all inputs' results are known."""
        return len(self._have) == self.count

    def ask(self, samples: Iterable[int]) -> Failure | None:
        """See to it that results of these inputs are known; give the failure where they are not."""
        self._asked = True
        missing = [sample for sample in samples if sample not in self._have]
        if not missing:
            return None
        if self._failure is not None:
            return self._failure
        start = time.monotonic()
        left = max(_LEAST, self._allowed - self._spent)
        found = self._engine.run(self._job, left, missing)
        self._spent += time.monotonic() - start
        self._ran += len(missing)
        if isinstance(found, Failure):
            self._failure = found
            return found
        self._take(missing, found)
        return None

    def outputs(self, name: str, samples: list[int]) -> np.ndarray:
        """An output of inputs whose results are known."""
        return self._outputs[name][samples]

    def whole(self) -> Evaluation | Failure:
        """The results of all inputs."""
        failure = self.ask(range(self.count))
        if failure is not None:
            return failure
        assert self._latency is not None
        return Evaluation(
            self._outputs, self._latency, self._infected, self._seconds, self._step_seconds
        )

    def _take(self, samples: list[int], found: Evaluation) -> None:
        import numpy as np

        if self._latency is None and len(samples) == self.count:
            self._outputs, self._latency = dict(found.outputs), found.latency
        else:
            if self._latency is None:
                self._latency = np.full(self.count, np.nan)
                self._outputs = {
                    name: np.zeros((self.count, *array.shape[1:]), array.dtype)
                    for name, array in found.outputs.items()
                }
            self._latency[samples] = found.latency
            for name, array in found.outputs.items():
                self._outputs[name][samples] = array
        for sample, infected in zip(samples, found.infected, strict=True):
            self._infected[sample] = bool(infected)
        self._seconds += found.seconds
        self._step_seconds = tuple(found.step_seconds)
        self._have.update(samples)

    # -- the store ----------------------------------------------------------------------------

    def _read(self, key: str) -> None:
        found = self._engine.store.get_arrays(KIND, key)
        if found is not None:
            self.take_stored(*found)

    def take_stored(self, value: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Take what an earlier run has written."""
        self._failure = _failure(value, self._allowed, self._engine.limits)
        samples = value["samples"]
        if not samples:
            return
        outputs = {name: arrays[f"output {i}"] for i, name in enumerate(value["outputs"])}
        self._take(
            samples,
            Evaluation(
                outputs,
                arrays["latency"],
                value["infected"],
                value["seconds"],
                value["step_seconds"],
            ),
        )

    def save(self) -> int:
        """Store what has been run, and count it; give how many runs of the network that was."""
        counters, ran = self._engine.counters, self._ran
        counters.evaluations_run += bool(ran)
        counters.evaluations_reused += self._asked and not ran
        self._asked, self._ran = False, 0
        broken = self._failure is not None and self._job.mutant == "identity"
        if ran and self._key is not None and not broken:
            self._write(self._engine.store, self._key)
        return ran

    def _write(self, store: Store, key: str) -> None:
        samples = sorted(self._have)
        value: dict[str, Any] = {
            "samples": samples,
            "outputs": list(self._outputs),
            "infected": [self._infected[sample] for sample in samples],
            "seconds": self._seconds,
            "step_seconds": list(self._step_seconds),
        }
        if self._failure is not None:
            value |= {
                "outcome": self._failure.outcome,
                "reason": self._failure.reason,
                "stderr": self._failure.stderr,
                "allowed": self._allowed,
                "memory": self._engine.limits.memory,
            }
        arrays = {f"output {i}": array[samples] for i, array in enumerate(self._outputs.values())}
        if self._latency is not None:
            arrays["latency"] = self._latency[samples]
        store.put_arrays(KIND, key, value, arrays)


def _failure(value: Any, allowed: float, limits: Limits) -> Failure | None:
    """How a stored run failed, unless another run might do better."""
    if "outcome" not in value:
        return None
    failure = Failure(Outcome(value["outcome"]), value["reason"], value["stderr"])
    # given more time, or more memory, it might answer
    late = failure.outcome is Outcome.TIMED_OUT and allowed > 1.5 * value["allowed"]
    large = failure.outcome is Outcome.OUT_OF_MEMORY and limits.memory > value["memory"]
    return None if late or large else failure


def stored_outputs(store: Store, key: str) -> tuple[list[int], Arrays] | None:
    """What the store has of a run: the numbers of the inputs, and their outputs by name."""
    found = store.get_arrays(KIND, key)
    if found is None:
        return None
    value, arrays = found
    outputs = {name: arrays[f"output {i}"] for i, name in enumerate(value["outputs"])}
    return list(value["samples"]), outputs
