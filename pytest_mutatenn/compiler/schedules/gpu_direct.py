"""One thread for one element of the output: its sum in a register, its epilogue in the thread."""

from __future__ import annotations

from contextlib import suppress

from tvm.s_tir import ScheduleError
from tvm.tirx import PrimFunc

from pytest_mutatenn.compiler.schedules.base import Block, Kernel, Loop
from pytest_mutatenn.compiler.schedules.gpu_bound import bind_threads, thread_limit

__all__ = ["one_thread_an_element"]


def one_thread_an_element(func: PrimFunc) -> Kernel:
    """Schedule any regular kernel without a barrier; what can be inlined is.

    A softmax is several launches so, one for each of its reductions and one for its quotients.
    """
    kernel = Kernel(func)
    kernel.inline()
    blocks = kernel.blocks()
    threads = thread_limit()
    if len(blocks) == 2 and kernel.is_reduction(blocks[0]) and not kernel.is_reduction(blocks[1]):
        tail = kernel.tail(blocks[0])
        if tail is not None:
            thread = bind_threads(kernel, kernel.schedule.get_loops(tail), threads)
            sum_in_thread(kernel, blocks[0], thread)
            return kernel
    for block in blocks:
        _bind(kernel, block, threads)
    return kernel


def sum_in_thread(kernel: Kernel, block: Block, thread: Loop) -> None:
    """Compute a reduction inside the thread that writes its result, in a register."""
    schedule = kernel.schedule
    schedule.compute_at(block, thread, preserve_unit_loops=True)
    schedule.set_scope(block, 0, "local")
    axes = schedule.get(block).iter_vars
    loops = schedule.get_loops(block)[-len(axes) :]
    summed = [loop for loop, axis in zip(loops, axes, strict=True) if kernel.is_reduced(axis)]
    start_before(kernel, block, summed[0])


def start_before(kernel: Kernel, block: Block, loop: Loop) -> None:
    """Set a sum to zero before its loops; where TVM cannot, inside them, in the first turn."""
    with suppress(ScheduleError):
        kernel.schedule.decompose_reduction(block, loop)


def _bind(kernel: Kernel, block: Block, threads: int) -> None:
    schedule = kernel.schedule
    spatial, reduction = kernel.loops(block)
    if not spatial:
        spatial = [schedule.add_unit_loop(schedule.get_loops(block)[0])]
    if not reduction:
        bind_threads(kernel, spatial, threads)
        return
    schedule.reorder(*spatial, *reduction)
    result = schedule.cache_write(block, 0, "local")
    thread = bind_threads(kernel, spatial, threads)
    schedule.reverse_compute_at(result, thread, preserve_unit_loops=True)
    start_before(kernel, block, reduction[0])
