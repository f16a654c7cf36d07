"""Arrays in memory that other processes can map, and that nobody can change any more.

NumPy is imported by what makes arrays: a run that finds its answers in the store makes none.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SharedArrays", "SharedMemory", "View", "map_arrays"]

READ_ONLY = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_ALIGNMENT = mmap.PAGESIZE

View = tuple[str, str, tuple[int, ...], int]
"""Name, dtype, shape and start in bytes of an array in such memory."""


class SharedMemory:
    """Bytes behind a descriptor: written once, then sealed.

    Parameters
    ----------
    size : int
        In bytes.
    name : str
        Shown by the system's own tools.
    """

    def __init__(self, size: int, name: str) -> None:
        self.size = max(1, size)
        self.fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._finalizer = weakref.finalize(self, os.close, self.fd)
        os.ftruncate(self.fd, self.size)

    def seal(self) -> None:
        """Let nobody write it any more: not through the descriptor, and not through a mapping.

        Raises
        ------
        BlockingIOError
            If it is still mapped to be written, here or elsewhere.
        """
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, READ_ONLY)

    def close(self) -> None:
        """Give it back; what is mapped stays until it is unmapped."""
        self._finalizer()


class SharedArrays(Mapping[str, "np.ndarray"]):
    """Read-only arrays by name, in sealed memory that another process maps by its descriptor.

    They are in memory once, whoever maps them. What writes them is done before anyone can see
    them.

    Parameters
    ----------
    specs : mapping of str to (shape, dtype)
        The arrays.
    fill : callable
        Is given the arrays by name, zeroed, and writes them. It must keep none of them.

    Attributes
    ----------
    memory : SharedMemory
        Where they lie.
    views : tuple of View
        Where in it each lies; with :func:`map_arrays` another process finds them.
    """

    def __init__(
        self,
        specs: Mapping[str, tuple[Sequence[int], Any]],
        fill: Callable[[dict[str, np.ndarray]], None],
    ) -> None:
        import numpy as np

        views: list[View] = []
        end = 0
        for name, (shape, dtype) in specs.items():
            kind = np.dtype(dtype)
            views.append((name, str(kind), tuple(shape), end))
            size = math.prod(shape) * kind.itemsize
            end += -(-size // _ALIGNMENT) * _ALIGNMENT
        self.views = tuple(views)
        self.memory = SharedMemory(end, "mutatenn-inputs")
        writing = mmap.mmap(self.memory.fd, self.memory.size)
        arrays = _arrays(writing, self.views)
        fill(arrays)
        arrays.clear()
        writing.close()
        self.memory.seal()
        self._arrays = map_arrays(self.memory.fd, self.views)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def map_arrays(fd: int, views: Sequence[Sequence[Any]]) -> dict[str, np.ndarray]:
    """Map arrays to be read.

    Parameters
    ----------
    fd
        Descriptor of the memory; it can be closed afterwards.
    views
        The attribute of :class:`SharedArrays`, perhaps by way of JSON.
    """
    memory = mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ)
    return _arrays(memory, views)


def _arrays(memory: mmap.mmap, views: Sequence[Sequence[Any]]) -> dict[str, np.ndarray]:
    import numpy as np

    return {
        name: np.frombuffer(memory, np.dtype(dtype), math.prod(shape), start).reshape(shape)
        for name, dtype, shape, start in views
    }
