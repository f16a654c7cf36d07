"""A program with its compiled kernels, and the memory that they read and write."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.program import Leaves, Program, Ref
from pytest_mutatenn.devices.slots import Block, Memory, Slot
from pytest_mutatenn.engine.tensors import shared_places, slot_at

Kernels = Mapping[str, Callable[..., Any]]


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
    memory
        The device's memory, where its tensors lie.
    mutated
        The kernels whose code is not the baseline's; what they do not write is poison on each run.
    sharing
        Whether tensors that are not needed at the same time lie in the same memory.
    """

    program: Program
    code: Mapping[str, str]
    kernels: Kernels
    leaves: Leaves
    memory: Memory
    mutated: frozenset[str] = frozenset()
    sharing: bool = False
    _slots: dict[int, list[Slot]] = field(default_factory=dict, repr=False)
    _blocks: dict[Hashable, Block] = field(default_factory=dict, repr=False)
    _leaves: dict[tuple[str, int], Slot] = field(default_factory=dict, repr=False)

    def leaf(self, ref: Ref) -> Slot:
        """A weight or literal."""
        key = (ref.kind, ref.index)
        if key not in self._leaves:
            source = self.program.params if ref.kind == "param" else self.program.constants
            self._leaves[key] = self.memory.copy(np.asarray(source[ref.index]))
        return self._leaves[key]

    @cached_property
    def _places(self) -> dict[tuple[int, int], Hashable]:
        return shared_places(self.program) if self.sharing else {}

    def _place(self, index: int, output: int) -> Hashable:
        return self._places.get((index, output), (index, output))

    def slots(self, index: int) -> list[Slot]:
        """What a step writes, in the same memory for every input."""
        if index not in self._slots:
            self._slots[index] = [
                slot_at(self._blocks, self._place(index, output), spec, self.memory)
                for output, spec in enumerate(self.program.steps[index].outputs)
            ]
        return self._slots[index]

    def run_step(self, index: int, args: Sequence[Slot]) -> list[Slot]:
        """Run a step on its arguments; give what it wrote."""
        out = self.slots(index)
        step = self.program.steps[index]
        run = self.kernels[step.kernel]
        tensors = [slot.tensor for slot in (*args, *out)]
        if step.kernel not in self.mutated:
            run(*tensors)
            return out
        for slot in out:
            slot.poison()
        run(*tensors)
        for slot in out:
            slot.poison_around()  # what it wrote there is not for the next one to read
        return out
