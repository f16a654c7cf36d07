"""Arithmetic between tensors: one operation in another's place, operands in the wrong order.

The idea is the arithmetic operator replacement of mutation testing (PIT's Math mutator), on
tensors. All but ``add_to_subtract`` leave whole numbers alone: those are indices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.graph.operand import is_float
from pytest_mutatenn.operators.registry import operator

op = relax.op


@operator(
    "add_to_subtract",
    category="arithmetic",
    stages=["graph"],
    on="relax.add",
    groups=["mutatenn", "default"],
    example=lambda x, y: (op.add(x, y), op.subtract(x, y)),
)
def add_to_subtract(call: Any) -> Iterator[Any]:
    """Subtract where the network adds: a bias or a shortcut changes its sign."""
    yield op.subtract(*call.args)


@operator(
    "swap_operands",
    category="arithmetic",
    stages=["graph"],
    on=["relax.subtract", "relax.divide", "relax.power"],
    example=lambda x, y: (op.subtract(x, y), op.subtract(y, x)),
)
def swap_operands(call: Any) -> Iterator[Any]:
    """Swap the operands of a subtraction, a division or a power."""
    left, right = call.args
    if is_float(left) and not left.same_as(right):
        yield relax.Call(call.op, [right, left], call.attrs, call.ty_args)


def _define(old: str, new: str, text: str, *reductions: Callable[..., Any]) -> None:
    """Define ``old_to_new``; of reductions too, where the operation has them."""
    before, after = getattr(op, old), getattr(op, new)
    names = [f"relax.{old}"]
    if reductions:
        names.append(f"relax.{reductions[0].__name__}")

    def replacements(call: Any) -> Iterator[Any]:
        if not is_float(call.args[0]):
            return
        if call.op.name == f"relax.{old}":
            yield after(*call.args)
        else:
            yield reductions[1](call.args[0], call.attrs.axis, call.attrs.keepdims)

    replacements.__doc__ = text
    operator(
        f"{old}_to_{new}",
        category="arithmetic",
        stages=["graph"],
        on=names,
        groups=["default"],
        example=lambda x, y: (before(x, y), after(x, y)),
    )(replacements)


_define("subtract", "add", "Add where the network subtracts.")
_define("multiply", "divide", "Divide where the network multiplies.")
_define("divide", "multiply", "Multiply where the network divides.")
_define("add", "multiply", "Multiply where the network adds.")
_define("multiply", "add", "Add where the network multiplies.")
# ONNX's Max and Min arrive as reductions of a stack
_define(
    "maximum", "minimum", "Take the lesser where the network takes the greater.", op.max, op.min
)
_define(
    "minimum", "maximum", "Take the greater where the network takes the lesser.", op.min, op.max
)
