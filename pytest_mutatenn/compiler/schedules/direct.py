"""Convolutions on weights as they come: packed inside the kernel, one block of them a task."""

from __future__ import annotations

from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.schedules.base import Kernel
from pytest_mutatenn.compiler.schedules.elementwise import spread
from pytest_mutatenn.compiler.tiling import LANES, divisors, power_of_two_part, throughput

__all__ = ["direct_convolution"]

_MIN_LANES = 8


def direct_convolution(func: PrimFunc) -> Kernel | None:
    """Schedule a plain NCHW convolution, groups and depthwise apart.

    A task transposes the weights of its 8 to 32 output channels, so that they are the lanes,
    and uses them for the whole image. The sums of a few columns stay in registers; only the
    epilogue turns them back into NCHW.
    """
    kernel = Kernel(func)
    block = kernel.only_reduction()
    if block is None:
        return None
    definition = kernel.schedule.get(block)
    spatial, reduced = kernel.loops(block)
    if len(spatial) != 4 or len(reduced) != 3 or len(definition.reads) != 2:
        return None
    outputs, width = kernel.extent(spatial[1]), kernel.extent(spatial[3])
    expected = [outputs, *(kernel.extent(loop) for loop in reduced)]
    weights = [int(extent) for extent in definition.reads[1].source.shape]
    image = definition.reads[0].source.shape
    lanes = min(power_of_two_part(outputs), 2 * LANES)
    if lanes < _MIN_LANES or weights != expected or int(image[1]) != expected[1]:
        return None

    schedule = kernel.schedule
    padding = {kernel.name(producer) for producer in kernel.producers(block)}
    kernel.inline(lambda candidate: kernel.name(candidate) not in padding)
    tail = kernel.tail(block)
    if tail is None:
        return None
    vector = min(lanes, LANES)
    columns = max(divisors(width, 16), key=lambda count: throughput(lanes, count, vector))
    packed = schedule.cache_read(block, 1, "global")
    schedule.transform_layout(
        block, ("read", 1), lambda o, i, y, x: (o // lanes, i, y, x, o % lanes)
    )
    schedule.transform_layout(block, ("write", 0), lambda n, o, y, x: (n, y, x, o))

    work = kernel.work([*spatial, *reduced])
    batch, channels, row, column = spatial
    channel_block, lane = schedule.split(channels, [None, lanes])
    tiles, column = schedule.split(column, [None, columns])
    schedule.reorder(batch, channel_block, row, tiles, *reduced, column, lane)
    task = schedule.fuse(batch, channel_block)
    schedule.set_scope(block, 0, "local")
    schedule.reverse_compute_at(tail, tiles, preserve_unit_loops=True)
    schedule.compute_at(packed, task)
    for name in padding:
        spread(kernel, schedule.get_sblock(name), vectorised=False)
    kernel.parallelise(task, work)
    schedule.unroll(column)
    kernel.vectorise(lane)
    schedule.decompose_reduction(block, reduced[0])
    return kernel
