"""Many numbers as a short text: `0-3,7`."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ranges_of"]


def ranges_of(numbers: Iterable[int], each: int = 1) -> str:
    """Write sorted numbers as ranges, both ends inclusive; of none the text is empty.

    Parameters
    ----------
    numbers
        Not negative, ascending.
    each
        How many a number stands for: ``n`` for ``n * each`` to ``n * each + each - 1``.
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        start, end = int(number) * each, int(number) * each + each - 1
        if found and found[-1][1] == start - 1:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in found)
