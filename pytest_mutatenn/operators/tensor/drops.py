"""Stores that are left out.

A store left out stores what its place holds already. That is a statement like any other to the
passes that follow, and none to the code generator. What was never written is whatever memory
holds there, which at run time is NaN on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import SBlock
from tvm.tirx import BufferStore, SeqStmt
from tvm_ffi import structural_equal
from tvm_ffi.structural import structural_map, structural_walk

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, literal
from pytest_mutatenn.operators.tensor.places import load_of, out, stored


def _left_out(node: Any) -> Any:
    return stored(node, load_of(node))


@operator(
    "drop_store",
    category="stores",
    on=BufferStore,
    example=lambda i, x: (BufferStore(out(), x, [i]), BufferStore(out(), out()[i], [i])),
)
def drop_store(node: Any) -> Iterator[Any]:
    """Leave a store out: its place keeps what it held (statement deletion, SDL)."""
    yield _left_out(node)


def _stores(statement: Any) -> list[Any]:
    found: list[Any] = []
    structural_walk(statement, [((BufferStore,), found.append)])
    return found


def _initialised(statement: Any) -> Any:
    """The buffer that the statement fills with literals and does nothing else; None otherwise."""
    stores = _stores(statement)
    if not stores or any(literal(store.value) is None for store in stores):
        return None
    buffer = stores[0].buffer
    return buffer if all(store.buffer.same_as(buffer) for store in stores) else None


def accumulates(store: Any) -> bool:
    """Whether a store's value is made of what its place held."""
    loads: list[Any] = []
    structural_walk(store.value, [((TensorLoad,), loads.append)])
    own = load_of(store)
    return any(structural_equal(load, own) for load in loads)


def _accumulated_in(buffer: Any, statement: Any) -> bool:
    stores = _stores(statement)
    return any(store.buffer.same_as(buffer) and accumulates(store) for store in stores)


def _without_stores(statement: Any) -> Any:
    return structural_map(statement, [(BufferStore, _left_out)])


def _sum(i: Any, x: Any) -> tuple[Any, Any]:
    init = BufferStore(out(), constant(0, x), [i])
    update = BufferStore(out(), out()[i] + x, [i])
    return SeqStmt([init, update]), SeqStmt([_left_out(init), update])


@operator("drop_init", category="stores", on=(SBlock, SeqStmt), groups=["default"], example=_sum)
def drop_init(node: Any) -> Iterator[Any]:
    """Leave a reduction's initial value out: it goes on from what memory holds.

    In a kernel of blocks that is a block's init. In a lowered one it is a statement that does
    nothing but fill a buffer with literals, before one that accumulates in that buffer.
    """
    if isinstance(node, SBlock):
        if node.init is not None:
            yield SBlock(
                node.iter_vars,
                node.reads,
                node.writes,
                node.name_hint,
                node.body,
                _without_stores(node.init),
                node.alloc_buffers,
                node.match_buffers,
                node.annotations,
            )
        return
    for number, statement in enumerate(node.seq):
        buffer = _initialised(statement)
        if buffer is None:
            continue
        if any(_accumulated_in(buffer, later) for later in list(node.seq)[number + 1 :]):
            parts = list(node.seq)
            parts[number] = _without_stores(statement)
            yield tirx.SeqStmt(parts)
