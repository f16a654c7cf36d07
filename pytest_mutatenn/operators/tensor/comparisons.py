"""Comparisons: the guards and padding conditions of a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm.ir.prim import GE, GT, LE, LT, Cast

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, is_float, with_lanes

NEIGHBOUR = {LT: LE, LE: LT, GT: GE, GE: GT}
OPPOSITE = {LT: GE, LE: GT, GT: LE, GE: LT}


@operator(
    "boundary",
    category="conditional",
    on=NEIGHBOUR,
    groups=["default"],
    example=lambda i, n: (i < n, i <= n),
)
def boundary(node: Any) -> Iterator[Any]:
    """Move a comparison by one: `i < n` becomes `i <= n`, the classic off-by-one."""
    yield NEIGHBOUR[type(node)](node.a, node.b)


@operator(
    "negate_condition",
    category="conditional",
    on=OPPOSITE,
    groups=["default"],
    example=lambda i, n: (i < n, i >= n),
)
def negate_condition(node: Any) -> Iterator[Any]:
    """Take the opposite of a comparison (PIT's NEGATE_CONDITIONALS)."""
    yield OPPOSITE[type(node)](node.a, node.b)


@operator(
    "LT_to_LE",
    category="conditional",
    on=LT,
    groups=["mutatenn"],
    example=lambda i, n: (i < n, i <= n),
)
def lt_to_le(node: Any) -> Iterator[Any]:
    """`<` becomes `<=`."""
    yield LE(node.a, node.b)


@operator(
    "LT_to_GT",
    category="conditional",
    on=LT,
    groups=["mutatenn"],
    example=lambda i, n: (i < n, i > n),
)
def lt_to_gt(node: Any) -> Iterator[Any]:
    """`<` becomes `>`."""
    yield GT(node.a, node.b)


@operator(
    "GT_to_LT",
    category="conditional",
    on=GT,
    groups=["mutatenn"],
    example=lambda i, n: (i > n, i < n),
)
def gt_to_lt(node: Any) -> Iterator[Any]:
    """`>` becomes `<`."""
    yield LT(node.a, node.b)


@operator(
    "GT_to_GE",
    category="conditional",
    on=GT,
    groups=["mutatenn"],
    example=lambda i, n: (i > n, i >= n),
)
def gt_to_ge(node: Any) -> Iterator[Any]:
    """`>` becomes `>=`."""
    yield GE(node.a, node.b)


@operator(
    "threshold_plus_0_5",
    category="conditional",
    on=LT,
    groups=["mutatenn"],
    example=lambda x, y: (x < y, x < y + 0.5),
)
def threshold_plus_0_5(node: Any) -> Iterator[Any]:
    """Raise the right side of `<` by one half (MutateNN's change_threshold).

    Integers are compared in float64, so that the half is not lost in the cast.
    """
    a, b = node.a, node.b
    if not is_float(b):
        a, b = (Cast(with_lanes("float64", side), side) for side in (a, b))
    yield LT(a, b + constant(0.5, b))
