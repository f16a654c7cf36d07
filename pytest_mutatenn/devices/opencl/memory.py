"""Tensors of an OpenCL device.

A device that is the host's own CPU works in the host's guarded memory
(:mod:`pytest_mutatenn.devices.memory`): a kernel that strays far dies of it there too. On any
other, a tensor lies between red zones of its own buffer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pytest_mutatenn.devices.memory import guarded, poison, poison_around
from pytest_mutatenn.devices.slots import DeviceError

__all__ = ["DeviceMemory", "DeviceSlot", "SharedMemory", "SharedSlot", "faults"]

_RED_ZONE = 16 << 10  # bytes; a multiple of the alignment that any device asks of a sub-buffer
_POISON = np.uint8(0xFF)  # NaN as float16, float32 and float64; -1 as a signed integer
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
        kind = np.dtype(dtype)
        array = self._bytes[: math.prod(shape) * kind.itemsize].view(kind).reshape(shape)
        return SharedSlot(self._queue, array, self._buffer)


class SharedMemory:
    """Memory of a device that is the host's CPU. A kernel that has been called is done."""

    asynchronous = False

    def __init__(self, context: Any, queue: Any) -> None:
        self._context = context
        self._queue = queue

    def block(self, size: int) -> SharedBlock:
        """Allocate so many bytes, filled with poison."""
        return SharedBlock(self._context, self._queue, size)

    def slot(self, shape: tuple[int, ...], dtype: str) -> SharedSlot:
        """Allocate a tensor, filled with poison."""
        return self.block(math.prod(shape) * np.dtype(dtype).itemsize).slot(shape, dtype)

    def copy(self, array: np.ndarray) -> SharedSlot:
        """Allocate a tensor that holds an array."""
        slot = self.slot(array.shape, array.dtype.str)
        slot.array[...] = array
        slot.push()
        return slot

    def synchronise(self) -> None:
        """Wait for the kernels."""
        with faults():
            self._queue.finish()


class DeviceSlot:
    """A tensor in the device's memory, and an array of the host's to copy from and to."""

    def __init__(self, block: DeviceBlock, shape: tuple[int, ...], dtype: str) -> None:
        self._block = block
        self.array = np.zeros(shape, dtype)
        self.tensor = block.tensor

    def push(self) -> None:
        """Copy the array to the device, behind the kernels that were started."""
        import pyopencl as cl

        if self.array.nbytes:
            with faults():
                cl.enqueue_copy(self._block.queue, self.tensor, self.array, is_blocking=True)

    def pull(self) -> None:
        """Wait for the kernels, and copy the tensor to the array."""
        import pyopencl as cl

        if self.array.nbytes:
            with faults():
                cl.enqueue_copy(self._block.queue, self.array, self.tensor, is_blocking=True)

    def poison(self) -> None:
        """Fill the tensor and its red zones with poison."""
        self._block.fill(0, self._block.whole)

    def poison_around(self) -> None:
        """Fill the red zones with poison; the tensor stays."""
        end = _RED_ZONE + self.array.nbytes
        self._block.fill(0, _RED_ZONE)
        self._block.fill(end, self._block.whole - end)


class DeviceBlock:
    """A buffer between red zones of a larger one."""

    def __init__(self, context: Any, queue: Any, size: int) -> None:
        import pyopencl as cl

        self.queue = queue
        self.whole = _RED_ZONE + max(1, size) + _RED_ZONE
        with faults():
            self._parent = cl.Buffer(context, cl.mem_flags.READ_WRITE, self.whole)
            self.tensor = self._parent.get_sub_region(_RED_ZONE, max(1, size))
        self.fill(0, self.whole)

    def fill(self, start: int, size: int) -> None:
        """Fill a part with poison, behind the kernels that were started."""
        import pyopencl as cl

        with faults():
            cl.enqueue_fill_buffer(self.queue, self._parent, _POISON, start, size)

    def slot(self, shape: tuple[int, ...], dtype: str) -> DeviceSlot:
        """The tensor that begins where the block does."""
        return DeviceSlot(self, shape, dtype)


class DeviceMemory:
    """Memory of a device apart from the host. Its queue keeps the order of what is asked of it."""

    asynchronous = True

    def __init__(self, context: Any, queue: Any) -> None:
        self._context = context
        self._queue = queue

    def block(self, size: int) -> DeviceBlock:
        """Allocate so many bytes, filled with poison."""
        return DeviceBlock(self._context, self._queue, size)

    def slot(self, shape: tuple[int, ...], dtype: str) -> DeviceSlot:
        """Allocate a tensor, filled with poison."""
        return self.block(math.prod(shape) * np.dtype(dtype).itemsize).slot(shape, dtype)

    def copy(self, array: np.ndarray) -> DeviceSlot:
        """Allocate a tensor that holds an array, on both sides."""
        slot = self.slot(array.shape, array.dtype.str)
        slot.array[...] = array
        slot.push()
        return slot

    def synchronise(self) -> None:
        """Wait for the kernels."""
        with faults():
            self._queue.finish()
