"""Memory that is allocated in blocks: a tensor of its own begins where a block does."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from pytest_mutatenn.devices.slots import Block, Slot

__all__ = ["BlockMemory", "beginning"]


class BlockMemory(ABC):
    """Memory of which only blocks are to be had; tensors follow.

    Attributes
    ----------
    asynchronous
        Whether a kernel that has been called may still run.
    """

    asynchronous = False

    @abstractmethod
    def block(self, size: int) -> Block:
        """Allocate so many bytes, filled with poison."""

    def slot(self, shape: tuple[int, ...], dtype: str) -> Slot:
        """Allocate a tensor, filled with poison."""
        return self.block(math.prod(shape) * np.dtype(dtype).itemsize).slot(shape, dtype)

    def copy(self, array: np.ndarray) -> Slot:
        """Allocate a tensor that holds an array, on both sides."""
        slot = self.slot(array.shape, array.dtype.str)
        slot.array[...] = array
        slot.push()
        return slot


def beginning(memory: np.ndarray, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The tensor that begins where bytes do, over the same memory."""
    kind = np.dtype(dtype)
    return memory[: math.prod(shape) * kind.itemsize].view(kind).reshape(shape)
