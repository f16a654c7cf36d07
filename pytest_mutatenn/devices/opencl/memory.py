"""Tensors of an OpenCL device.

A device that is the host's own CPU works in the host's guarded memory
(:mod:`pytest_mutatenn.devices.memory`): a kernel that strays far dies of it there too. On any
other, a tensor lies between red zones of its own buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pytest_mutatenn.devices.blocks import BlockMemory, beginning
from pytest_mutatenn.devices.memory import guarded, poison, poison_around
from pytest_mutatenn.devices.slots import DeviceError
from pytest_mutatenn.devices.zoned import POISON, RED_ZONE, ZonedBlock

__all__ = ["DeviceMemory", "SharedMemory", "SharedSlot", "faults"]

_MEMORY = ("MEM_OBJECT_ALLOCATION_FAILURE", "OUT_OF_HOST_MEMORY", "INVALID_BUFFER_SIZE")


@contextmanager
def faults() -> Iterator[None]:
    """Give OpenCL's errors as what they say of the kernel that was run.

    Raises
    ------
    MemoryError
        If the device refuses memory.
    DeviceError
        If it fails in any other way.
    """
    import pyopencl as cl

    try:
        yield
    except cl.Error as error:
        code = str(cl.status_code.to_string(error.code))
        if code in _MEMORY:
            raise MemoryError(f"{error.routine}: {code}") from error
        raise DeviceError(f"the OpenCL device reports {code} from {error.routine}") from error


class SharedSlot:
    """A tensor in the host's guarded memory, which the device reads and writes."""

    def __init__(self, queue: Any, array: np.ndarray, tensor: Any) -> None:
        self._queue = queue
        self.array = array
        self.tensor = tensor

    def push(self) -> None:
        """Have the device see the array, where it does not already."""
        self._map(write=True)

    def pull(self) -> None:
        """Wait for the kernels, and have the array hold what they wrote."""
        self._map(write=False)

    def _map(self, *, write: bool) -> None:
        import pyopencl as cl

        if not self.array.nbytes:
            return
        flags = cl.map_flags.WRITE if write else cl.map_flags.READ
        with faults():
            found, _ = cl.enqueue_map_buffer(
                self._queue, self.tensor, flags, 0, (self.array.nbytes,), np.uint8
            )
            found.base.release(self._queue)

    def poison(self) -> None:
        """Fill the tensor and its red zones with poison."""
        poison(self.array)
        self.push()

    def poison_around(self) -> None:
        """Fill the red zones with poison; the tensor stays."""
        poison_around(self.array)


class SharedBlock:
    """Guarded bytes, and a buffer over them."""

    def __init__(self, context: Any, queue: Any, size: int) -> None:
        import pyopencl as cl

        self._queue = queue
        self._bytes = guarded((size,), "uint8")
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
        # OpenCL has no empty buffers; a page is there in any case
        whole = self._bytes if size else guarded((1,), "uint8")
        with faults():
            self._buffer = cl.Buffer(context, flags, hostbuf=whole)

    def slot(self, shape: tuple[int, ...], dtype: str) -> SharedSlot:
        """The tensor that begins where the block does."""
        return SharedSlot(self._queue, beginning(self._bytes, shape, dtype), self._buffer)


class DeviceBlock(ZonedBlock):
    """A buffer between red zones of a larger one."""

    def __init__(self, context: Any, queue: Any, size: int) -> None:
        import pyopencl as cl

        super().__init__(size)
        self._queue = queue
        with faults():
            self._parent = cl.Buffer(context, cl.mem_flags.READ_WRITE, self.whole)
            self.tensor = self._parent.get_sub_region(RED_ZONE, max(1, size))
        self.fill(0, self.whole)

    def fill(self, start: int, size: int) -> None:
        """Fill a part with poison, behind the kernels that were started."""
        import pyopencl as cl

        with faults():
            cl.enqueue_fill_buffer(self._queue, self._parent, np.uint8(POISON), start, size)

    def write(self, array: np.ndarray) -> None:
        """Copy an array to the device."""
        self._copy(self.tensor, array)

    def read(self, array: np.ndarray) -> None:
        """Copy the tensor to an array."""
        self._copy(array, self.tensor)

    def _copy(self, to: Any, source: Any) -> None:
        import pyopencl as cl

        with faults():
            cl.enqueue_copy(self._queue, to, source, is_blocking=True)


class _QueueMemory(BlockMemory):
    """Memory of a device that is asked by a queue."""

    def __init__(self, context: Any, queue: Any) -> None:
        self._context = context
        self._queue = queue

    def synchronise(self) -> None:
        """Wait for the kernels."""
        with faults():
            self._queue.finish()


class SharedMemory(_QueueMemory):
    """Memory of a device that is the host's CPU. A kernel that has been called is done."""

    def block(self, size: int) -> SharedBlock:
        """Allocate so many bytes, filled with poison."""
        return SharedBlock(self._context, self._queue, size)


class DeviceMemory(_QueueMemory):
    """Memory of a device apart from the host. Its queue keeps the order of what is asked of it."""

    asynchronous = True

    def block(self, size: int) -> DeviceBlock:
        """Allocate so many bytes, filled with poison."""
        return DeviceBlock(self._context, self._queue, size)
