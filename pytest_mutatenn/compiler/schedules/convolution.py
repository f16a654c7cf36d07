"""Convolutions and matrix products on packed weights: one register tile at a time."""

from __future__ import annotations

from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.packing import BLOCKED, COLUMNS, LANES
from pytest_mutatenn.compiler.schedules.base import Block, Kernel, Loop
from pytest_mutatenn.compiler.schedules.elementwise import spread

__all__ = ["convolution"]

_MIN_ROWS = 8
"""Rows from which on each is a task of its own, where a padded result is cut."""


def convolution(func: PrimFunc) -> Kernel | None:
    """Schedule a kernel whose one reduction is called ``conv`` or ``dense``.

    The nest: blocks of output channels and rows outside, in parallel; tiles of columns; the
    reduction; and inside it `columns` unrolled by `lanes` vectorised multiply-adds, whose sums
    stay in registers. The padded rows are made where they are used, the epilogue runs on each
    tile while it is warm. A result of more columns or channels than the output goes to a buffer of
    one row first, and the epilogue cuts it out of that; where there are few rows, out of the whole.
    """
    kernel = Kernel(func)
    block = kernel.only_reduction()
    if block is None or kernel.name(block) not in ("conv", "dense"):
        return None
    lanes, columns = kernel.annotation(block, LANES), kernel.annotation(block, COLUMNS)
    blocked = kernel.annotation(block, BLOCKED)
    padding = {kernel.name(producer) for producer in kernel.producers(block)}
    kernel.inline(lambda candidate: kernel.name(candidate) not in padding)
    schedule = kernel.schedule
    spatial, reduction = kernel.loops(block)
    work = kernel.work([*spatial, *reduction])

    if blocked:
        readers = schedule.get_consumers(block)
        tail = schedule.cache_write(block, 0, "local")
        *rows, channel_block, lane = spatial
    else:
        readers = []
        tail = kernel.tail(block)
        *rows, channels = spatial
        channel_block, lane = schedule.split(channels, [None, lanes])
    if tail is None:
        return None
    tiles, column = schedule.split(rows[-1], [None, columns])
    # of several groups of several blocks, TVM does not see which row needs which
    cuts = blocked == 1 or kernel.extent(channel_block) == blocked
    by_row = blocked and cuts and kernel.work(rows[:-1]) >= _MIN_ROWS
    outer = [*rows[:-1], channel_block] if by_row else [channel_block, *rows[:-1]]
    schedule.reorder(*outer, tiles, *reduction, column, lane)
    if by_row:
        task, place = schedule.fuse(*rows[:-1]), tiles
    elif len(reduction) == 1:
        task = place = schedule.fuse(*outer, tiles)
    else:
        task, place = schedule.fuse(*outer), tiles

    if blocked:
        schedule.reverse_compute_at(tail, place, preserve_unit_loops=True)
        *_, row, _, inner = schedule.get_loops(tail)
        kernel.vectorise(inner)
        schedule.unroll(row)
        for reader in readers:
            if by_row:
                _cut(kernel, reader, task, blocked)
            else:
                # cut out of its blocks in a pass of its own: a tile may straddle the cut
                spread(kernel, reader, vectorised=False)
    else:
        kernel.attach_tail(block, tail, place)
    kernel.place_padding(padding, task)
    kernel.parallelise(task, work)
    schedule.unroll(column)
    kernel.vectorise(lane)
    schedule.decompose_reduction(block, reduction[0])
    return kernel


def _cut(kernel: Kernel, reader: Block, task: Loop, groups: int) -> None:
    """Cut each row out of its blocks as soon as it is done, group by group."""
    schedule = kernel.schedule
    schedule.reverse_compute_at(reader, task, preserve_unit_loops=True)
    channels = schedule.get_loops(reader)[-1]
    if kernel.extent(channels) % groups == 0:
        _, channels = schedule.split(channels, [groups, None])
    kernel.vectorise(channels, least=2)
