"""Tensors of a CUDA device, each between red zones of a piece of memory of its own."""

from __future__ import annotations

import contextlib
import ctypes
import math
import weakref

import numpy as np

from pytest_mutatenn.devices.cuda.driver import call
from pytest_mutatenn.devices.slots import DeviceError

__all__ = ["CudaBlock", "CudaMemory", "CudaSlot"]

_RED_ZONE = 16 << 10  # bytes; a multiple of every alignment
_POISON = 0xFF  # NaN as float16, float32 and float64; -1 as a signed integer


class CudaSlot:
    """A tensor in the device's memory, and an array of the host's to copy from and to.

    Attributes
    ----------
    array
        The host's side.
    tensor
        The address on the device.
    """

    def __init__(self, block: CudaBlock, shape: tuple[int, ...], dtype: str) -> None:
        self._block = block
        self.array = np.zeros(shape, dtype)
        self.tensor = block.start

    def push(self) -> None:
        """Copy the array to the device, behind the kernels that were started."""
        if self.array.nbytes:
            call("cuMemcpyHtoD_v2", self.tensor, self.array.ctypes.data, self.array.nbytes)

    def pull(self) -> None:
        """Wait for the kernels, and copy the tensor to the array."""
        if self.array.nbytes:
            call("cuMemcpyDtoH_v2", self.array.ctypes.data, self.tensor, self.array.nbytes)

    def poison(self) -> None:
        """Fill the tensor and its red zones with poison."""
        self._block.fill(0, self._block.whole)

    def poison_around(self) -> None:
        """Fill the red zones with poison; the tensor stays."""
        end = _RED_ZONE + self.array.nbytes
        self._block.fill(0, _RED_ZONE)
        self._block.fill(end, self._block.whole - end)


class CudaBlock:
    """Memory of the device between red zones."""

    def __init__(self, size: int) -> None:
        self.whole = _RED_ZONE + max(1, size) + _RED_ZONE
        address = ctypes.c_uint64()
        call("cuMemAlloc_v2", ctypes.byref(address), self.whole)
        self._address = address.value
        self.start = self._address + _RED_ZONE
        weakref.finalize(self, _free, self._address).atexit = False
        self.fill(0, self.whole)

    def fill(self, start: int, size: int) -> None:
        """Fill a part with poison, behind the kernels that were started."""
        call("cuMemsetD8_v2", self._address + start, _POISON, size)

    def slot(self, shape: tuple[int, ...], dtype: str) -> CudaSlot:
        """The tensor that begins where the block does."""
        return CudaSlot(self, shape, dtype)


def _free(address: int) -> None:
    # after a fault nothing can be given back, and the process is about to end
    with contextlib.suppress(DeviceError, MemoryError):
        call("cuMemFree_v2", address)


class CudaMemory:
    """The device's memory; its default stream keeps the order of what is asked of it."""

    asynchronous = True

    def block(self, size: int) -> CudaBlock:
        """Allocate so many bytes, filled with poison."""
        return CudaBlock(size)

    def slot(self, shape: tuple[int, ...], dtype: str) -> CudaSlot:
        """Allocate a tensor, filled with poison."""
        return self.block(math.prod(shape) * np.dtype(dtype).itemsize).slot(shape, dtype)

    def copy(self, array: np.ndarray) -> CudaSlot:
        """Allocate a tensor that holds an array, on both sides."""
        slot = self.slot(array.shape, array.dtype.str)
        slot.array[...] = array
        slot.push()
        return slot

    def synchronise(self) -> None:
        """Wait for the kernels."""
        call("cuCtxSynchronize")
