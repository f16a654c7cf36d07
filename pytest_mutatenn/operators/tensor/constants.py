"""Numeric literals of a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.ir.prim import FloatImm, IntImm

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, distinct, dtype_of


@operator(
    "constant_plus_one",
    category="stores",
    on=(FloatImm, IntImm),
    within=["value", "condition"],
    groups=["default"],
    example=lambda: (tirx.const(0.0, "float32"), tirx.const(1.0, "float32")),
)
def constant_plus_one(node: Any) -> Iterator[Any]:
    """Add one to a literal of a stored value or a condition (PIT's INLINE_CONSTS)."""
    if dtype_of(node) != "bool" and distinct(node.value + 1, node):
        yield constant(node.value + 1, node)
