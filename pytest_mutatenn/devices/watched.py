"""Tensors on the heap, where AddressSanitizer knows each one's first and last byte."""

from __future__ import annotations

import ctypes
import weakref

import numpy as np

from pytest_mutatenn.devices.blocks import BlockMemory, beginning
from pytest_mutatenn.devices.host import HostSlot

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


class WatchedSlot(HostSlot):
    """A tensor on the heap; the device reads its array."""

    __slots__ = ()

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
        return WatchedSlot(beginning(self._bytes, shape, dtype))


class WatchedMemory(BlockMemory):
    """The heap."""

    def block(self, size: int) -> WatchedBlock:
        """Allocate so many bytes, filled with poison."""
        return WatchedBlock(size)

    def synchronise(self) -> None:
        """Do nothing: a kernel that returned is done."""


WATCHED = WatchedMemory()
"""The heap; a process has one."""
