"""The functions that a kernel calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.ir import Call

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.places import function_of

NEIGHBOUR = {
    "ceil": tirx.floor,
    "cos": tirx.sin,
    "cosh": tirx.sinh,
    "erf": tirx.tanh,
    "exp": tirx.exp2,
    "exp2": tirx.exp,
    "floor": tirx.ceil,
    "log": tirx.log2,
    "log10": tirx.log,
    "log2": tirx.log,
    "nearbyint": tirx.floor,
    "round": tirx.floor,
    "rsqrt": tirx.sqrt,
    "sigmoid": tirx.tanh,
    "sin": tirx.cos,
    "sinh": tirx.cosh,
    "sqrt": tirx.rsqrt,
    "tan": tirx.sin,
    "tanh": tirx.sigmoid,
    "trunc": tirx.floor,
}


@operator(
    "intrinsic_swap",
    category="kernel-arithmetic",
    on=Call,
    example=lambda x: (tirx.sqrt(x), tirx.rsqrt(x)),
)
def intrinsic_swap(node: Any) -> Iterator[Any]:
    """Call a function's neighbour: exp -> exp2, sqrt -> rsqrt, tanh -> sigmoid, floor -> ceil."""
    neighbour = NEIGHBOUR.get(function_of(node))
    if neighbour is not None:
        yield neighbour(*node.args)
