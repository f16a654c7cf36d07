"""Floating-point arithmetic of a kernel; index arithmetic is another family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm.ir.prim import Add, Div, Max, Min, Mul, Sub

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import is_float


@operator(
    "add_to_sub",
    category="kernel-arithmetic",
    on=Add,
    groups=["default"],
    example=lambda x, y: (x + y, x - y),
)
def add_to_sub(node: Any) -> Iterator[Any]:
    """Subtract where the kernel adds."""
    if is_float(node):
        yield Sub(node.a, node.b)


@operator(
    "mul_to_div",
    category="kernel-arithmetic",
    on=Mul,
    groups=["default"],
    example=lambda x, y: (x * y, x / y),
)
def mul_to_div(node: Any) -> Iterator[Any]:
    """Divide where the kernel multiplies."""
    if is_float(node):
        yield Div(node.a, node.b)


@operator(
    "max_to_min",
    category="kernel-arithmetic",
    on=Max,
    groups=["default"],
    example=lambda x, y: (Max(x, y), Min(x, y)),
)
def max_to_min(node: Any) -> Iterator[Any]:
    """Take the smaller of two values instead of the larger: a ReLU keeps the negatives."""
    if is_float(node):
        yield Min(node.a, node.b)
