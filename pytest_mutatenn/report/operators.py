"""``--mutatenn-list-operators``: every mutation operator, with its example."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pytest_mutatenn.compiler.sites import line_of
from pytest_mutatenn.operators.example import example_of
from pytest_mutatenn.operators.parameter import Parameter
from pytest_mutatenn.operators.registry import CATEGORIES, Operator

# attributes of a layer that an example does not change
_ATTRIBUTE = re.compile(r', (?!axes=)\w+=(\[[^\]]*\]|"[^"]*"|[^,()]+)')


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
        before, after = (layer.script().strip().splitlines()[-1] for layer in (node, expected))
        return _without_attributes(before, after)
    return line_of(node), line_of(expected)


def _numbers(values: Any) -> str:
    if values.ndim:
        return f"[{', '.join(map(_numbers, values))}]"
    return f"{float(values):.8g}"


def _without_attributes(before: str, after: str) -> tuple[str, str]:
    """Two lines of Relax without the attributes that both have."""
    kept = {m[0] for m in _ATTRIBUTE.finditer(before)} ^ {m[0] for m in _ATTRIBUTE.finditer(after)}
    one, other = (
        _ATTRIBUTE.sub(lambda m: m[0] if m[0] in kept else "", text.strip())
        for text in (before, after)
    )
    if one == other:
        return before.strip(), after.strip()
    return one, other
