"""The choices of a kernel: branches of statements, of `if_then_else` and of selects alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.ir import Call
from tvm.ir.prim import EQ, GE, GT, LE, LT, NE, And, Or, Select
from tvm.tirx import IfThenElse
from tvm_ffi.structural import structural_walk

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, is_integer, literal
from pytest_mutatenn.operators.tensor.places import function_of

CHOICES = (IfThenElse, Select, Call)
_COMPARISONS = (EQ, NE, LT, LE, GT, GE)


@dataclass(frozen=True, eq=False)
class Choice:
    """A condition and the two things it chooses from, whatever the node's form."""

    condition: Any
    then: Any
    otherwise: Any
    build: Callable[[Any, Any, Any], Any]

    def made(self, *, condition: Any = None, then: Any = None, otherwise: Any = None) -> Any:
        """The same form with other parts."""
        return self.build(
            self.condition if condition is None else condition,
            self.then if then is None else then,
            self.otherwise if otherwise is None else otherwise,
        )


def choice_of(node: Any) -> Choice | None:
    """The node as a choice; None if it is none."""
    if isinstance(node, IfThenElse):
        return Choice(node.condition, node.then_case, node.else_case, IfThenElse)
    if isinstance(node, Select):
        return Choice(node.condition, node.true_value, node.false_value, Select)
    if function_of(node) == "if_then_else":

        def build(*args: Any) -> Any:
            return Call(node.op, list(args), node.attrs, node.ty_args, ret_ty=node.ty)

        condition, then, otherwise = node.args
        return Choice(condition, then, otherwise, build)
    return None


def is_guard(condition: Any) -> bool:
    """Whether a condition compares integers, and nothing else: the guard of an index."""
    compared: list[Any] = []
    structural_walk(condition, [(_COMPARISONS, compared.append)])
    return bool(compared) and all(is_integer(node.a) for node in compared)


def _always(node: Any, outcome: bool) -> Iterator[Any]:
    choice = choice_of(node)
    if choice is not None and literal(choice.condition) is None:
        yield choice.made(condition=constant(outcome, choice.condition))


@operator(
    "condition_true",
    category="conditional",
    on=CHOICES,
    groups=["default"],
    example=lambda i, n, x, y: (
        Select(i < n, x, y),
        Select(tirx.const(True, "bool"), x, y),
    ),
)
def condition_true(node: Any) -> Iterator[Any]:
    """Take the first branch always (PIT's REMOVE_CONDITIONALS)."""
    yield from _always(node, True)


@operator(
    "condition_false",
    category="conditional",
    on=CHOICES,
    groups=["default"],
    example=lambda i, n, x, y: (
        Select(i < n, x, y),
        Select(tirx.const(False, "bool"), x, y),
    ),
)
def condition_false(node: Any) -> Iterator[Any]:
    """Take the second branch always, or no branch at all (PIT's REMOVE_CONDITIONALS)."""
    yield from _always(node, False)


@operator(
    "swap_branches",
    category="conditional",
    on=CHOICES,
    groups=["default"],
    example=lambda i, n, x, y: (Select(i < n, x, y), Select(i < n, y, x)),
)
def swap_branches(node: Any) -> Iterator[Any]:
    """Swap the two branches of a choice."""
    choice = choice_of(node)
    if choice is not None and choice.otherwise is not None:
        yield choice.made(then=choice.otherwise, otherwise=choice.then)


@operator(
    "and_to_or",
    category="conditional",
    on=And,
    groups=["default"],
    example=lambda i, j, n: (And(i < n, j < n), Or(i < n, j < n)),
)
def and_to_or(node: Any) -> Iterator[Any]:
    """Ask for one of two conditions instead of both."""
    yield Or(node.a, node.b)


@operator(
    "or_to_and",
    category="conditional",
    on=Or,
    groups=["default"],
    example=lambda i, j, n: (Or(i < n, j < n), And(i < n, j < n)),
)
def or_to_and(node: Any) -> Iterator[Any]:
    """Ask for both of two conditions instead of one."""
    yield And(node.a, node.b)
