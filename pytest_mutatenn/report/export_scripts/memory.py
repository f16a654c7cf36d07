"""Tensors of a CPU between poison, and beyond the poison addresses that cannot be touched.

What a kernel reads beside its tensors, or before it has written it, is NaN (-1 in integers), as it
was when the mutant was tested.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np
import tvm

PAGE = mmap.PAGESIZE
RED_ZONE = 4 * PAGE
GAP = 64 << 20
POISON = 0xFF

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_kept: list[Any] = []  # what kernels hold pointers to


def guarded(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A tensor filled with poison, between poison; aligned to a page."""
    kind = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    size = max(1, count) * kind.itemsize
    body = -(-size // PAGE) * PAGE
    whole = RED_ZONE + body + RED_ZONE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = _libc.mmap(None, GAP + whole + GAP, 0, flags, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise MemoryError(f"no address space for {size} bytes")
    if _libc.mprotect(address + GAP, whole, mmap.PROT_READ | mmap.PROT_WRITE):
        raise MemoryError(f"no memory for {size} bytes")
    memory = (ctypes.c_uint8 * whole).from_address(address + GAP)
    ctypes.memset(memory, POISON, whole)
    found = np.frombuffer(memoryview(memory), np.uint8)[RED_ZONE : RED_ZONE + size].view(kind)[
        :count
    ]
    return found.reshape(shape)


def poison(tensor: np.ndarray) -> None:
    """Make a tensor what it was before anything was written to it, and what is beside it."""
    body = -(-max(1, tensor.nbytes) // PAGE) * PAGE
    start = tensor.__array_interface__["data"][0]
    ctypes.memset(start - RED_ZONE, POISON, RED_ZONE + body + RED_ZONE)


class Slot:
    """A tensor: the array is what the kernel reads and writes."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.array = guarded(shape, dtype)
        self.tensor = tvm.runtime.from_dlpack(self.array)

    def push(self) -> None:
        """Do nothing: a kernel of a CPU reads the array itself."""

    def pull(self) -> None:
        """Do nothing: it writes to it, too."""

    def poison(self) -> None:
        """Make it what it was before anything was written to it."""
        poison(self.array)


_ALLOCATE = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int
)
_FREE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_free: dict[int, list[int]] = {}
_held: dict[int, int] = {}


@_ALLOCATE
def _allocate(_device: int, _id: int, size: int, _code: int, _bits: int) -> int | None:
    if not _free.get(size):
        try:
            buffer = guarded((size,), "uint8")
        except MemoryError:
            return None
        _kept.append(buffer)
        _free.setdefault(size, []).append(buffer.__array_interface__["data"][0])
    address = _free[size].pop()
    body = -(-max(1, size) // PAGE) * PAGE
    ctypes.memset(address - RED_ZONE, POISON, RED_ZONE + body + RED_ZONE)
    _held[address] = size
    return address


@_FREE
def _release(_device: int, _id: int, address: int | None) -> int:
    size = _held.pop(address or 0, None)
    if size is None or address is None:
        return -1
    _free[size].append(address)
    return 0


def guard_temporaries(library: str) -> None:
    """Have a loaded kernel take its temporary buffers from here."""
    handle = ctypes.CDLL(library)
    for name, function in (
        ("__TVMBackendAllocWorkspace", _allocate),
        ("__TVMBackendFreeWorkspace", _release),
    ):
        try:
            pointer = ctypes.c_void_p.in_dll(handle, name)
        except ValueError:  # it has no temporary buffers
            continue
        pointer.value = ctypes.cast(function, ctypes.c_void_p).value
