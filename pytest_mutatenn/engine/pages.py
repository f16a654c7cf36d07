"""Large pages, so that a process is cheaper to fork."""

from __future__ import annotations

import ctypes
import re

_MADV_COLLAPSE = 25  # Linux 6.1
_LARGE = 2 << 20
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?\n")


def use_large_pages() -> int:
    """Lay the memory that this process has written in pages of 2 MiB, as far as the system can.

    A fork copies the table of all pages, which is most of its cost: a page of 2 MiB is one entry
    of that table where small ones are 512. They part again where a child writes, and only there.

    Returns
    -------
    int
        How many large pages there are; 0 where the system has none, which costs time, no more.
    """
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    try:
        with open("/proc/self/maps") as file:  # noqa: PTH123
            mappings = _MAPPING.findall(file.read())
    except OSError:
        return 0
    done = 0
    for first, last in mappings:
        start, end = -(-int(first, 16) // _LARGE) * _LARGE, int(last, 16) // _LARGE * _LARGE
        # one by one: a range that has a page without memory is refused as a whole
        for address in range(start, end, _LARGE):
            done += libc.madvise(address, _LARGE, _MADV_COLLAPSE) == 0
    return done
