"""Tensors of a CUDA device, each between red zones of a piece of memory of its own."""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from typing import TYPE_CHECKING

from pytest_mutatenn.devices.blocks import BlockMemory
from pytest_mutatenn.devices.cuda.driver import call
from pytest_mutatenn.devices.slots import DeviceError
from pytest_mutatenn.devices.zoned import POISON, RED_ZONE, ZonedBlock

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CudaBlock", "CudaMemory"]


class CudaBlock(ZonedBlock):
    """Memory of the device between red zones; its tensor is an address."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        address = ctypes.c_uint64()
        call("cuMemAlloc_v2", ctypes.byref(address), self.whole)
        self._address = address.value
        self.tensor = self._address + RED_ZONE
        weakref.finalize(self, _free, self._address).atexit = False
        self.fill(0, self.whole)

    def fill(self, start: int, size: int) -> None:
        """Fill a part with poison, behind the kernels that were started."""
        call("cuMemsetD8_v2", self._address + start, POISON, size)

    def write(self, array: np.ndarray) -> None:
        """Copy an array to the device."""
        call("cuMemcpyHtoD_v2", self.tensor, array.ctypes.data, array.nbytes)

    def read(self, array: np.ndarray) -> None:
        """Copy the tensor to an array."""
        call("cuMemcpyDtoH_v2", array.ctypes.data, self.tensor, array.nbytes)


def _free(address: int) -> None:
    # after a fault nothing can be given back, and the process is about to end
    with contextlib.suppress(DeviceError, MemoryError):
        call("cuMemFree_v2", address)


class CudaMemory(BlockMemory):
    """The device's memory; its default stream keeps the order of what is asked of it."""

    asynchronous = True

    def block(self, size: int) -> CudaBlock:
        """Allocate so many bytes, filled with poison."""
        return CudaBlock(size)

    def synchronise(self) -> None:
        """Wait for the kernels."""
        call("cuCtxSynchronize")
