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
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.program import Leaves, Program, Ref
from pytest_mutatenn.devices.memory import as_tensor, guarded, guarded_copy, poison
from pytest_mutatenn.engine.activations import padded
from pytest_mutatenn.engine.reuse import shared_outputs

Kernels = Mapping[str, Callable[..., Any]]
Identity = tuple[str, Any, int]


@dataclass(eq=False)
class Loaded:
    """A program with its compiled kernels, ready to run.

    Attributes
    ----------
    program
        The program.
    code
        Kernel name -> digest of its code.
    kernels
        Kernel name -> the loaded function.
    leaves
        Digests of weights and literals.
    mutated
        The kernels whose code is not the baseline's; what they do not write is poison on each run.
    """

    program: Program
    code: Mapping[str, str]
    kernels: Kernels
    leaves: Leaves
    mutated: frozenset[str] = frozenset()
    _buffers: dict[int, list[Any]] = field(default_factory=dict, repr=False)
    _memory: dict[int, list[np.ndarray]] = field(default_factory=dict, repr=False)
    _leaf_tensors: dict[tuple[str, int], Any] = field(default_factory=dict, repr=False)

    def leaf(self, ref: Ref) -> Any:
        """A weight or literal as a tensor."""
        key = (ref.kind, ref.index)
        if key not in self._leaf_tensors:
            source = self.program.params if ref.kind == "param" else self.program.constants
            self._leaf_tensors[key] = as_tensor(guarded_copy(np.asarray(source[ref.index])))
        return self._leaf_tensors[key]

    def buffers(self, index: int) -> list[Any]:
        """The tensors that a step writes, the same for every input."""
        if index not in self._buffers:
            self._memory[index] = [
                guarded(spec.shape, spec.dtype) for spec in self.program.steps[index].outputs
            ]
            self._buffers[index] = [as_tensor(array) for array in self._memory[index]]
        return self._buffers[index]

    def run_step(self, index: int, args: Sequence[Any]) -> list[Any]:
        """Run a step on its arguments; give what it wrote."""
        out = self.buffers(index)
        kernel = self.program.steps[index].kernel
        if kernel in self.mutated:
            for array in self._memory[index]:
                poison(array)
        self.kernels[kernel](*args, *out)
        return out


@dataclass(frozen=True)
class Activations:
    """Tensors of the baseline, kept for some steps and every input of a dataset.

    Attributes
    ----------
    memory
        One flat buffer of bytes.
    offsets
        (step, output) -> where the tensor of the first input starts; the others follow it.
    """

    memory: np.ndarray
    offsets: Mapping[tuple[int, int], int]

    def tensor(self, baseline: Program, step: int, output: int, sample: int) -> np.ndarray | None:
        """The stored tensor, if it is kept."""
        start = self.offsets.get((step, output))
        if start is None:
            return None
        spec = baseline.steps[step].outputs[output]
        size = byte_size(spec)
        first = start + sample * padded(size)
        return self.memory[first : first + size].view(np.dtype(spec.dtype)).reshape(spec.shape)


def places(program: Program) -> list[tuple[str, int]]:
    """What each step computes: the layer it ends, and its number among those that end there."""
    seen: dict[str, int] = {}
    found = []
    for step in program.steps:
        seen[step.name] = seen.get(step.name, 0) + 1
        found.append((step.name, seen[step.name]))
    return found


def byte_size(spec: Any) -> int:
    """Size of a tensor in bytes."""
    return int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize


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
_Call = tuple[int, Callable[..., Any], list[Any], list[tuple[int, int]], list[Any]]


class BaselineRun:
    """Runs the baseline from the start, and can keep its activations."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.constant = loaded.program.constant_steps()
        self.constants: dict[int, list[Any]] = {}
        self._calls: list[_Call] | None = None

    def load_constants(self) -> None:
        """Run the steps that depend on weights alone."""
        for index, constant in enumerate(self.constant):
            if constant and index not in self.constants:
                args = [
                    self._argument(ref, {}, []) for ref in self.loaded.program.steps[index].args
                ]
                self.constants[index] = self.loaded.run_step(index, args)

    def _argument(self, ref: Ref, made: Mapping[int, list[Any]], inputs: Sequence[Any]) -> Any:
        if ref.kind == "step":
            found = self.constants.get(ref.index) or made[ref.index]
            return found[ref.output]
        return inputs[ref.index] if ref.kind == "input" else self.loaded.leaf(ref)

    def run(
        self,
        inputs: Sequence[Any],
        keep: Callable[[int, list[Any]], None] | None = None,
        seconds: list[float] | None = None,
    ) -> list[np.ndarray]:
        """Run on one input; give the network's outputs, as arrays that the next run overwrites."""
        calls = self._calls if self._calls is not None else self._bind()
        for index, kernel, tensors, given, out in calls:
            for place, source in given:
                tensors[place] = inputs[source]
            if seconds is None:
                kernel(*tensors)
            else:
                start = time.perf_counter()
                kernel(*tensors)
                seconds[index] += time.perf_counter() - start
            if keep is not None:
                keep(index, out)
        made = {index: out for index, _, _, _, out in calls}
        return [self._argument(ref, made, inputs).numpy() for ref in self.loaded.program.results]

    def _bind(self) -> list[_Call]:
        """Look up once what each step reads and writes: small networks spend half their time so."""
        program = self.loaded.program
        made = shared_outputs(program)
        self._calls = []
        for index, step in enumerate(program.steps):
            if self.constant[index]:
                continue
            given = [
                (place, ref.index) for place, ref in enumerate(step.args) if ref.kind == "input"
            ]
            args = [
                None if ref.kind == "input" else self._argument(ref, made, ()) for ref in step.args
            ]
            kernel = self.loaded.kernels[step.kernel]
            self._calls.append((index, kernel, [*args, *made[index]], given, made[index]))
        return self._calls


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
        base = baseline.loaded
        self._known: dict[tuple[Any, ...], int] = {}
        self._everything = everything
        for index, step in enumerate(() if everything else base.program.steps):
            identities = tuple(self._leaf(base, ref) for ref in step.args)
            self._known.setdefault((base.code[step.kernel], identities, step.outputs), index)
        theirs = {place: i for i, place in enumerate(places(base.program))}
        self._aligned = [theirs.get(place) for place in places(mutant.program)]
        self._constant = mutant.program.constant_steps()
        self._fixed: dict[int, Identity] = {}
        self._fixed_values: dict[int, list[Any]] = {}
        self._slots: dict[tuple[int, int], tuple[np.ndarray, Any]] = {}

    @staticmethod
    def _leaf(loaded: Loaded, ref: Ref) -> Identity:
        if ref.kind == "param":
            return ("leaf", loaded.leaves.params[ref.index], 0)
        if ref.kind == "const":
            return ("leaf", loaded.leaves.constants[ref.index], 0)
        return ("input" if ref.kind == "input" else "base", ref.index, ref.output)

    def run(self, inputs: Sequence[Any], sample: int, stats: RunStats) -> list[np.ndarray]:
        """Run on one input; give the network's outputs, as arrays that the next run overwrites."""
        program = self.mutant.program
        steps: dict[int, Identity] = dict(self._fixed)
        made: dict[int, list[Any]] = dict(self._fixed_values)
        memo: dict[int, list[Any]] = {}
        infected = False
        ran = reused = 0
        start = time.perf_counter()
        for index, step in enumerate(program.steps):
            if index in steps:
                continue
            identities = tuple(self._identity(ref, steps) for ref in step.args)
            base = self._known.get((self.mutant.code[step.kernel], identities, step.outputs))
            if base is not None:
                steps[index] = ("base", base, 0)
                reused += not self._constant[index]
                continue
            args = [self._value(ref, steps, made, memo, inputs, sample) for ref in step.args]
            made[index] = self.mutant.run_step(index, args)
            ran += not self._constant[index]
            same = self._same_as_baseline(index, made[index], memo, inputs, sample)
            steps[index] = ("own", index, 0) if same is None else ("base", same, 0)
            if not self._constant[index]:
                infected |= same is None
            else:
                # run once, with the first input; what differs shows in what reads it
                self._fixed[index] = steps[index]
                self._fixed_values[index] = made[index]
        results = [
            self._value(ref, steps, made, memo, inputs, sample).numpy() for ref in program.results
        ]
        stats.infected.append(infected)
        stats.latency.append(float("nan") if reused else time.perf_counter() - start)
        stats.steps_run += ran + len(memo)
        stats.steps_reused += reused - len(memo)
        return results

    def _identity(self, ref: Ref, steps: Mapping[int, Identity]) -> Identity:
        if ref.kind == "step":
            kind, index, _ = steps[ref.index]
            return (kind, index, ref.output)
        return self._leaf(self.mutant, ref)

    def _value(
        self,
        ref: Ref,
        steps: Mapping[int, Identity],
        made: Mapping[int, list[Any]],
        memo: dict[int, list[Any]],
        inputs: Sequence[Any],
        sample: int,
    ) -> Any:
        if ref.kind == "input":
            return inputs[ref.index]
        if ref.kind != "step":
            return self.mutant.leaf(ref)
        kind, index, _ = steps[ref.index]
        if kind == "own":
            return made[index][ref.output]
        return self._baseline_value(index, ref.output, memo, inputs, sample)

    def _baseline_value(
        self,
        index: int,
        output: int,
        memo: dict[int, list[Any]],
        inputs: Sequence[Any],
        sample: int,
    ) -> Any:
        """A tensor of the baseline: kept, or computed from the nearest that is."""
        base = self.baseline
        if index in base.constants:
            return base.constants[index][output]
        if index in memo:
            return memo[index][output]
        kept = self._kept(index, output, sample)
        if kept is not None:
            # in guarded memory, as if it had been computed here: a mutant may read past its end
            slot, tensor = self._slot(index, output)
            slot[...] = kept
            return tensor
        args = []
        for ref in base.loaded.program.steps[index].args:
            if ref.kind == "step":
                args.append(self._baseline_value(ref.index, ref.output, memo, inputs, sample))
            else:
                args.append(inputs[ref.index] if ref.kind == "input" else base.loaded.leaf(ref))
        memo[index] = base.loaded.run_step(index, args)
        return memo[index][output]

    def _slot(self, index: int, output: int) -> tuple[np.ndarray, Any]:
        if (index, output) not in self._slots:
            spec = self.baseline.loaded.program.steps[index].outputs[output]
            slot = guarded(spec.shape, spec.dtype)
            self._slots[index, output] = slot, as_tensor(slot)
        return self._slots[index, output]

    def _kept(self, index: int, output: int, sample: int) -> np.ndarray | None:
        if self.activations is None:
            return None
        return self.activations.tensor(self.baseline.loaded.program, index, output, sample)

    def _same_as_baseline(
        self,
        index: int,
        made: list[Any],
        memo: dict[int, list[Any]],
        inputs: Sequence[Any],
        sample: int,
    ) -> int | None:
        """The baseline's step of the same place, if its result is the same to the bit.

        Without activations nothing is compared: the baseline's result would have to be computed.
        """
        step = self.mutant.program.steps[index]
        base = self._aligned[index]
        if self._everything or base is None:
            return None
        if self.activations is None and base not in self.baseline.constants:
            return None
        if self.baseline.loaded.program.steps[base].outputs != step.outputs:
            return None
        for output, tensor in enumerate(made):
            theirs = self._kept(base, output, sample)
            if theirs is None:
                theirs = self._baseline_value(base, output, memo, inputs, sample).numpy()
            if not same_bits(tensor.numpy(), theirs):
                return None
        return base


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same to the bit: NaN equals itself, -0.0 is not 0.0."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return np.array_equal(a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8))
