"""Index expressions and conditions, evaluated at all values of their variables at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tvm.ir import Call, Var, prim

Guard = tuple[Any, bool]
"""A condition, and what it is where an index is used."""

LANE = "lane"
"""Stands for the variable that counts the lanes of a vector."""

FEW_POINTS = 1 << 15
MOST_POINTS = 1 << 20


class Undecided(Exception):
    """Too many values of the variables to try them out."""


_VALUE = {
    prim.Add: np.add,
    prim.Sub: np.subtract,
    prim.Mul: np.multiply,
    prim.FloorDiv: np.floor_divide,
    prim.FloorMod: np.mod,
    prim.Mod: np.fmod,
    prim.Min: np.minimum,
    prim.Max: np.maximum,
    prim.LT: np.less,
    prim.LE: np.less_equal,
    prim.GT: np.greater,
    prim.GE: np.greater_equal,
    prim.EQ: np.equal,
    prim.NE: np.not_equal,
    prim.BitwiseAnd: np.bitwise_and,
    prim.BitwiseOr: np.bitwise_or,
    prim.BitwiseXor: np.bitwise_xor,
    prim.LShift: np.left_shift,
    prim.RShift: np.right_shift,
    prim.And: np.logical_and,
    prim.Or: np.logical_or,
}


class Points:
    """All values that some variables can have together, an axis for each.

    Parameters
    ----------
    ranges
        Variable -> least and greatest value.
    names
        Variable -> the expression that it is bound to.
    most
        How many points at most.

    Raises
    ------
    Undecided
        If there are too many.
    """

    def __init__(
        self, ranges: Mapping[Any, tuple[int, int]], names: Mapping[Any, Any], most: int
    ) -> None:
        counts = [max(0, most - least + 1) for least, most in ranges.values()]
        if math.prod(counts) > most:
            raise Undecided
        self.names = names
        self.axes: dict[Any, np.ndarray] = {}
        for axis, (var, (least, most)) in enumerate(ranges.items()):
            shape = [1] * len(counts)
            shape[axis] = counts[axis]
            self.axes[var] = np.arange(least, most + 1, dtype=np.int64).reshape(shape)
        self.shape = tuple(counts)

    def where(self, guards: Sequence[Guard]) -> np.ndarray:
        """The points at which the guards may hold."""
        used = np.ones(self.shape, bool)
        for condition, holds in guards:
            used &= self.may(condition, holds)
        return used

    def may(self, node: Any, holds: bool) -> Any:
        """Where a condition may be true, or false; one that depends on data may be both."""
        if isinstance(node, prim.Not):
            return self.may(node.a, not holds)
        if isinstance(node, prim.And | prim.Or):
            both = isinstance(node, prim.And) == holds
            a, b = self.may(node.a, holds), self.may(node.b, holds)
            return np.logical_and(a, b) if both else np.logical_or(a, b)
        value = self.value(node)
        return np.True_ if value is None else (value != 0) == holds

    def value(self, node: Any) -> Any:
        """The values of an expression; ``None`` if it depends on data."""
        if isinstance(node, str):
            return self.axes[node]
        if isinstance(node, prim.IntImm | prim.FloatImm):
            return np.asarray(node.value)
        if isinstance(node, Var):
            known = self.names.get(node)
            return self.axes.get(node) if known is None else self.value(known)
        if isinstance(node, prim.Broadcast):
            return self.value(node.value)
        if isinstance(node, prim.Let):
            return self.value(node.body)
        kind = type(node)
        parts = [self.value(part) for part in children(node)]
        if not parts or any(part is None for part in parts):
            return None
        with np.errstate(all="ignore"):
            if kind in _VALUE:
                return _VALUE[kind](*parts)
            if kind is prim.Ramp:
                return parts[0] + parts[1] * self.axes[LANE]
            if kind is prim.Not:
                return np.logical_not(parts[0])
            if kind is prim.Cast:
                return _cast(parts[0], str(node.ty))
            if kind is prim.Div:
                return _divided(*parts)
            if kind is prim.Select or is_if(node):
                return np.where(parts[0] != 0, parts[1], parts[2])
            return parts[0] if is_likely(node) else None


def _divided(a: Any, b: Any) -> Any:
    """Division as in C: of integers, towards zero."""
    if np.issubdtype(np.result_type(a, b), np.floating):
        return np.true_divide(a, b)
    towards = np.floor_divide(np.abs(a), np.abs(b))
    return np.where((a < 0) != (b < 0), -towards, towards)


def _cast(value: Any, dtype: str) -> Any:
    """A cast; integers stay as wide as they are, for an index that overflows is outside."""
    if dtype.startswith("bool"):
        return value != 0
    return value.astype(np.float64 if dtype.startswith(("float", "bfloat")) else np.int64)


def is_if(node: Any) -> bool:
    """Whether a node is a call of ``if_then_else``."""
    return isinstance(node, Call) and getattr(node.op, "name", "").endswith("if_then_else")


def is_likely(node: Any) -> bool:
    """Whether a node is a condition marked as likely."""
    return isinstance(node, Call) and getattr(node.op, "name", "").endswith("likely")


_LEAVES = (prim.IntImm, prim.FloatImm, Var)


def children(node: Any) -> list[Any]:
    """The expressions that an expression is made of; what a load loads is not looked into."""
    if isinstance(node, _LEAVES):
        return []
    if isinstance(node, prim.BinaryOpExpr | prim.CmpExpr | prim.And | prim.Or):
        return [node.a, node.b]
    if isinstance(node, prim.Not):
        return [node.a]
    if isinstance(node, prim.Cast | prim.Broadcast):
        return [node.value]
    if isinstance(node, prim.Select):
        return [node.condition, node.true_value, node.false_value]
    if isinstance(node, prim.Ramp):
        return [node.base, node.stride]
    if isinstance(node, prim.Let):
        return [node.value, node.body]
    return list(node.args) if isinstance(node, Call) else []
