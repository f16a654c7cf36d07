"""Memory for a program's tensors, used again as soon as nothing reads them any more.

With a place of its own for every tensor, a network's activations do not fit a processor's cache,
and each step writes to memory that is cold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_mutatenn.compiler.program import Program
from pytest_mutatenn.devices.memory import as_tensor, guarded


def shared_outputs(program: Program) -> dict[int, list[Any]]:
    """Allocate what the steps write that depend on the network's inputs.

    Returns
    -------
    dict
        Step -> its outputs as tensors. Two share memory only where no step that runs between them
        reads the first; the network's outputs share with nothing after them.
    """
    constant = program.constant_steps()
    last = {ref.index: len(program.steps) for ref in program.results if ref.kind == "step"}
    for index, step in reversed(list(enumerate(program.steps))):
        for ref in step.args:
            if ref.kind == "step":
                last.setdefault(ref.index, index)
    free: list[np.ndarray] = []
    used: dict[int, list[np.ndarray]] = {}
    outputs: dict[int, list[Any]] = {}
    for index, step in enumerate(program.steps):
        if constant[index]:
            continue
        memory = []
        outputs[index] = []
        for spec in step.outputs:
            size = int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize
            memory.append(_take(free, size))
            array = memory[-1][:size].view(spec.dtype).reshape(spec.shape)
            outputs[index].append(as_tensor(array))
        used.setdefault(last.get(index, index), []).extend(memory)
        free += used.pop(index, [])
    return outputs


def _take(free: list[np.ndarray], size: int) -> np.ndarray:
    """The smallest free piece that is large enough, else a new one."""
    fitting = [place for place, piece in enumerate(free) if piece.size >= size]
    if not fitting:
        return guarded((size,), "uint8")
    return free.pop(min(fitting, key=lambda place: free[place].size))
