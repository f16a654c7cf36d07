"""Tensors for kernels that may be wrong.

Every tensor lies in a mapping of its own: poison around it, and beyond the poison a page that
cannot be touched. A kernel that reads a little past a tensor reads the same poison (NaN, in
floating point) on every run; one that strays further dies of it at once. What a kernel has not
written yet is poison too. So a mutant that leaves its buffers behaves the same on every run.
"""

from __future__ import annotations

import ctypes
import math
import mmap
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
    mapping = mmap.mmap(-1, _PAGE + _RED_ZONE + body + _RED_ZONE + _PAGE)
    whole = np.frombuffer(mapping, np.uint8)
    whole[_PAGE:-_PAGE] = _POISON
    start = whole.ctypes.data
    for edge in (start, start + len(mapping) - _PAGE):
        # a kernel that protects nothing still has the poison
        _libc.mprotect(ctypes.c_void_p(edge), ctypes.c_size_t(_PAGE), _NO_ACCESS)
    first = _PAGE + _RED_ZONE
    return whole[first : first + size].view(kind)[: math.prod(shape)].reshape(shape)


def guarded_copy(array: np.ndarray) -> np.ndarray:
    """Copy an array to a guarded tensor."""
    tensor = guarded(array.shape, array.dtype.str)
    tensor[...] = array
    return tensor


def as_tensor(array: np.ndarray) -> Any:
    """The same memory as a TVM tensor, for kernels to read and write."""
    import tvm

    return tvm.runtime.from_dlpack(array)
