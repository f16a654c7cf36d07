"""Tensors for kernels that may be wrong.

Every tensor lies between poison, and beyond the poison is address space that cannot be touched,
megabytes of it. A kernel that reads a little past a tensor reads the same poison (NaN, in
floating point) on every run; one that strays further dies of it at once, and does not reach
another tensor. What a kernel has not written yet is poison too. So a mutant that leaves its
buffers behaves the same on every run. The same holds for the buffers a kernel asks its runtime for
(:func:`guard_workspace`).
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_PAGE = mmap.PAGESIZE
_RED_ZONE = 4 * _PAGE
_POISON = 0xFF  # NaN as float16, float32 and float64; -1 as a signed integer
_NO_ACCESS = 0
_ACCESS = mmap.PROT_READ | mmap.PROT_WRITE
_MADV_POPULATE_WRITE = 23
_GAP = 64 << 20  # of each two tensors: 16 million elements of float32
_SPACE = 256 << 30  # addresses, not memory: 4096 tensors

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
]
for _name, _last in (("mprotect", [ctypes.c_int]), ("madvise", [ctypes.c_int]), ("munmap", [])):
    getattr(_libc, _name).argtypes = [ctypes.c_void_p, ctypes.c_size_t, *_last]


def _reserve(size: int) -> int:
    """Addresses that cannot be touched; they cost no memory until they are opened."""
    # private: what a child writes, in weights say, is not to be seen by the process it comes from
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = _libc.mmap(None, size, _NO_ACCESS, flags, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise MemoryError(f"no address space for {size} bytes")
    return int(address)


class _Space:
    """Addresses for tensors, far from each other and from everything else.

    They are reserved once: a child, whose address space is limited to what it starts with and its
    share of memory, has them already.
    """

    def __init__(self) -> None:
        self._next = _reserve(_SPACE)
        self._end = self._next + _SPACE
        self._free: dict[int, list[int]] = {}

    def take(self, size: int) -> int:
        """A place for so many bytes."""
        if self._free.get(size):
            return self._free[size].pop()
        address = self._next + _GAP
        if address + size + _GAP > self._end:
            raise MemoryError("the addresses for tensors are used up")
        self._next = address + size
        return address

    def give_back(self, address: int, size: int, share: int) -> None:
        """Take back the memory, and keep the place for the next tensor of its size."""
        _libc.madvise(address, size, mmap.MADV_DONTNEED)
        _libc.mprotect(address, size, _NO_ACCESS)
        _libc.munmap(share, size)
        self._free.setdefault(size, []).append(address)


@cache
def _space() -> _Space:
    return _Space()


def _place(size: int) -> memoryview:
    """Memory with untouchable addresses around it, as far as there are any."""
    # as many addresses again: so a process's limit counts tensors, as it does everything else
    share = _reserve(size)
    release: tuple[Any, ...]
    try:
        space = _space()
        address = space.take(size)
        release = (space.give_back, address, size, share)
    except MemoryError:
        _libc.munmap(share, size)
        first = _reserve(size + 2 * _PAGE)
        address = first + _PAGE
        release = (_libc.munmap, first, size + 2 * _PAGE)
    memory = (ctypes.c_uint8 * size).from_address(address)
    weakref.finalize(memory, *release).atexit = False
    if _libc.mprotect(address, size, _ACCESS):
        raise MemoryError(f"no memory for {size} bytes")
    # all pages at once cost a fraction of a fault each; a system older than Linux 5.14 refuses
    _libc.madvise(address, size, _MADV_POPULATE_WRITE)
    return memoryview(memory)


def guarded(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Allocate a tensor between poison and addresses that cannot be touched.

    Returns
    -------
    numpy.ndarray
        Filled with poison; C-contiguous, aligned to a page.

    Raises
    ------
    MemoryError
        If the process may not have so much.
    """
    kind = np.dtype(dtype)
    size = max(1, math.prod(shape)) * kind.itemsize
    body = -(-size // _PAGE) * _PAGE
    whole = np.frombuffer(_place(_RED_ZONE + body + _RED_ZONE), np.uint8)
    whole[:] = _POISON
    return whole[_RED_ZONE : _RED_ZONE + size].view(kind)[: math.prod(shape)].reshape(shape)


def poison(tensor: np.ndarray) -> None:
    """Make a tensor of :func:`guarded` what one is that has not been written, and its red zones.

    What a kernel has written beside its tensor is gone: no later run reads it.
    """
    body = -(-max(1, tensor.nbytes) // _PAGE) * _PAGE
    start = int(tensor.__array_interface__["data"][0])
    ctypes.memset(start - _RED_ZONE, _POISON, _RED_ZONE + body + _RED_ZONE)


def poison_around(tensor: np.ndarray) -> None:
    """Make the red zones of a tensor of :func:`guarded` what they are; the tensor stays."""
    body = -(-max(1, tensor.nbytes) // _PAGE) * _PAGE
    start = int(tensor.__array_interface__["data"][0])
    ctypes.memset(start - _RED_ZONE, _POISON, _RED_ZONE)
    end = start + tensor.nbytes
    ctypes.memset(end, _POISON, start + body + _RED_ZONE - end)


def guarded_copy(array: np.ndarray) -> np.ndarray:
    """Copy an array to a guarded tensor."""
    tensor = guarded(array.shape, array.dtype.str)
    tensor[...] = array
    return tensor


def as_tensor(array: np.ndarray) -> Any:
    """The same memory as a TVM tensor, for kernels to read and write."""
    import tvm

    return tvm.runtime.from_dlpack(array)


_ALLOCATE = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int
)
_FREE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)

_workspace: dict[int, np.ndarray] = {}  # every buffer there is, by its address
_free: dict[int, list[int]] = {}  # size -> addresses
_held: dict[int, int] = {}  # address -> size


@_ALLOCATE
def _allocate(_device: int, _id: int, size: int, _code: int, _bits: int) -> int | None:
    # a kernel may ask for one in each turn of a loop
    waiting = _free.get(size)
    if waiting:
        address = waiting.pop()
    else:
        try:
            buffer = guarded((size,), "uint8")
        except (MemoryError, OSError, ValueError, OverflowError):
            return None  # the kernel reports it
        address = int(buffer.__array_interface__["data"][0])
        _workspace[address] = buffer
    ctypes.memset(address, _POISON, size)
    _held[address] = size
    return address


@_FREE
def _release(_device: int, _id: int, address: int | None) -> int:
    size = _held.pop(address or 0, None)
    if size is None or address is None:
        return -1
    _free.setdefault(size, []).append(address)
    return 0


def poison_workspace() -> None:
    """Make the buffers that kernels have asked for what they were at first, red zones too."""
    for buffer in _workspace.values():
        poison(buffer)


def guard_workspace(library: Path) -> None:
    """Have a loaded kernel take its temporary buffers from here instead of TVM's pool.

    The pool hands out what an earlier kernel left behind, and lays buffers side by side.

    Parameters
    ----------
    library
        The kernel's shared library, loaded already: it keeps pointers to the runtime's functions.
    """
    handle = ctypes.CDLL(str(library))
    for name, function in (
        ("__TVMBackendAllocWorkspace", _allocate),
        ("__TVMBackendFreeWorkspace", _release),
    ):
        # a kernel without temporary buffers has no such pointer
        with contextlib.suppress(ValueError):
            pointer = ctypes.c_void_p.in_dll(handle, name)
            pointer.value = ctypes.cast(function, ctypes.c_void_p).value
