"""Any kernel on a GPU: each of its loop nests a launch, its iterations apart where they may be.

This is what runs where no rule applies, and below the opt level at which kernels are scheduled at
all. A mutant's nest may read what it wrote in an earlier iteration, or write out of line; its
iterations then stay in their order, on one thread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tvm import tirx
from tvm.ir import Range, prim
from tvm.ir.expr import Var
from tvm.s_tir import SBlockRealize, ScheduleError
from tvm.target import Target
from tvm.tirx import BufferStore, ForKind, IterVar, PrimFunc

from pytest_mutatenn.compiler.schedules.base import Kernel, Loop
from pytest_mutatenn.compiler.schedules.structure import (
    loads_of,
    nests_in,
    parts_of,
    with_parts,
)

__all__ = ["bind_nests", "bind_threads", "thread_limit"]

_THREADS = 256
_THREAD_INDEX = 1  # the type of an axis that is bound to threads


def thread_limit(target: Target | None = None) -> int:
    """How many threads a work group is given on a target, the current one by default."""
    target = target or Target.current(allow_none=True)
    allowed = target.attrs.get("max_num_threads", _THREADS) if target is not None else _THREADS
    return min(_THREADS, int(allowed))


def bind_threads(kernel: Kernel, loops: Sequence[Loop], threads: int) -> Loop:
    """Fuse loops and bind them: the inner part to threads, the outer to work groups.

    Returns
    -------
    Loop
        The one bound to threads.
    """
    schedule = kernel.schedule
    whole = schedule.fuse(*loops) if len(loops) > 1 else loops[0]
    groups, thread = schedule.split(whole, [None, min(threads, kernel.extent(whole))])
    schedule.bind(groups, "blockIdx.x")
    schedule.bind(thread, "threadIdx.x")
    return thread


def bind_nests(func: PrimFunc, target: Target) -> PrimFunc:
    """Bind each loop nest of a kernel to threads, whatever the kernel is.

    Returns
    -------
    PrimFunc
        It computes the same, bit for bit.
    """
    parts = list(parts_of(func))
    apart = {}
    blocks = 0
    for number, part in enumerate(parts):
        nests = list(nests_in(part))
        if len(nests) == 1 and nests[0][1] is not None:
            found = _independent(nests[0][0], nests[0][1])
            if found:
                apart[number] = (blocks, found)
        blocks += sum(realize is not None for _, realize in nests)
    while True:
        kernel = Kernel(func)
        refused = _bind(kernel, apart, thread_limit(target))
        if refused is None:
            return _in_order(kernel.func, set(range(len(parts))) - set(apart))
        # a primitive that fails may have changed the kernel: what is left of it is not used
        del apart[refused]


def _bind(kernel: Kernel, apart: Mapping[int, tuple[int, set[int]]], threads: int) -> int | None:
    """Bind loops of some nests, each given by its block; give the number of one TVM refuses."""
    schedule = kernel.schedule
    blocks = kernel.blocks()
    for number, (block, loops) in apart.items():
        handles = schedule.get_loops(blocks[block])
        chosen = [handle for i, handle in enumerate(handles) if i in loops]
        rest = [handle for i, handle in enumerate(handles) if i not in loops]
        try:
            if handles[: len(chosen)] != chosen:
                schedule.reorder(*chosen, *rest)
            bind_threads(kernel, chosen, threads)
        except ScheduleError:
            return number
    return None


def _independent(loops: Sequence[tirx.For], realize: SBlockRealize) -> set[int]:
    """Numbers of the loops whose iterations neither see nor overwrite each other's results.

    Each of them chooses a dimension of what is stored, and stays inside that dimension; and what
    the nest reads of its own result, it reads at the same place.
    """
    block = realize.block
    store = block.body
    if not isinstance(store, BufferStore) or block.match_buffers or block.alloc_buffers:
        return set()
    if not _is_integer(realize.predicate, 1):
        return set()
    loops_chosen = set()
    for index, extent in zip(store.indices, store.buffer.shape, strict=True):
        if isinstance(index, prim.IntImm) and 0 <= int(index) < int(extent):
            continue
        number = _loop_of(index, loops, realize)
        if number is None or not _is_inside(loops[number], extent):
            return set()
        loops_chosen.add(number)
    if block.init is not None:
        if not isinstance(block.init, BufferStore) or not block.init.buffer.same_as(store.buffer):
            return set()
        if not _same_place(block.init.indices, store.indices):
            return set()
    for load in loads_of(store.value, store.buffer):
        if not _same_place(load.indices, store.indices):
            return set()
    return loops_chosen


def _loop_of(index: Any, loops: Sequence[tirx.For], realize: SBlockRealize) -> int | None:
    """The loop whose variable, as an axis of the block, an index is."""
    for axis, value in zip(realize.block.iter_vars, realize.iter_values, strict=True):
        if axis.var.same_as(index):
            for number, loop in enumerate(loops):
                if loop.loop_var.same_as(value):
                    return number
    return None


def _is_inside(loop: tirx.For, extent: Any) -> bool:
    return (
        _is_integer(loop.min, 0)
        and loop.kind == ForKind.SERIAL
        and loop.step is None
        and isinstance(loop.extent, prim.IntImm)
        and 0 < int(loop.extent) <= int(extent)
    )


def _is_integer(expr: Any, number: int) -> bool:
    return isinstance(expr, prim.IntImm) and int(expr) == number


def _same_place(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    return all(a.same_as(b) for a, b in zip(ours, theirs, strict=True))


def _in_order(func: PrimFunc, numbers: Collection[int]) -> PrimFunc:
    """Put some of a kernel's parts on one thread each."""
    if not numbers:
        return func
    parts = parts_of(func)
    return with_parts(
        func, [_on_one_thread(part) if i in numbers else part for i, part in enumerate(parts)]
    )


def _on_one_thread(body: Any) -> Any:
    for tag in ("threadIdx.x", "blockIdx.x"):
        zero, one = tirx.const(0, "int32"), tirx.const(1, "int32")
        axis = IterVar(Range(zero, one), Var(tag, "int32"), _THREAD_INDEX, tag)
        body = tirx.For(Var(tag, "int32"), zero, one, ForKind.THREAD_BINDING, body, axis)
    return body
