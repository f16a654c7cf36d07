"""How far an index goes: its least and greatest value over the loops around it, under guards.

The answer is exact. An index is a sum, and a variable matters only to the terms and guards that it
stands in: terms and guards that share no variable are independent, each group of them is tried
out over its own variables alone, and the extremes of the groups add up. So a convolution's padded
index, over seven loops, takes a few hundred points.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import sym
from tvm.ir import Var, prim

from pytest_mutatenn.compiler import points
from pytest_mutatenn.compiler.points import LANE, Guard, Points, Undecided, children

_UNKNOWN = 1 << 30  # what TVM says of a value that it knows no more of than its type


@dataclass(eq=False)
class Scope:
    """The variables in scope: loops and threads, and names for values."""

    analyzer: Any = field(default_factory=sym.Analyzer)
    ranges: dict[Any, tuple[int, int]] = field(default_factory=dict)
    values: dict[Any, Any] = field(default_factory=dict)

    def bind(self, var: Any, low: Any, extent: Any) -> None:
        """Let a variable count from ``low``; of bounds that vary, the outermost are kept."""
        least = int(self.analyzer.const_int_bound(low).min_value)
        most = int(self.analyzer.const_int_bound(low + extent).max_value) - 1
        # not `bind`: it keeps what an earlier loop of the same variable had made of it
        self.analyzer.update(var, sym.ConstIntBound(least, max(least, most)), True)
        self.ranges.pop(var, None)
        if self._known(low) and self._known(extent) and least > -_UNKNOWN and most < _UNKNOWN:
            self.ranges[var] = (least, most)

    def _known(self, node: Any) -> bool:
        """Whether an expression depends on loops alone, and not on data."""
        if isinstance(node, prim.IntImm):
            return True
        if isinstance(node, Var):
            named = self.values.get(node)
            return node in self.ranges if named is None else self._known(named)
        parts = children(node)
        return bool(parts) and all(map(self._known, parts))


def worst(index: Any, size: int, guards: Sequence[Guard], scope: Scope) -> int | None:
    """The value of an index that is furthest outside ``0 <= index < size``.

    Parameters
    ----------
    index
        The index; of a vector, every lane counts.
    size
        Number of elements.
    guards
        What holds where the index is used. One that depends on data may hold or not.
    scope
        The variables.

    Returns
    -------
    int or None
        ``None`` if it is always inside, or depends on data.

    Raises
    ------
    Undecided
        If there are too many values to try out.
    """
    bound = scope.analyzer.const_int_bound(index)
    if bound.min_value >= 0 and bound.max_value < size:
        return None
    question = _Question(scope)
    if not question.take(index, guards):
        return None
    try:
        found = question.extremes(points.FEW_POINTS)
    except Undecided:
        if _proved(index, size, guards, scope):
            return None
        found = question.extremes(points.MOST_POINTS)
    if found is None:
        return None
    below, above = -found[0], found[1] - (size - 1)
    if max(below, above) <= 0 or not question.reachable():
        return None
    return found[0] if below >= above else found[1]


def _proved(index: Any, size: int, guards: Sequence[Guard], scope: Scope) -> bool:
    analyzer = scope.analyzer
    with contextlib.ExitStack() as stack:
        for condition, holds in guards:
            stack.enter_context(
                analyzer.constraint_scope(condition if holds else prim.Not(condition))
            )
        try:
            return bool(analyzer.can_prove(index >= 0) and analyzer.can_prove(index < size))
        except (TypeError, ValueError):
            return False  # a vector


@dataclass
class _Group:
    """Terms and guards, and the variables they share with each other and no one else."""

    ranges: dict[Any, tuple[int, int]]
    terms: list[tuple[int, Any]] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)

    def join(self, other: _Group) -> None:
        self.ranges.update(other.ranges)
        self.terms += other.terms
        self.guards += other.guards


class _Question:
    """One index with its guards, taken apart into groups."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.constant = 0
        self.lanes = 1
        self.terms: list[tuple[int, Any]] = []
        self.groups: list[_Group] = []

    def take(self, index: Any, guards: Sequence[Guard]) -> bool:
        """Take apart; whether the guards can hold at all, as far as no variable is asked."""
        self._split(index, 1)
        for factor, term in self.terms:
            self._add(_Group(self._variables(term), terms=[(factor, term)]))
        for guard in guards:
            for condition, holds in self._conjuncts(*guard):
                ranges = self._variables(condition)
                if ranges:
                    self._add(_Group(ranges, guards=[(condition, holds)]))
                elif not np.all(Points({}, self.scope.values, 1).may(condition, holds)):
                    return False
        return True

    def _add(self, group: _Group) -> None:
        apart = []
        for other in self.groups:
            if group.ranges.keys() & other.ranges.keys():
                group.join(other)
            else:
                apart.append(other)
        self.groups = [*apart, group]

    def _split(self, node: Any, factor: int) -> None:
        """Read a sum off an index."""
        if isinstance(node, prim.IntImm):
            self.constant += factor * int(node.value)
        elif isinstance(node, prim.Add | prim.Sub):
            self._split(node.a, factor)
            self._split(node.b, factor if isinstance(node, prim.Add) else -factor)
        elif isinstance(node, prim.Mul) and (by := _literal(node.b)) is not None:
            self._split(node.a, factor * by)
        elif isinstance(node, prim.Mul) and (by := _literal(node.a)) is not None:
            self._split(node.b, factor * by)
        elif isinstance(node, prim.Broadcast):
            self._split(node.value, factor)
        elif isinstance(node, prim.Ramp) and (by := _literal(node.stride)) is not None:
            self.lanes = int(node.lanes)
            self._split(node.base, factor)
            self.terms.append((factor * by, LANE))
        elif isinstance(node, prim.Let):
            self.scope.values[node.var] = node.value
            self._split(node.body, factor)
        elif isinstance(node, Var) and node in self.scope.values:
            self._split(self.scope.values[node], factor)
        else:
            self.terms.append((factor, node))

    def _conjuncts(self, node: Any, holds: bool) -> Iterator[Guard]:
        if isinstance(node, prim.And if holds else prim.Or):
            yield from self._conjuncts(node.a, holds)
            yield from self._conjuncts(node.b, holds)
        elif isinstance(node, prim.Not):
            yield from self._conjuncts(node.a, not holds)
        else:
            yield node, holds

    def _variables(self, node: Any) -> dict[Any, tuple[int, int]]:
        found: dict[Any, tuple[int, int]] = {}
        waiting = [node]
        while waiting:
            node = waiting.pop()
            if isinstance(node, str):
                found[LANE] = (0, self.lanes - 1)
            elif isinstance(node, Var):
                if node in self.scope.values:
                    waiting.append(self.scope.values[node])
                elif node in self.scope.ranges:
                    found[node] = self.scope.ranges[node]
            elif isinstance(node, prim.Ramp):
                self.lanes = int(node.lanes)
                found[LANE] = (0, self.lanes - 1)
                waiting += [node.base, node.stride]
            elif isinstance(node, prim.Let):
                self.scope.values[node.var] = node.value
                waiting.append(node.body)
            else:
                waiting += children(node)
        return found

    def extremes(self, most: int) -> tuple[int, int] | None:
        """Least and greatest value; ``None`` if there is none, or it depends on data."""
        low = high = self.constant
        for group in self.groups:
            if not group.terms:
                continue
            found = self._alone(group) or self._tried(group, most)
            if found is None:
                return None
            low, high = low + found[0], high + found[1]
        return low, high

    def _alone(self, group: _Group) -> tuple[int, int] | None:
        """The extremes of one variable that nothing else depends on."""
        if group.guards or len(group.ranges) != 1 or len(group.terms) != 1:
            return None
        ((factor, term),) = group.terms
        if not isinstance(term, Var | str):
            return None
        ((least, most),) = group.ranges.values()
        if least > most:
            return None
        return min(factor * least, factor * most), max(factor * least, factor * most)

    def _tried(self, group: _Group, most: int) -> tuple[int, int] | None:
        grid = Points(group.ranges, self.scope.values, most)
        total: Any = 0
        for factor, term in group.terms:
            value = grid.value(term)
            if value is None:
                return None
            total = total + factor * value
        used = grid.where(group.guards)
        total, used = np.broadcast_arrays(total, used)
        total = total[used]
        return (int(total.min()), int(total.max())) if total.size else None

    def reachable(self) -> bool:
        """Whether the guards that share no variable with the index can hold."""
        most = points.MOST_POINTS
        return all(
            bool(np.any(Points(group.ranges, self.scope.values, most).where(group.guards)))
            for group in self.groups
            if not group.terms
        )


def _literal(node: Any) -> int | None:
    if isinstance(node, prim.Broadcast):
        node = node.value
    return int(node.value) if isinstance(node, prim.IntImm) else None
