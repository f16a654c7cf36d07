"""Depthwise convolutions: channels are the lanes."""

from __future__ import annotations

from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.schedules.base import Kernel
from pytest_mutatenn.compiler.tiling import LANES, divisors, power_of_two_part

__all__ = ["depthwise"]

_MAX_COLUMNS = 8
_MAX_UNROLLED = 128


def depthwise(func: PrimFunc) -> Kernel | None:
    """Schedule a kernel whose one reduction is called ``dwconv``.

    A task is one vector of channels and 8 to 16 rows, with its padded halo copied once; inside
    it the window is unrolled over up to eight columns.
    """
    kernel = Kernel(func)
    block = kernel.only_reduction()
    if block is None or kernel.name(block) != "dwconv":
        return None
    padding = {kernel.name(producer) for producer in kernel.producers(block)}
    kernel.inline(lambda candidate: kernel.name(candidate) not in padding)
    schedule = kernel.schedule
    (batch, row, column, channel), window = kernel.loops(block)
    work = kernel.work(schedule.get_loops(block))
    tail = kernel.tail(block)
    if tail is None:
        return None

    lanes = min(power_of_two_part(kernel.extent(channel)), LANES)
    columns = max(divisors(kernel.extent(column), _MAX_COLUMNS))
    height = kernel.extent(row)
    rows = max(divisors(height, 8 if height >= 32 else 16))
    channel_block, lane = schedule.split(channel, [None, lanes])
    tiles, column = schedule.split(column, [None, columns])
    strips, row = schedule.split(row, [None, rows])
    schedule.reorder(batch, strips, channel_block, row, tiles, *window, column, lane)
    task = schedule.fuse(batch, strips, channel_block)

    kernel.attach_tail(block, tail, tiles)
    kernel.place_padding(padding, task)
    kernel.parallelise(task, work)
    kernel.vectorise(lane)
    schedule.unroll(column)
    unrolled = columns
    for loop in reversed(window):
        unrolled *= kernel.extent(loop)
        if unrolled <= _MAX_UNROLLED:
            schedule.unroll(loop)
    schedule.decompose_reduction(block, window[0])
    return kernel
