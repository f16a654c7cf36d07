"""The two sides of a tensor: the host's array, and what a kernel of the device takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Block", "DeviceError", "DeviceTimeout", "Memory", "Refused", "Slot", "clock_of"]


class DeviceError(Exception):
    """The device faulted while it ran a kernel: the mutant's doing, or the baseline's."""


class DeviceTimeout(DeviceError):
    """The device, or who guards it, has ended a kernel that took too long."""


class Refused(Exception):
    """The device's own compiler, or its loader, refused a kernel's code."""


class Slot(Protocol):
    """A tensor, on the host's side and on the device's.

    Attributes
    ----------
    array
        The host's side; what is written there reaches the device by :meth:`push`.
    tensor
        The device's side, as a loaded kernel takes it.
    """

    array: np.ndarray
    tensor: Any

    def push(self) -> None:
        """Copy the array to the device."""
        ...

    def pull(self) -> None:
        """Wait for the kernels that were started, and copy the device's tensor to the array.

        Raises
        ------
        DeviceError
            If one of those kernels faulted.
        """
        ...

    def poison(self) -> None:
        """Make the device's side what it is before any kernel has written to it."""
        ...

    def poison_around(self) -> None:
        """Make what lies beside the tensor on the device what it is before a kernel has run."""
        ...


class Block(Protocol):
    """A piece of memory whose beginning serves one tensor after another."""

    def slot(self, shape: tuple[int, ...], dtype: str) -> Slot:
        """The tensor that begins where the block does; no larger than it."""
        ...


class Memory(Protocol):
    """Memory of a device, as the process has it that runs its kernels.

    Attributes
    ----------
    asynchronous
        Whether a kernel that has been called may still run.
    """

    asynchronous: bool

    def block(self, size: int) -> Block:
        """Allocate so many bytes, filled with poison.

        Raises
        ------
        MemoryError
            If the device, or the process, may not have so much.
        """
        ...

    def slot(self, shape: tuple[int, ...], dtype: str) -> Slot:
        """Allocate a tensor, filled with poison."""
        ...

    def copy(self, array: np.ndarray) -> Slot:
        """Allocate a tensor that holds an array, on both sides."""
        ...

    def synchronise(self) -> None:
        """Wait for the kernels that were started.

        Raises
        ------
        DeviceError
            If one of them faulted.
        """
        ...


def clock_of(memory: Memory) -> Callable[[], float]:
    """A clock in seconds for kernels that run there: the other machine's, where it has one.

    What the way there and back takes is no part of a kernel's time.
    """
    found: Callable[[], float] = getattr(memory, "clock", time.perf_counter)
    return found
