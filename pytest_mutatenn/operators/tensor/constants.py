"""Numeric literals of a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.ir import Call
from tvm.ir.expr import TensorLoad
from tvm.ir.prim import FloatImm, IntImm, Select
from tvm_ffi.structural import structural_walk

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.choices import choice_of, is_guard
from pytest_mutatenn.operators.tensor.dtypes import constant, distinct, dtype_of, literal
from pytest_mutatenn.operators.tensor.places import out


def _becomes(node: Any, value: float) -> Iterator[Any]:
    if dtype_of(node) != "bool" and distinct(value, node):
        yield constant(value, node)


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
    yield from _becomes(node, node.value + 1)


@operator(
    "constant_to_zero",
    category="stores",
    on=(FloatImm, IntImm),
    within=["value", "condition"],
    groups=["default"],
    example=lambda: (tirx.const(6.0, "float32"), tirx.const(0.0, "float32")),
)
def constant_to_zero(node: Any) -> Iterator[Any]:
    """Make a literal of a stored value or a condition zero (PIT's CRCR)."""
    yield from _becomes(node, 0)


@operator(
    "constant_negated",
    category="stores",
    on=(FloatImm, IntImm),
    within=["value", "condition"],
    groups=["default"],
    example=lambda: (tirx.const(6.0, "float32"), tirx.const(-6.0, "float32")),
)
def constant_negated(node: Any) -> Iterator[Any]:
    """Turn the sign of a literal of a stored value or a condition (PIT's CRCR)."""
    yield from _becomes(node, -node.value)


def _padded(i: Any) -> tuple[Any, Any]:
    zero, one = tirx.const(0.0, "float32"), tirx.const(1.0, "float32")
    return tirx.if_then_else(i < 8, out()[i], zero), tirx.if_then_else(i < 8, out()[i], one)


@operator(
    "pad_value_nonzero",
    category="stores",
    on=(Call, Select),
    groups=["default"],
    example=_padded,
)
def pad_value_nonzero(node: Any) -> Iterator[Any]:
    """Pad with one: the literal that stands for what is outside a tensor.

    That is the branch of a choice that is guarded by comparisons of integers alone and whose
    other branch loads.
    """
    choice = choice_of(node)
    if choice is None or not is_guard(choice.condition):
        return
    for this, other in ((choice.otherwise, choice.then), (choice.then, choice.otherwise)):
        if literal(this) not in (None, 1) and _loads(other):
            one = constant(1, this)
            yield choice.made(
                then=one if this is choice.then else other,
                otherwise=one if this is choice.otherwise else other,
            )


def _loads(expression: Any) -> bool:
    found: list[Any] = []
    structural_walk(expression, [((TensorLoad,), found.append)])
    return bool(found)
