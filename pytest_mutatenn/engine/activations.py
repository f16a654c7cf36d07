"""Which of the baseline's tensors are kept, and where they lie."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

Layout = list[tuple[int, int, int]]
"""(step, output, start in bytes) of every kept tensor; the samples follow one another."""


def padded(size: int) -> int:
    """A size rounded up to the alignment that kernels ask of their tensors."""
    return -(-size // 64) * 64


def layout(
    steps: Sequence[Mapping[str, Any]], chosen: Sequence[int], count: int
) -> tuple[Layout, int]:
    """Lay out the outputs of the chosen steps, for a number of inputs; give the size in bytes."""
    offsets: Layout = []
    end = 0
    for index in chosen:
        for output, size in enumerate(steps[index]["sizes"]):
            offsets.append((index, output, end))
            end += padded(size) * count
    return offsets, max(end, 1)


def choose_steps(
    steps: Sequence[Mapping[str, Any]], seconds: Sequence[float], count: int, budget: int
) -> list[int]:
    """Choose the steps whose outputs are kept: all, or those that save most recomputation a byte.

    A mutant may change any step; to run it, what the step reads must be there, or be computed
    again from the nearest tensors that are. The choice greedily takes the tensor that most lowers
    the sum of these costs over all steps, for its size (gains only shrink as more is kept, so a
    heap of old gains, looked at again when they come up, finds the same as trying all).

    Parameters
    ----------
    steps
        As the zygote describes them: ``sizes`` in bytes, ``args``, ``constant``.
    seconds
        Time each step takes, for one input.
    count
        Number of inputs.
    budget
        In bytes, over all inputs.
    """
    free = [i for i, step in enumerate(steps) if not step["constant"]]
    size = {i: sum(padded(s) for s in steps[i]["sizes"]) * count for i in free}
    if sum(size.values()) <= budget:
        return free
    kept: set[int] = set()
    current = _cost(steps, seconds, free, kept)
    heap = [(-float("inf"), i) for i in free]
    heapq.heapify(heap)
    left = budget
    while heap:
        _, index = heapq.heappop(heap)
        if size[index] > left:
            continue
        cost = _cost(steps, seconds, free, kept | {index})
        gain = (current - cost) / max(1, size[index])
        if heap and -heap[0][0] > gain:
            heapq.heappush(heap, (-gain, index))
            continue
        if gain <= 0:
            continue
        kept.add(index)
        current, left = cost, left - size[index]
    return sorted(kept)


def _cost(
    steps: Sequence[Mapping[str, Any]],
    seconds: Sequence[float],
    free: Sequence[int],
    kept: set[int],
) -> float:
    """Time to make what each step reads, summed over the steps."""
    total = 0.0
    for index in free:
        seen: set[int] = set()
        wanted = [source for source, _ in steps[index]["args"]]
        while wanted:
            source = wanted.pop()
            if source in seen or source in kept or steps[source]["constant"]:
                continue
            seen.add(source)
            total += seconds[source]
            wanted.extend(before for before, _ in steps[source]["args"])
    return total
