"""Small questions about the types of TIR expressions."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import tirx
from tvm.ir.prim import Broadcast, FloatImm, IntImm


def dtype_of(node: Any) -> str:
    """The dtype of an expression, with its lanes: ``float32``, ``float32x16``, ``int64``."""
    return str(node.ty.dtype)


def is_float(node: Any) -> bool:
    """Whether an expression is floating-point arithmetic, of any width and lanes."""
    return dtype_of(node).startswith(("float", "bfloat"))


def is_integer(node: Any) -> bool:
    """Whether an expression is integer arithmetic, of any width and lanes."""
    return dtype_of(node).startswith(("int", "uint"))


def with_lanes(dtype: str, node: Any) -> str:
    """The scalar dtype widened to as many lanes as the expression has."""
    _, x, lanes = dtype_of(node).rpartition("x")
    return f"{dtype}x{lanes}" if x and lanes.isdigit() else dtype


def constant(value: float, node: Any) -> Any:
    """A literal of the type, and the lanes, of the expression."""
    return tirx.const(value, dtype_of(node))


def literal(node: Any) -> float | None:
    """The value of a numeric literal, or of all lanes of one; ``None`` for any other node."""
    if isinstance(node, Broadcast):
        node = node.value
    return node.value if isinstance(node, (FloatImm, IntImm)) else None


def distinct(value: float, node: Any) -> bool:
    """Whether a literal's type can hold another value, and tells it from the literal's own."""
    dtype = dtype_of(node)
    if is_float(node):
        kind = np.dtype(dtype if dtype in ("float16", "float64") else "float32").type
        with np.errstate(over="ignore"):
            new, old = kind(value), kind(node.value)
        return bool(np.isfinite(new) and new != old)
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max and value != node.value
