"""Running a program, no more of it than its mutant can have changed.

Tensors are known by what they are made of. A step whose kernel and arguments the baseline has too
is not run: its result is the baseline's. A step that is run, and whose result is bit for bit what
the baseline has in its place, counts as the baseline's from there on: the fault was not infected
by that input, and what follows is not run either. There is no special case for any stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pytest_mutatenn.compiler.program import Ref, Step
from pytest_mutatenn.devices.slots import Slot, clock_of
from pytest_mutatenn.engine.baseline import (
    BaselineRun,
    Identity,
    kind_of,
    leaf_of,
    places,
    pulled,
)
from pytest_mutatenn.engine.loaded import Loaded
from pytest_mutatenn.engine.tensors import Activations, same_bits


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
            kind = kind_of(self._kinds, mutant, step)
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
            return pulled(self.mutant.slots(index)[ref.output])
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
        return pulled(self._baseline_value(index, output, memo, inputs, sample))

    def _identity(self, ref: Ref, steps: Mapping[int, Identity]) -> Identity:
        if ref.kind == "step":
            kind, index, _ = steps[ref.index]
            return (kind, index, ref.output)
        return leaf_of(self.mutant, ref)

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
            if not same_bits(pulled(ours), theirs):
                return None
        return base

    def _is_kept(self, index: int) -> bool:
        assert self.activations is not None
        return (index, 0) in self.activations.offsets
