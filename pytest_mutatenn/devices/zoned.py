"""Tensors of a device that has memory of its own, each between red zones of its block.

A kernel that strays a little reads poison on every run, and writes where no other tensor lies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

__all__ = ["POISON", "RED_ZONE", "ZonedBlock", "ZonedSlot"]

RED_ZONE = 16 << 10
"""Bytes on either side; a multiple of the alignment that any device asks of a part of a buffer."""

POISON = 0xFF
"""NaN as float16, float32 and float64; -1 as a signed integer."""


class ZonedBlock(ABC):
    """Memory of a device between red zones.

    Parameters
    ----------
    size
        Bytes between them.

    Attributes
    ----------
    whole
        Bytes in all.
    tensor
        What begins behind the first red zone, as a kernel takes it.
    """

    tensor: Any

    def __init__(self, size: int) -> None:
        self.whole = RED_ZONE + max(1, size) + RED_ZONE

    @abstractmethod
    def fill(self, start: int, size: int) -> None:
        """Fill a part of the whole with poison, behind the kernels that were started."""

    @abstractmethod
    def write(self, array: np.ndarray) -> None:
        """Copy an array, which is not empty, to the tensor; behind the kernels that were started.

        Raises
        ------
        DeviceError
            If one of those faulted.
        """

    @abstractmethod
    def read(self, array: np.ndarray) -> None:
        """Wait for the kernels, and copy the tensor to an array, which is not empty.

        Raises
        ------
        DeviceError
            If one of those kernels faulted.
        """

    def slot(self, shape: tuple[int, ...], dtype: str) -> ZonedSlot:
        """The tensor that begins where the block does."""
        return ZonedSlot(self, shape, dtype)


class ZonedSlot:
    """A tensor in the device's memory, and an array of the host's to copy from and to."""

    def __init__(self, block: ZonedBlock, shape: tuple[int, ...], dtype: str) -> None:
        self._block = block
        self.array = np.zeros(shape, dtype)
        self.tensor = block.tensor

    def push(self) -> None:
        """Copy the array to the device, behind the kernels that were started."""
        if self.array.nbytes:
            self._block.write(self.array)

    def pull(self) -> None:
        """Wait for the kernels, and copy the tensor to the array."""
        if self.array.nbytes:
            self._block.read(self.array)

    def poison(self) -> None:
        """Fill the tensor and its red zones with poison."""
        self._block.fill(0, self._block.whole)

    def poison_around(self) -> None:
        """Fill the red zones with poison; the tensor stays."""
        end = RED_ZONE + self.array.nbytes
        self._block.fill(0, RED_ZONE)
        self._block.fill(end, self._block.whole - end)
