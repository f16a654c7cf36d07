"""Every other reduction: pooling, means, and convolutions whose weights are not packed."""

from __future__ import annotations

from tvm.ir import Call, Var
from tvm.tirx import PrimFunc
from tvm_ffi.structural import structural_walk

from pytest_mutatenn.compiler.schedules.base import Block, Kernel
from pytest_mutatenn.compiler.tiling import divisors

__all__ = ["reduction"]

_MAX_LANES = 64
_MAX_ACCUMULATORS = 256
_MAX_ROWS = 4


def reduction(func: PrimFunc) -> Kernel | None:
    """Schedule a kernel with one reduction and at least one spatial axis.

    The last spatial axis goes inside the reduction, vectorised, its sums in registers. A
    reduction of three axes (a convolution) also takes some channels inside, for each vector of
    its input then serves them all.
    """
    kernel = Kernel(func)
    block = kernel.only_reduction()
    if block is None:
        return None
    producers = kernel.producers(block)
    padding = {kernel.name(p) for p in producers if _selects_on_last_axis(kernel, p)}
    kernel.inline(lambda candidate: kernel.name(candidate) not in padding)
    spatial, reduced = kernel.loops(block)
    if not spatial:
        return None
    schedule = kernel.schedule
    work = kernel.work([*spatial, *reduced])
    tail = kernel.tail(block)
    if tail is None:
        return None

    *outer, last = spatial
    lanes = max(divisors(kernel.extent(last), _MAX_LANES))
    rows = []
    if len(reduced) >= 3 and len(outer) >= 2:
        limit = min(_MAX_ROWS if lanes >= _MAX_ROWS else 2 * _MAX_ROWS, _MAX_ACCUMULATORS // lanes)
        channels, channel = schedule.split(
            outer[1], [None, max(divisors(kernel.extent(outer[1]), limit))]
        )
        outer[1], rows = channels, [channel]
    tiles, lane = schedule.split(last, [None, lanes])
    schedule.reorder(*outer, tiles, *reduced, *rows, lane)
    task = schedule.fuse(*outer, tiles)

    kernel.attach_tail(block, tail, task)
    # what is not a packed convolution does a quarter as much in the same time
    kernel.parallelise(task, 4 * work)
    kernel.vectorise(lane)
    for loop in rows:
        schedule.unroll(loop)
    schedule.decompose_reduction(block, reduced[0])
    return kernel


def _selects_on_last_axis(kernel: Kernel, block: Block) -> bool:
    """Tell whether a block chooses by its last axis what it reads, as padding in NCHW does.

    Inlined, such a choice would turn every vector load into a loop over its lanes.
    """
    definition = kernel.schedule.get(block)
    last = definition.iter_vars[-1].var
    found = False

    def look(call: Call) -> None:
        nonlocal found
        if getattr(call.op, "name", "").endswith("if_then_else"):
            structural_walk(call.args[0], [((Var,), notice)])

    def notice(var: Var) -> None:
        nonlocal found
        found = found or var.same_as(last)

    structural_walk(definition.body, [((Call,), look)])
    return found
