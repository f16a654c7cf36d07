"""Running a program, no more of it than its mutant can have changed.

Tensors are known by what they are made of. A step whose kernel and arguments the baseline has too
is not run: its result is the baseline's. A step that is run, and whose result is bit for bit what
the baseline has in its place, counts as the baseline's from there on: the fault was not infected
by that input, and what follows is not run either. There is no special case for any stage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.program import Program, Ref, Step
from pytest_mutatenn.devices.slots import Slot, clock_of
from pytest_mutatenn.engine.loaded import Loaded
from pytest_mutatenn.engine.tensors import (
    Activations,
    memory_of,
    same_bits,
    shared_places,
)

Identity = tuple[str, Any, int]
Known = dict[tuple[int, tuple[Identity, ...]], int]


def places(program: Program) -> list[tuple[str, int]]:
    """What each step computes: the layer it ends, and its number among those that end there."""
    seen: dict[str, int] = {}
    found = []
    for step in program.steps:
        seen[step.name] = seen.get(step.name, 0) + 1
        found.append((step.name, seen[step.name]))
    return found


@dataclass
class RunStats:
    """What a run did, per input and in all.

    Attributes
    ----------
    infected
        Per input: whether a changed step's result differs from the baseline's.
    latency
        Per input, in seconds; NaN where some of the steps were not run.
    steps_run, steps_reused
        Counted over all inputs.
    """

    infected: list[bool] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    steps_run: int = 0
    steps_reused: int = 0


# a step's number, its kernel, its tensors, which of them are which network inputs, its outputs
_Call = tuple[int, Callable[..., Any], list[Any], list[tuple[int, int]], list[Slot]]


class BaselineRun:
    """Runs the baseline from the start, and can keep its activations."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.constant = loaded.program.constant_steps()
        self.constants: dict[int, list[Slot]] = {}
        self._calls: list[_Call] | None = None
        self._slots: dict[int, list[Slot]] = {}

    def load_constants(self) -> None:
        """Run the steps that depend on weights alone."""
        for index, constant in enumerate(self.constant):
            if constant and index not in self.constants:
                args = [
                    self._argument(ref, {}, []) for ref in self.loaded.program.steps[index].args
                ]
                self.constants[index] = self.loaded.run_step(index, args)

    def _argument(self, ref: Ref, made: Mapping[int, list[Slot]], inputs: Sequence[Slot]) -> Slot:
        if ref.kind == "step":
            found = self.constants.get(ref.index) or made[ref.index]
            return found[ref.output]
        return inputs[ref.index] if ref.kind == "input" else self.loaded.leaf(ref)

    def run(
        self,
        inputs: Sequence[Slot],
        keep: Callable[[int, list[Slot]], None] | None = None,
        seconds: list[float] | None = None,
    ) -> list[np.ndarray]:
        """Run on one input; give the network's outputs, as arrays that the next run overwrites.

        Parameters
        ----------
        inputs
            The network's inputs, pushed.
        keep
            Called after every step with its number and what it wrote, not pulled yet.
        seconds
            Per step, the time it takes is added here; each is then waited for.
        """
        memory = self.loaded.memory
        calls = self._calls if self._calls is not None else self._bind()
        for index, kernel, tensors, given, out in calls:
            for place, source in given:
                tensors[place] = inputs[source].tensor
            if seconds is None:
                kernel(*tensors)
            else:
                start = time.perf_counter()
                kernel(*tensors)
                memory.synchronise()
                seconds[index] += time.perf_counter() - start
            if keep is not None:
                keep(index, out)
        return [
            _pulled(self._argument(ref, self._slots, inputs)) for ref in self.loaded.program.results
        ]

    @cached_property
    def index(self) -> tuple[Known, dict[Any, int], dict[tuple[str, int], int]]:
        """How a mutant finds what is the baseline's.

        Steps by their kind and their arguments, the kinds, and steps by what they compute.
        """
        kinds: dict[Any, int] = {}
        known: Known = {}
        for index, step in enumerate(self.loaded.program.steps):
            identities = tuple(_leaf(self.loaded, ref) for ref in step.args)
            known.setdefault((_kind(kinds, self.loaded, step), identities), index)
        return known, kinds, {place: i for i, place in enumerate(places(self.loaded.program))}

    def ready(self) -> None:
        """Compute and load what every mutant needs, before a child is forked for it."""
        self.load_constants()
        _ = self.index
        for step in self.loaded.program.steps:
            for ref in step.args:
                if ref.kind in ("param", "const"):
                    self.loaded.leaf(ref)

    def _bind(self) -> list[_Call]:
        """Look up once what each step reads and writes: small networks spend half their time so."""
        program = self.loaded.program
        places = shared_places(program, of_one_size=False)
        made = self._slots = memory_of(program, places, self.loaded.memory)
        self._calls = []
        for index, step in enumerate(program.steps):
            if self.constant[index]:
                continue
            given = [(i, ref.index) for i, ref in enumerate(step.args) if ref.kind == "input"]
            args = [
                None if ref.kind == "input" else self._argument(ref, made, ()).tensor
                for ref in step.args
            ]
            kernel = self.loaded.kernels[step.kernel]
            tensors = [*args, *(slot.tensor for slot in made[index])]
            self._calls.append((index, kernel, tensors, given, made[index]))
        return self._calls


def _pulled(slot: Slot) -> np.ndarray:
    slot.pull()
    return slot.array


def _kind(kinds: dict[Any, int], loaded: Loaded, step: Step) -> int:
    """A number for the code of a step and what it writes; cheaper to look up than those."""
    return kinds.setdefault((loaded.code[step.kernel], step.outputs), len(kinds))


def _leaf(loaded: Loaded, ref: Ref) -> Identity:
    if ref.kind == "param":
        return ("leaf", loaded.leaves.params[ref.index], 0)
    if ref.kind == "const":
        return ("leaf", loaded.leaves.constants[ref.index], 0)
    return ("input" if ref.kind == "input" else "base", ref.index, ref.output)


class MutantRun:
    """Runs a mutant against a baseline, only where it can differ.

    Parameters
    ----------
    baseline
        The baseline, with its constants loaded.
    mutant
        The mutant's program, with its kernels loaded.
    activations
        What is kept of the baseline for the inputs; ``None`` runs from the network's inputs.
    everything
        Run every step, and take nothing from the baseline.
    """

    def __init__(
        self,
        baseline: BaselineRun,
        mutant: Loaded,
        activations: Activations | None,
        *,
        everything: bool = False,
    ) -> None:
        self.baseline = baseline
        self.mutant = mutant
        self.activations = activations
        self._everything = everything
        known, kinds, theirs = baseline.index
        self._kinds = dict(kinds)
        self._known = {} if everything else known
        self._aligned = [theirs.get(place) for place in places(mutant.program)]
        self._constant = mutant.program.constant_steps()
        # what each step is where that is the same for every input
        self._fixed: dict[int, Identity] = {}
        self._fixed_values: dict[int, list[Slot]] = {}
        self._kept_slots: dict[tuple[int, int], Slot] = {}
        self._open: list[tuple[int, Step, int]] = []
        for index, step in enumerate(mutant.program.steps):
            kind = _kind(self._kinds, mutant, step)
            same = None
            if all(ref.kind != "step" or ref.index in self._fixed for ref in step.args):
                identities = tuple(self._identity(ref, self._fixed) for ref in step.args)
                same = self._known.get((kind, identities))
            if same is None:
                self._open.append((index, step, kind))
            else:
                self._fixed[index] = ("base", same, 0)
        self._spared = sum(not self._constant[index] for index in self._fixed)

    def _leaf_slot(self, ref: Ref) -> Slot:
        """A weight or literal; one of the baseline's is loaded already."""
        ours, theirs = self.mutant.program, self.baseline.loaded.program
        if ref.kind == "param":
            same = ours.params[ref.index] is theirs.params[ref.index]
        else:
            same = ours.constants is theirs.constants
        return (self.baseline.loaded if same else self.mutant).leaf(ref)

    def run(self, inputs: Sequence[Slot], sample: int, stats: RunStats) -> list[np.ndarray]:
        """Run on one input; give the network's outputs, as arrays that the next run overwrites."""
        program = self.mutant.program
        steps: dict[int, Identity] = dict(self._fixed)
        made: dict[int, list[Slot]] = dict(self._fixed_values)
        memo: dict[int, list[Slot]] = {}
        infected = False
        ran, reused = 0, self._spared
        clock = clock_of(self.mutant.memory)
        start = clock()
        for index, step, kind in self._open:
            if index in steps:
                continue
            identities = tuple(self._identity(ref, steps) for ref in step.args)
            base = self._known.get((kind, identities))
            if base is not None:
                steps[index] = ("base", base, 0)
                reused += not self._constant[index]
                continue
            args = [self._value(ref, steps, made, memo, inputs, sample) for ref in step.args]
            made[index] = self.mutant.run_step(index, args)
            ran += not self._constant[index]
            same = self._same_as_baseline(index, infected, memo, inputs, sample)
            steps[index] = ("own", index, 0) if same is None else ("base", same, 0)
            if not self._constant[index]:
                infected |= same is None
            else:
                # run once, with the first input; what differs shows in what reads it
                self._fixed[index] = steps[index]
                self._fixed_values[index] = made[index]
        results = [self._result(ref, steps, memo, inputs, sample) for ref in program.results]
        stats.infected.append(infected)
        stats.latency.append(float("nan") if reused else clock() - start)
        stats.steps_run += ran + len(memo)
        stats.steps_reused += reused - len(memo)
        return results

    def _result(
        self,
        ref: Ref,
        steps: Mapping[int, Identity],
        memo: dict[int, list[Slot]],
        inputs: Sequence[Slot],
        sample: int,
    ) -> np.ndarray:
        """An output of the network, as an array that is read before the next run."""
        if ref.kind == "input":
            return inputs[ref.index].array
        if ref.kind != "step":
            return self._leaf_slot(ref).array
        kind, index, _ = steps[ref.index]
        if kind == "own":
            return _pulled(self.mutant.slots(index)[ref.output])
        return self._baseline_array(index, ref.output, memo, inputs, sample)

    def _baseline_array(
        self,
        index: int,
        output: int,
        memo: dict[int, list[Slot]],
        inputs: Sequence[Slot],
        sample: int,
    ) -> np.ndarray:
        """A tensor of the baseline to look at, where it is kept or has been computed."""
        if index not in self.baseline.constants and index not in memo:
            kept = self._kept(index, output, sample)
            if kept is not None:
                return kept
        return _pulled(self._baseline_value(index, output, memo, inputs, sample))

    def _identity(self, ref: Ref, steps: Mapping[int, Identity]) -> Identity:
        if ref.kind == "step":
            kind, index, _ = steps[ref.index]
            return (kind, index, ref.output)
        return _leaf(self.mutant, ref)

    def _value(
        self,
        ref: Ref,
        steps: Mapping[int, Identity],
        made: Mapping[int, list[Slot]],
        memo: dict[int, list[Slot]],
        inputs: Sequence[Slot],
        sample: int,
    ) -> Slot:
        if ref.kind == "input":
            return inputs[ref.index]
        if ref.kind != "step":
            return self._leaf_slot(ref)
        kind, index, _ = steps[ref.index]
        if kind == "own":
            return made[index][ref.output]
        return self._baseline_value(index, ref.output, memo, inputs, sample)

    def _baseline_value(
        self,
        index: int,
        output: int,
        memo: dict[int, list[Slot]],
        inputs: Sequence[Slot],
        sample: int,
    ) -> Slot:
        """A tensor of the baseline: kept, or computed from the nearest that is."""
        base = self.baseline
        if index in base.constants:
            return base.constants[index][output]
        if index in memo:
            return memo[index][output]
        kept = self._kept(index, output, sample)
        if kept is not None:
            # in guarded memory, as if it had been computed here: a mutant may read past its end
            slot = self._kept_slot(index, output)
            slot.array[...] = kept
            slot.push()
            return slot
        args = []
        for ref in base.loaded.program.steps[index].args:
            if ref.kind == "step":
                args.append(self._baseline_value(ref.index, ref.output, memo, inputs, sample))
            else:
                args.append(inputs[ref.index] if ref.kind == "input" else base.loaded.leaf(ref))
        memo[index] = base.loaded.run_step(index, args)
        return memo[index][output]

    def _kept_slot(self, index: int, output: int) -> Slot:
        if (index, output) not in self._kept_slots:
            spec = self.baseline.loaded.program.steps[index].outputs[output]
            slot = self.mutant.memory.slot(spec.shape, spec.dtype)
            self._kept_slots[index, output] = slot
        return self._kept_slots[index, output]

    def _kept(self, index: int, output: int, sample: int) -> np.ndarray | None:
        if self.activations is None:
            return None
        return self.activations.tensor(self.baseline.loaded.program, index, output, sample)

    def _same_as_baseline(
        self,
        index: int,
        infected: bool,
        memo: dict[int, list[Slot]],
        inputs: Sequence[Slot],
        sample: int,
    ) -> int | None:
        """The baseline's step of the same place, if its result is the same to the bit.

        Without activations nothing is compared: the baseline's result would have to be computed.
        Nor is it computed for a step after one that differed: such a step seldom is the same, and
        what can be masked there is masked at the next tensor that is kept.
        """
        step = self.mutant.program.steps[index]
        base = self._aligned[index]
        if self._everything or base is None:
            return None
        there = base in self.baseline.constants
        if self.activations is None and not there:
            return None
        if self.baseline.loaded.program.steps[base].outputs != step.outputs:
            return None
        if infected and not there and base not in memo and not self._is_kept(base):
            return None
        for output, ours in enumerate(self.mutant.slots(index)):
            theirs = self._baseline_array(base, output, memo, inputs, sample)
            if not same_bits(_pulled(ours), theirs):
                return None
        return base

    def _is_kept(self, index: int) -> bool:
        assert self.activations is not None
        return (index, 0) in self.activations.offsets
