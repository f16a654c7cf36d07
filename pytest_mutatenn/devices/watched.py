"""Tensors on the heap, where AddressSanitizer knows each one's first and last byte."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np

from pytest_mutatenn.devices.memory import as_tensor

__all__ = ["WATCHED", "WatchedBlock", "WatchedMemory", "WatchedSlot"]

_ALIGNMENT = 64  # what kernels take for granted
_POISON = 0xFF  # NaN as a floating-point number

_libc = ctypes.CDLL(None)
_libc.posix_memalign.argtypes = [
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_size_t,
    ctypes.c_size_t,
]
_libc.free.argtypes = [ctypes.c_void_p]
_libc.free.restype = None


class WatchedSlot:
    """A tensor on the heap; the device reads its array."""

    __slots__ = ("array", "tensor")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.tensor: Any = as_tensor(array)

    def push(self) -> None:
        """Do nothing: the array is the device's memory."""

    def pull(self) -> None:
        """Do nothing: the array is the device's memory."""

    def poison(self) -> None:
        """Fill the tensor with poison."""
        ctypes.memset(self.array.__array_interface__["data"][0], _POISON, self.array.nbytes)

    def poison_around(self) -> None:
        """Do nothing: what lies beside it cannot be written."""


class WatchedBlock:
    """A piece of the heap, of its own and of exactly its size."""

    def __init__(self, size: int) -> None:
        address = ctypes.c_void_p()
        if _libc.posix_memalign(ctypes.byref(address), _ALIGNMENT, max(1, size)):
            raise MemoryError(f"no memory for {size} bytes")
        ctypes.memset(address, _POISON, max(1, size))
        piece = (ctypes.c_uint8 * size).from_address(address.value or 0)
        weakref.finalize(piece, _libc.free, address).atexit = False
        self._bytes = np.frombuffer(memoryview(piece), np.uint8)

    def slot(self, shape: tuple[int, ...], dtype: str) -> WatchedSlot:
        """The tensor that begins where the block does."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        return WatchedSlot(self._bytes[:size].view(kind).reshape(shape))


class WatchedMemory:
    """The heap."""

    asynchronous = False

    def block(self, size: int) -> WatchedBlock:
        """Allocate so many bytes, filled with poison."""
        return WatchedBlock(size)

    def slot(self, shape: tuple[int, ...], dtype: str) -> WatchedSlot:
        """Allocate a tensor, filled with poison."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return WatchedBlock(size).slot(shape, dtype)

    def copy(self, array: np.ndarray) -> WatchedSlot:
        """Allocate a tensor that holds an array."""
        slot = self.slot(array.shape, array.dtype.str)
        slot.array[...] = array
        return slot

    def synchronise(self) -> None:
        """Do nothing: a kernel that returned is done."""


WATCHED = WatchedMemory()
"""The heap; a process has one."""
