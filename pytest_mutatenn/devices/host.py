"""Tensors of the devices whose memory is the host's: both sides are the same guarded bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_mutatenn.devices.blocks import beginning
from pytest_mutatenn.devices.memory import (
    as_tensor,
    guarded,
    guarded_copy,
    poison,
    poison_around,
)

__all__ = ["HOST", "HostBlock", "HostMemory", "HostSlot"]


class HostSlot:
    """A tensor of :func:`~pytest_mutatenn.devices.memory.guarded`; the device reads its array."""

    __slots__ = ("array", "tensor")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.tensor: Any = as_tensor(array)

    def push(self) -> None:
        """Do nothing: the array is the device's memory."""

    def pull(self) -> None:
        """Do nothing: the array is the device's memory."""

    def poison(self) -> None:
        """Fill the tensor and its red zones with poison."""
        poison(self.array)

    def poison_around(self) -> None:
        """Fill the red zones with poison; the tensor stays."""
        poison_around(self.array)


class HostBlock:
    """Guarded bytes."""

    def __init__(self, size: int) -> None:
        self._bytes = guarded((size,), "uint8")

    def slot(self, shape: tuple[int, ...], dtype: str) -> HostSlot:
        """The tensor that begins where the block does."""
        return HostSlot(beginning(self._bytes, shape, dtype))


class HostMemory:
    """The host's memory, guarded."""

    asynchronous = False

    def block(self, size: int) -> HostBlock:
        """Allocate so many bytes between poison and addresses that cannot be touched."""
        return HostBlock(size)

    def slot(self, shape: tuple[int, ...], dtype: str) -> HostSlot:
        """Allocate a tensor, filled with poison."""
        return HostSlot(guarded(shape, dtype))

    def copy(self, array: np.ndarray) -> HostSlot:
        """Allocate a tensor that holds an array."""
        return HostSlot(guarded_copy(array))

    def synchronise(self) -> None:
        """Do nothing: a kernel that returned is done."""


HOST = HostMemory()
"""The host's memory; a process has one."""
