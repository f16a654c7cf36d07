"""Comparisons: the guards and padding conditions of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tvm.ir.prim import EQ, GE, GT, LE, LT, NE, Cast, Div

from pytest_mutatenn.errors import MutatennError, nearest
from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, is_float, with_lanes

NEIGHBOUR = {LT: LE, LE: LT, GT: GE, GE: GT}
OPPOSITE = {LT: GE, LE: GT, GT: LE, GE: LT, EQ: NE, NE: EQ}
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": Div,
}
SIDES = ("left", "right")


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


def _comparable(node: Any) -> tuple[Any, Any]:
    """Both sides in a type that holds fractions: integers in float64."""
    a, b = node.a, node.b
    if is_float(b):
        return a, b
    return Cast(with_lanes("float64", a), a), Cast(with_lanes("float64", b), b)


def _known(parameter: str, word: str, words: Iterable[str]) -> None:
    if word not in words:
        raise MutatennError(
            "--mutatenn-parameter, or the ini key mutatenn_parameters: "
            f"threshold_plus_0_5.{parameter} must be one of "
            f"{', '.join(words)}, got {word!r}.{nearest(word, words)}"
        )


@operator(
    "threshold_plus_0_5",
    category="conditional",
    on=LT,
    groups=["mutatenn"],
    example=lambda x, y: (x < y, x < y + 0.5),
)
def threshold_plus_0_5(
    node: Any, *, amount: float = 0.5, side: str = "right", operation: str = "add"
) -> Iterator[Any]:
    """Raise the right side of `<` by one half (MutateNN's change_threshold).

    Integers are compared in float64, so that the half is not lost in the cast. MutateNN's other
    forms are parameters: the `amount`, the `side` (left, right) and the `operation` (add, sub,
    mul, div).
    """
    _known("side", side, SIDES)
    _known("operation", operation, OPERATIONS)
    a, b = _comparable(node)
    change = OPERATIONS[operation]
    if side == "left":
        yield LT(change(a, constant(amount, a)), b)
    else:
        yield LT(a, change(b, constant(amount, b)))


@operator(
    "threshold_percent",
    category="conditional",
    on=LT,
    example=lambda x, y: (x < y, x < y * 1.1),
)
def threshold_percent(node: Any, *, percent: float = 10.0) -> Iterator[Any]:
    """Raise the right side of `<` by some percent (MutateNN's change_threshold)."""
    a, b = _comparable(node)
    yield LT(a, b * constant(1 + percent / 100, b))
