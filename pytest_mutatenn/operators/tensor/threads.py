"""What a GPU kernel's threads are told: how many they are, and when to wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.tirx import AttrStmt, Evaluate, IterVar

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, literal
from pytest_mutatenn.operators.tensor.places import function_of

_NOTHING: Any = Evaluate(tirx.const(0, "int32"))
_THREAD: Any = IterVar((0, 64), "thread", IterVar.ThreadIndex, "threadIdx.x")
_BARRIER: Any = Evaluate(tirx.call_intrin("int32", "tirx.tvm_storage_sync", "shared"))


def _launch(extent: int) -> Any:
    return AttrStmt(_THREAD, "thread_extent", tirx.const(extent, "int32"), _NOTHING)


@operator(
    "thread_extent",
    category="stores",
    on=AttrStmt,
    stages=["device"],
    example=lambda: (_launch(64), _launch(32)),
)
def thread_extent(node: Any) -> Iterator[Any]:
    """Launch half the threads, or half the blocks (MutateNN's change_block)."""
    extent = literal(node.value)
    if node.attr_key == "thread_extent" and extent is not None and extent > 1:
        yield AttrStmt(node.node, node.attr_key, constant(extent // 2, node.value), node.body)


@operator(
    "drop_sync",
    category="stores",
    on=Evaluate,
    stages=["device"],
    groups=["default"],
    example=lambda: (_BARRIER, _NOTHING),
)
def drop_sync(node: Any) -> Iterator[Any]:
    """Leave a barrier out: threads read what others may not have written yet, a data race."""
    if function_of(node.value) == "tvm_storage_sync":
        yield _NOTHING
