"""Kernels without a reduction: activations, additions, transposes, packing of weights."""

from __future__ import annotations

from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.schedules.base import Block, Kernel
from pytest_mutatenn.compiler.tiling import power_of_two_part

__all__ = ["elementwise", "spread"]

_MAX_LANES = 32
_PARALLEL_ELEMENTS = 100_000
_ENOUGH_TASKS = 8


def elementwise(func: PrimFunc) -> Kernel | None:
    """Schedule a kernel without a reduction: everything inlined into one nest."""
    kernel = Kernel(func)
    if any(kernel.is_reduction(block) for block in kernel.blocks()):
        return None
    kernel.inline()
    for block in kernel.blocks():
        spread(kernel, block)
    return kernel


def spread(kernel: Kernel, block: Block, vectorised: bool = True) -> None:
    """Vectorise inside a block's last axis and run its outer axes in parallel.

    All axes fused first would be simpler; the divisions and remainders that brings turn vector
    loads into gathers, slow to compile and to run.
    """
    schedule = kernel.schedule
    loops = list(schedule.get_loops(block))
    if not loops:
        return
    elements = kernel.work(loops)
    lanes = min(power_of_two_part(kernel.extent(loops[-1])), _MAX_LANES)
    if vectorised and lanes >= 4:
        loops[-1], lane = schedule.split(loops[-1], [None, lanes])
        schedule.vectorize(lane)
    if elements <= _PARALLEL_ELEMENTS or len(loops) == 1:
        return
    count = 1
    while count < len(loops) - 1 and kernel.work(loops[:count]) < _ENOUGH_TASKS:
        count += 1
    schedule.parallel(schedule.fuse(*loops[:count]) if count > 1 else loops[0])
