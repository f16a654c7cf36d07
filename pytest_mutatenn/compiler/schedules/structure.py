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
from tvm_ffi.structural import structural_map, structural_walk

__all__ = [
    "is_regular",
    "loads_of",
    "nests_in",
    "nests_of",
    "parts_of",
    "reads_own_element",
    "with_parts",
    "without_dead_parts",
]


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


def parts_of(func: PrimFunc) -> list[Any]:
    """Return what a kernel does, one thing after another; its loop nests, as a rule."""
    body = func.body.block.body
    return list(body.seq) if isinstance(body, tirx.SeqStmt) else [body]


def with_parts(func: PrimFunc, parts: Sequence[Any], buffers: Any = None) -> PrimFunc:
    """Return the kernel with other parts, and with other intermediate buffers if given."""
    root = func.body
    block = _with(
        root.block,
        body=tirx.SeqStmt(list(parts)) if len(parts) > 1 else parts[0],
        alloc_buffers=root.block.alloc_buffers if buffers is None else buffers,
    )
    return func.with_body(SBlockRealize(root.iter_values, root.predicate, block))


_FIELDS = (
    *("iter_vars", "reads", "writes", "name_hint", "body", "init"),
    *("alloc_buffers", "match_buffers", "annotations"),
)


def _with(block: SBlock, **changed: Any) -> SBlock:
    """Return a block with other values of some fields."""
    fields = {name: getattr(block, name) for name in _FIELDS}
    return SBlock(**{**fields, **changed})


def without_dead_parts(func: PrimFunc) -> PrimFunc:
    """Return the kernel without the parts whose results nothing reads.

    A mutant may have such a part: a sum that lost an operand. Its buffer would become one of a
    single launch, and there is no memory of that kind that is large enough.
    """
    if not isinstance(func.body, SBlockRealize):
        return func
    parts = parts_of(func)
    own = list(func.body.block.alloc_buffers)
    while True:
        read = [_buffers(part, TensorLoad, "source") for part in parts]
        written = [_buffers(part, tirx.BufferStore, "buffer") for part in parts]
        dead = {
            number
            for number, stored in enumerate(written)
            if stored
            and all(_is_in(buffer, own) for buffer in stored)
            and not any(
                _is_in(buffer, loaded)
                for other, loaded in enumerate(read)
                if other != number
                for buffer in stored
            )
        }
        if not dead or len(dead) == len(parts):
            break
        parts = [part for number, part in enumerate(parts) if number not in dead]
    if len(parts) == len(parts_of(func)):
        return func
    used = [b for part in parts for b in _buffers(part, tirx.BufferStore, "buffer")]
    gone = [buffer for buffer in own if not _is_in(buffer, used)]
    kept = [buffer for buffer in own if _is_in(buffer, used)]
    return with_parts(func, [_without_regions(part, gone) for part in parts], kept)


def _without_regions(part: Any, gone: Sequence[Any]) -> Any:
    """A part whose blocks no longer say that they read buffers that are gone."""

    def renewed(block: SBlock) -> SBlock:
        reads = [region for region in block.reads if not _is_in(region.source, gone)]
        return _with(block, reads=reads) if len(reads) < len(block.reads) else block

    return structural_map(part, [(SBlock, renewed)])


def _buffers(part: Any, kind: type, name: str) -> list[Any]:
    found: list[Any] = []
    structural_walk(part, [((kind,), lambda node: found.append(getattr(node, name)))])
    return found


def _is_in(buffer: Any, buffers: Sequence[Any]) -> bool:
    return any(buffer.same_as(other) for other in buffers)


def nests_of(func: PrimFunc) -> Iterator[tuple[tuple[tirx.For, ...], SBlockRealize | None]]:
    """Yield the blocks of a kernel with the loops around each; None for anything else."""
    yield from nests_in(func.body.block.body)


def nests_in(part: Any) -> Iterator[tuple[tuple[tirx.For, ...], SBlockRealize | None]]:
    """Yield the blocks in a part of a kernel, as :func:`nests_of`."""
    yield from _nests(part, ())


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
