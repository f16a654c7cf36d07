"""Where tensors lie: those that a program computes, and those of the baseline that are kept."""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_mutatenn.compiler.program import Program, TensorSpec
from pytest_mutatenn.devices.slots import Block, Memory, Slot
from pytest_mutatenn.engine.activations import padded

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


def byte_size(spec: Any) -> int:
    """Size of a tensor in bytes."""
    return int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same to the bit: NaN equals itself, -0.0 is not 0.0."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not (a.flags.c_contiguous and b.flags.c_contiguous):
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    # memory is compared as it lies, and no further than the first byte that differs
    ours, theirs = (int(x.__array_interface__["data"][0]) for x in (a, b))
    return not _memcmp(ours, theirs, a.nbytes)


def shared_places(program: Program, *, of_one_size: bool = True) -> dict[tuple[int, int], Hashable]:
    """(step, output) -> a place in memory; tensors that are needed at the same time have their own.

    A place is given on when the last step that reads it is done. With one for every tensor, a
    network's activations do not fit a processor's cache, and each step writes to memory that is
    cold. What is not computed again for each input has a place of its own, and what the network
    gives back is not written over.

    Parameters
    ----------
    program
        The program.
    of_one_size
        A place is given on only to tensors of its size, so that the poison around it begins where
        the tensor ends; otherwise also to smaller ones.
    """
    last: dict[tuple[int, int], int] = {}
    for index, step in enumerate(program.steps):
        last.update({(index, output): index for output in range(len(step.outputs))})
        last.update({(r.index, r.output): index for r in step.args if r.kind == "step"})
    kept = {(r.index, r.output) for r in program.results if r.kind == "step"}
    constant = program.constant_steps()
    ending: dict[int, list[tuple[int, int]]] = {}
    for tensor, index in last.items():
        ending.setdefault(index, []).append(tensor)
    places: dict[tuple[int, int], Hashable] = {}
    sizes: dict[Hashable, int] = {}
    free: list[Hashable] = []
    for index, step in enumerate(program.steps):
        for output, spec in enumerate(step.outputs):
            tensor, size = (index, output), byte_size(spec)
            fitting = [
                place
                for place in (() if constant[index] else free)
                if sizes[place] == size or (sizes[place] > size and not of_one_size)
            ]
            place = min(fitting, key=sizes.__getitem__) if fitting else tensor
            places[tensor] = place
            if fitting:
                free.remove(place)
            sizes.setdefault(place, size)
        free += [
            places[tensor]
            for tensor in ending.get(index, ())
            if tensor not in kept and not constant[tensor[0]]
        ]
    return places


def memory_of(
    program: Program, places: Mapping[tuple[int, int], Hashable], memory: Memory
) -> dict[int, list[Slot]]:
    """Allocate what the steps write that depend on the network's inputs: step -> its outputs."""
    blocks: dict[Hashable, Block] = {}
    slots = {}
    for index, constant in enumerate(program.constant_steps()):
        if constant:
            continue
        slots[index] = [
            slot_at(blocks, places[index, output], spec, memory)
            for output, spec in enumerate(program.steps[index].outputs)
        ]
    return slots


def slot_at(
    blocks: dict[Hashable, Block], place: Hashable, spec: TensorSpec, memory: Memory
) -> Slot:
    """A tensor at a place, which is allocated at its first, and largest, tensor."""
    if place not in blocks:
        blocks[place] = memory.block(byte_size(spec))
    return blocks[place].slot(spec.shape, spec.dtype)


@dataclass(frozen=True)
class Activations:
    """Tensors of the baseline, kept for some steps and every input of a dataset.

    Attributes
    ----------
    memory
        One flat buffer of bytes.
    offsets
        (step, output) -> where the tensor of the first input starts; the others follow it.
    count
        Number of inputs.
    """

    memory: np.ndarray
    offsets: Mapping[tuple[int, int], int]
    count: int
    _samples: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False)

    def tensor(self, baseline: Program, step: int, output: int, sample: int) -> np.ndarray | None:
        """The stored tensor, if it is kept."""
        start = self.offsets.get((step, output))
        if start is None:
            return None
        samples = self._samples.get((step, output))
        if samples is None:
            samples = self._samples[step, output] = self._all(baseline, step, output, start)
        return samples[sample]

    def _all(self, baseline: Program, step: int, output: int, start: int) -> np.ndarray:
        spec = baseline.steps[step].outputs[output]
        size = byte_size(spec)
        end = start + self.count * padded(size)
        each = self.memory[start:end].reshape(self.count, padded(size))
        return each[:, :size].view(np.dtype(spec.dtype)).reshape(self.count, *spec.shape)
