"""A program with its compiled kernels, and the memory that they read and write."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.program import Leaves, Program, Ref
from pytest_mutatenn.devices.memory import as_tensor, guarded_copy, poison, poison_around
from pytest_mutatenn.engine.tensors import array_at, shared_places

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
    mutated
        The kernels whose code is not the baseline's; what they do not write is poison on each run.
    sharing
        Whether tensors that are not needed at the same time lie in the same memory.
    """

    program: Program
    code: Mapping[str, str]
    kernels: Kernels
    leaves: Leaves
    mutated: frozenset[str] = frozenset()
    sharing: bool = False
    _buffers: dict[int, list[Any]] = field(default_factory=dict, repr=False)
    _arrays: dict[int, list[np.ndarray]] = field(default_factory=dict, repr=False)
    _memory: dict[Hashable, np.ndarray] = field(default_factory=dict, repr=False)
    _leaf_tensors: dict[tuple[str, int], Any] = field(default_factory=dict, repr=False)

    def leaf(self, ref: Ref) -> Any:
        """A weight or literal as a tensor."""
        key = (ref.kind, ref.index)
        if key not in self._leaf_tensors:
            source = self.program.params if ref.kind == "param" else self.program.constants
            self._leaf_tensors[key] = as_tensor(guarded_copy(np.asarray(source[ref.index])))
        return self._leaf_tensors[key]

    @cached_property
    def _places(self) -> dict[tuple[int, int], Hashable]:
        return shared_places(self.program) if self.sharing else {}

    def arrays(self, index: int) -> list[np.ndarray]:
        """What a step writes, as arrays over the memory of :meth:`buffers`."""
        if index not in self._arrays:
            self._arrays[index] = [
                array_at(self._memory, self._places.get((index, output), (index, output)), spec)
                for output, spec in enumerate(self.program.steps[index].outputs)
            ]
        return self._arrays[index]

    def buffers(self, index: int) -> list[Any]:
        """The tensors that a step writes, the same for every input."""
        if index not in self._buffers:
            self._buffers[index] = [as_tensor(array) for array in self.arrays(index)]
        return self._buffers[index]

    def run_step(self, index: int, args: Sequence[Any]) -> list[Any]:
        """Run a step on its arguments; give what it wrote."""
        out = self.buffers(index)
        step = self.program.steps[index]
        run = self.kernels[step.kernel]
        if step.kernel not in self.mutated:
            run(*args, *out)
            return out
        for array in self.arrays(index):
            poison(array)
        run(*args, *out)
        for array in self.arrays(index):
            poison_around(array)  # what it wrote there is not for the next one to read
        return out
