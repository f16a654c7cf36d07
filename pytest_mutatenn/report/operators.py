"""``--mutatenn-list-operators``: every mutation operator, with its example."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pytest_mutatenn.compiler.sites import line_of
from pytest_mutatenn.operators.example import example_of
from pytest_mutatenn.operators.parameter import Parameter
from pytest_mutatenn.operators.registry import CATEGORIES, Operator

_ATTRIBUTE = re.compile(r', (\w+)=(?:\[[^\]]*\]|\([^)]*\)|"[^"]*"|[^,()]+)')


def print_operators(operators: Iterable[Operator], line: Callable[..., None]) -> None:
    """Print a table by category: id, stages, groups and example; and what the operator does."""
    everything = list(operators)
    width = max((len(op.name) for op in everything), default=0)
    for category, title in CATEGORIES.items():
        mine = [op for op in everything if op.category == category]
        if not mine:
            continue
        line(f"{title} ({category})", bold=True)
        for op in mine:
            stages, groups = ", ".join(op.stages), ", ".join(sorted(op.groups))
            line(f"  {op.name:{width}}  {stages}" + (f"  [{groups}]" if groups else ""))
            if op.example is not None:
                before, after = example_lines(op)
                line(f"      {before}  ->  {after}")
            line(f"      {op.summary}")
            for name, value in op.parameters.items():
                line(f"      parameter {op.name}.{name} = {value}")
        line("")
    line(f"{len(everything)} operators")


def example_lines(op: Operator) -> tuple[str, str]:
    """An operator's example as text: a line before and a line after."""
    node, expected = example_of(op)
    if isinstance(node, Parameter):
        return _numbers(node.values), _numbers(expected)
    if "graph" in op.stages:
        before, after = (
            layer.script().strip().splitlines()[-1].strip() for layer in (node, expected)
        )
        return (
            _without_attributes(before, after, shared=True),
            _without_attributes(after, before, shared=False),
        )
    return line_of(node), line_of(expected)


def _numbers(values: Any) -> str:
    if values.ndim:
        return f"[{', '.join(map(_numbers, values))}]"
    return f"{float(values):.8g}"


def _without_attributes(line: str, other: str, *, shared: bool) -> str:
    """Leave out the attributes that the other line has too, or does not have by name."""
    same = {match[0] for match in _ATTRIBUTE.finditer(other)}
    names = {match[1] for match in _ATTRIBUTE.finditer(other)}

    def left(match: re.Match[str]) -> str:
        return match[0] if match[0] not in same and (not shared or match[1] in names) else ""

    return _ATTRIBUTE.sub(left, line)
