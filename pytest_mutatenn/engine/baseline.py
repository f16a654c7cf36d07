"""Running the baseline, and how a mutant finds in it what it need not compute."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.program import Program, Ref, Step
from pytest_mutatenn.devices.slots import Slot
from pytest_mutatenn.engine.loaded import Loaded
from pytest_mutatenn.engine.tensors import memory_of, shared_places

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
            pulled(self._argument(ref, self._slots, inputs)) for ref in self.loaded.program.results
        ]

    @cached_property
    def index(self) -> tuple[Known, dict[Any, int], dict[tuple[str, int], int]]:
        """How a mutant finds what is the baseline's.

        Steps by their kind and their arguments, the kinds, and steps by what they compute.
        """
        kinds: dict[Any, int] = {}
        known: Known = {}
        for index, step in enumerate(self.loaded.program.steps):
            identities = tuple(leaf_of(self.loaded, ref) for ref in step.args)
            known.setdefault((kind_of(kinds, self.loaded, step), identities), index)
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


def pulled(slot: Slot) -> np.ndarray:
    """A tensor's array, once the device has written it."""
    slot.pull()
    return slot.array


def kind_of(kinds: dict[Any, int], loaded: Loaded, step: Step) -> int:
    """A number for the code of a step and what it writes; cheaper to look up than those."""
    return kinds.setdefault((loaded.code[step.kernel], step.outputs), len(kinds))


def leaf_of(loaded: Loaded, ref: Ref) -> Identity:
    """What an argument is: a weight or literal, a network input, or a baseline step's tensor."""
    if ref.kind == "param":
        return ("leaf", loaded.leaves.params[ref.index], 0)
    if ref.kind == "const":
        return ("leaf", loaded.leaves.constants[ref.index], 0)
    return ("input" if ref.kind == "input" else "base", ref.index, ref.output)
