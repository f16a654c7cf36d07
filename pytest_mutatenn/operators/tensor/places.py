"""What operators share: the place that is stored to, the function called, example buffers."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.ir import Call

_OUT: Any = tirx.decl_buffer((8,), "float32", "out")
_GRID: Any = tirx.decl_buffer((8, 8), "float32", "grid")


def out() -> Any:
    """The buffer of the examples: eight numbers."""
    return _OUT


def grid() -> Any:
    """The buffer of two axes of the examples."""
    return _GRID


def stored(node: Any, value: Any) -> Any:
    """The store, of another value."""
    return tirx.BufferStore(node.buffer, value, node.indices)


def load_of(node: Any) -> Any:
    """What stands in the place that a store writes."""
    return tirx.BufferLoad(node.buffer, node.indices)


def function_of(node: Any) -> str:
    """The name of the function that a node calls, without its dialect; empty for no call."""
    if not isinstance(node, Call):
        return ""
    return str(getattr(node.op, "name", "")).rpartition(".")[2]
