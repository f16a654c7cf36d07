"""Tensors for kernels that may be wrong.

Every tensor lies in a mapping of its own: poison around it, and beyond the poison a page that
cannot be touched. A kernel that reads a little past a tensor reads the same poison (NaN, in
floating point) on every run; one that strays further dies of it at once. What a kernel has not
written yet is poison too. So a mutant that leaves its buffers behaves the same on every run.
The same holds for the buffers a kernel asks its runtime for (:func:`guard_workspace`).
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np

_PAGE = mmap.PAGESIZE
_RED_ZONE = 4 * _PAGE
_POISON = 0xFF  # NaN as float16, float32 and float64; -1 as a signed integer
_NO_ACCESS = 0

_libc = ctypes.CDLL(None, use_errno=True)


def guarded(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Allocate a tensor between poison and guard pages.

    Returns
    -------
    numpy.ndarray
        Filled with poison; C-contiguous, aligned to a page.
    """
    kind = np.dtype(dtype)
    size = max(1, math.prod(shape)) * kind.itemsize
    body = -(-size // _PAGE) * _PAGE
    # private: what a child writes, in weights say, is not to be seen by the process it comes from
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    mapping = mmap.mmap(-1, _PAGE + _RED_ZONE + body + _RED_ZONE + _PAGE, flags=flags)
    whole = np.frombuffer(mapping, np.uint8)
    whole[_PAGE:-_PAGE] = _POISON
    start = whole.ctypes.data
    for edge in (start, start + len(mapping) - _PAGE):
        # a kernel that protects nothing still has the poison
        _libc.mprotect(ctypes.c_void_p(edge), ctypes.c_size_t(_PAGE), _NO_ACCESS)
    first = _PAGE + _RED_ZONE
    return whole[first : first + size].view(kind)[: math.prod(shape)].reshape(shape)


def poison(tensor: np.ndarray) -> None:
    """Make a tensor what one is that has not been written."""
    tensor.reshape(-1).view(np.uint8).fill(_POISON)


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

_free: dict[int, list[np.ndarray]] = {}
_held: dict[int, np.ndarray] = {}


@_ALLOCATE
def _allocate(_device: int, _id: int, size: int, _code: int, _bits: int) -> int | None:
    try:
        waiting = _free.get(size)
        buffer = waiting.pop() if waiting else guarded((size,), "uint8")
    except (MemoryError, OSError, ValueError, OverflowError):
        return None  # the kernel reports it
    buffer.fill(_POISON)
    address = buffer.ctypes.data
    _held[address] = buffer
    return address


@_FREE
def _release(_device: int, _id: int, address: int | None) -> int:
    buffer = _held.pop(address or 0, None)
    if buffer is None:
        return -1
    _free.setdefault(buffer.size, []).append(buffer)
    return 0


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
