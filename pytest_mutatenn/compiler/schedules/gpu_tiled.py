"""Convolutions and products of matrices: a thread keeps a few channels of one pixel in registers.

No memory is shared and no barrier needed, so that the rule is right on any device, and fast on a
CPU, whose OpenCL driver runs the threads of a group as one vectorised loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm.ir.expr import TensorLoad, Var
from tvm.s_tir import SBlock
from tvm.tirx import PrimFunc
from tvm_ffi.structural import structural_walk

from pytest_mutatenn.compiler.schedules.base import Kernel
from pytest_mutatenn.compiler.schedules.gpu_bound import thread_limit
from pytest_mutatenn.compiler.schedules.gpu_direct import start_before
from pytest_mutatenn.compiler.tiling import divisors

__all__ = ["tiled"]

_CHANNELS = 4  # sums that a thread keeps
_FEW_PIXELS = 16
_FEW_THREADS = 32
_UNROLLED = 3  # turns of a loop over a window that are written out


def tiled(func: PrimFunc) -> Kernel | None:
    """Schedule a reduction over an image of NCHW, with what follows it.

    Of the pixels, a divisor of their number up to the limit of the target are the threads of a
    group; the channels, four at a time, are the groups. What a channel is multiplied with is
    the same for all threads; what a pixel brings is used for all channels of a thread. Where the
    weights have the channel of the image, as in a depthwise convolution, a thread has one channel.
    """
    kernel = Kernel(func)
    schedule = kernel.schedule
    kernel.inline()
    block = kernel.only_reduction()
    if block is None or len(kernel.blocks()) > 2 or kernel.producers(block):
        return None
    spatial, reduction = kernel.loops(block)
    if len(spatial) != 4 or not reduction:
        return None
    pixels = kernel.extent(spatial[2]) * kernel.extent(spatial[3])
    if pixels < _FEW_PIXELS:
        return None
    shares = _reads_without(schedule.get(block), channel=1, pixels=(2, 3))
    tail = kernel.tail(block)
    if tail is None:
        return None

    batch, channel, row, column = schedule.get_loops(tail)
    pixel = schedule.fuse(row, column)
    limit = thread_limit()
    threads = max(divisors(pixels, limit))
    if threads < _FEW_THREADS:
        threads = min(limit, pixels)
    count = max(divisors(kernel.extent(channel), _CHANNELS)) if shares else 1
    outer, inner = schedule.split(channel, [None, count])
    groups, thread = schedule.split(pixel, [None, threads])
    schedule.reorder(batch, outer, groups, thread, inner)
    schedule.bind(schedule.fuse(batch, outer), "blockIdx.y")
    schedule.bind(groups, "blockIdx.x")
    schedule.bind(thread, "threadIdx.x")
    schedule.compute_at(block, thread, preserve_unit_loops=True)
    schedule.set_scope(block, 0, "local")

    axes = schedule.get(block).iter_vars
    pairs = list(zip(schedule.get_loops(block)[-len(axes) :], axes, strict=True))
    apart = [loop for loop, axis in pairs if not kernel.is_reduced(axis)]
    summed = [loop for loop, axis in pairs if kernel.is_reduced(axis)]
    schedule.reorder(*summed, *apart)
    schedule.unroll(apart[1])
    for loop in summed:
        if kernel.extent(loop) <= _UNROLLED:
            schedule.unroll(loop)
    start_before(kernel, block, summed[0])
    return kernel


def _reads_without(block: SBlock, channel: int, pixels: Sequence[int]) -> bool:
    """Tell whether something is read for all channels, and something else for all pixels."""
    axes = [axis.var for axis in block.iter_vars]
    of_load: list[set[int]] = []

    def collect(load: TensorLoad) -> None:
        if load.source.same_as(block.body.buffer):
            return
        seen: set[int] = set()

        def note(var: Any) -> None:
            seen.update(i for i, axis in enumerate(axes) if axis.same_as(var))

        for index in load.indices:
            structural_walk(index, [((Var,), note)])
        of_load.append(seen)

    structural_walk(block.body.value, [((TensorLoad,), collect)])
    return any(channel not in seen for seen in of_load) and any(
        not seen.intersection(pixels) for seen in of_load
    )
