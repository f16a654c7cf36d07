"""Floating-point arithmetic of a kernel; index arithmetic is another family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm.ir.prim import Add, Div, Max, Min, Mul, Sub

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import is_float, literal


def _replacement(name: str, old: Any, new: Any, doc: str) -> None:
    def replace(node: Any) -> Iterator[Any]:
        # TVM folds a division by a literal zero, and refuses it
        if is_float(node) and not (new is Div and literal(node.b) == 0):
            yield new(node.a, node.b)

    replace.__doc__ = doc
    operator(
        name,
        category="kernel-arithmetic",
        on=old,
        groups=["default"],
        example=lambda x, y: (old(x, y), new(x, y)),
    )(replace)


_replacement("add_to_sub", Add, Sub, "Subtract where the kernel adds.")
_replacement("sub_to_add", Sub, Add, "Add where the kernel subtracts.")
_replacement("mul_to_div", Mul, Div, "Divide where the kernel multiplies.")
_replacement("mul_to_add", Mul, Add, "Add where the kernel multiplies.")
_replacement("div_to_mul", Div, Mul, "Multiply where the kernel divides.")
_replacement(
    "max_to_min",
    Max,
    Min,
    "Take the smaller of two values instead of the larger: a ReLU keeps the negatives.",
)
_replacement(
    "min_to_max",
    Min,
    Max,
    "Take the larger of two values instead of the smaller: a ReLU6 keeps nothing below 6.",
)


@operator(
    "reassociate",
    category="kernel-arithmetic",
    on=(Add, Mul),
    example=lambda x, y, z: (Add(x, Add(y, z)), Add(Add(x, y), z)),
)
def reassociate(node: Any) -> Iterator[Any]:
    """Sum, or multiply, in another order: `a + (b + c)` <-> `(a + b) + c`.

    Right but for the last bits: a test that kills it asks for more than arithmetic promises, and
    devices differ by as much.
    """
    kind, a, b = type(node), node.a, node.b
    if not is_float(node):
        return
    if isinstance(b, kind):
        yield kind(kind(a, b.a), b.b)
    if isinstance(a, kind):
        yield kind(a.a, kind(a.b, b))
