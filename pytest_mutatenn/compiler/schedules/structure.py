"""Questions about a kernel's form, asked before it is scheduled.

A mutant may have moved a loop's bound, a store's index or a block's read of its own result. The
schedule primitives take such things on trust and then move or drop the fault, or read what was
not computed; so a kernel that is not plainly regular is not scheduled at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tvm import tirx
from tvm.ir import prim
from tvm.ir.expr import TensorLoad
from tvm.s_tir import SBlock, SBlockRealize
from tvm.tirx import IterVar, PrimFunc
from tvm_ffi.structural import structural_walk

__all__ = ["is_regular", "loads_of", "nests_of", "reads_own_element"]


def is_regular(func: PrimFunc) -> bool:
    """Tell whether each block of a kernel computes each element of its result exactly once.

    That is: every loop runs over the whole domain of one axis of its block, every element is
    stored where its spatial axes say, and a reduction reads back only the element it writes.
    """
    root = func.body
    if not isinstance(root, SBlockRealize) or root.block.match_buffers:
        return False
    nests = list(nests_of(func))
    return bool(nests) and all(
        realize is not None and _is_regular_nest(loops, realize) for loops, realize in nests
    )


def nests_of(func: PrimFunc) -> Iterator[tuple[tuple[tirx.For, ...], SBlockRealize | None]]:
    """Yield the blocks of a kernel with the loops around each; None for anything else."""
    yield from _nests(func.body.block.body, ())


def _nests(
    statement: Any, loops: tuple[tirx.For, ...]
) -> Iterator[tuple[tuple[tirx.For, ...], SBlockRealize | None]]:
    """Yield the blocks below the root with the loops around each; None for anything else."""
    if isinstance(statement, tirx.SeqStmt):
        for part in statement.seq:
            yield from _nests(part, loops)
    elif isinstance(statement, tirx.For):
        yield from _nests(statement.body, (*loops, statement))
    else:
        yield loops, statement if isinstance(statement, SBlockRealize) else None


def _is_number(expr: Any, number: int) -> bool:
    return isinstance(expr, prim.IntImm) and int(expr) == number


def _same_extent(first: Any, second: Any) -> bool:
    return (
        isinstance(first, prim.IntImm)
        and isinstance(second, prim.IntImm)
        and int(first) == int(second)
    )


def _is_regular_nest(loops: Sequence[tirx.For], realize: SBlockRealize) -> bool:
    block: SBlock = realize.block
    if not _is_number(realize.predicate, 1) or len(loops) != len(block.iter_vars):
        return False
    for loop, axis, value in zip(loops, block.iter_vars, realize.iter_values, strict=True):
        if not loop.loop_var.same_as(value) or loop.kind != tirx.ForKind.SERIAL:
            return False
        if not (_is_number(loop.min, 0) and _is_number(axis.dom.min, 0)):
            return False
        if not _same_extent(loop.extent, axis.dom.extent) or loop.step is not None:
            return False
    return _is_regular_store(block)


def _is_regular_store(block: SBlock) -> bool:
    store = block.body
    if not isinstance(store, tirx.BufferStore):
        return False
    spatial = [axis for axis in block.iter_vars if int(axis.iter_type) == IterVar.DataPar]
    if len(spatial) != len(store.indices):
        return False
    for axis, index, extent in zip(spatial, store.indices, store.buffer.shape, strict=True):
        if not axis.var.same_as(index) or not _same_extent(axis.dom.extent, extent):
            return False
    for load in loads_of(store.value, store.buffer):
        if not all(a.same_as(b) for a, b in zip(load.indices, store.indices, strict=True)):
            return False
    if block.init is None:
        return len(spatial) == len(block.iter_vars)
    return isinstance(block.init, tirx.BufferStore) and all(
        a.same_as(b) for a, b in zip(block.init.indices, store.indices, strict=True)
    )


def loads_of(expr: Any, buffer: Any) -> list[TensorLoad]:
    """Return every load from `buffer` in an expression."""
    loads: list[TensorLoad] = []

    def collect(load: TensorLoad) -> None:
        if load.source.same_as(buffer):
            loads.append(load)

    structural_walk(expr, [((TensorLoad,), collect)])
    return loads


def reads_own_element(block: SBlock, buffer: Any) -> bool:
    """Tell whether a block reads of `buffer` just the element at its own axes, in their order.

    A block that is wider than the buffer, as what pads it, is none: it has elements that no tile
    of the buffer leads to.
    """
    loads = loads_of(block.body.value, buffer)
    axes = [axis.var for axis in block.iter_vars]
    if any(
        not isinstance(axis.dom.extent, prim.IntImm) or int(axis.dom.extent) > int(extent)
        for axis, extent in zip(block.iter_vars, buffer.shape, strict=False)
    ):
        return False
    return bool(loads) and all(
        len(load.indices) == len(axes)
        and all(
            index.same_as(axis) or (_is_number(index, 0) and _is_number(extent, 1))
            for index, axis, extent in zip(load.indices, axes, buffer.shape, strict=True)
        )
        for load in loads
    )
