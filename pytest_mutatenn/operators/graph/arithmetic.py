"""Arithmetic between tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.registry import operator


@operator(
    "add_to_subtract",
    category="arithmetic",
    stages=["graph"],
    on="relax.add",
    groups=["mutatenn", "default"],
    example=lambda x, y: (relax.op.add(x, y), relax.op.subtract(x, y)),
)
def add_to_subtract(call: Any) -> Iterator[Any]:
    """Subtract where the network adds: a bias or a shortcut changes its sign."""
    yield relax.op.subtract(*call.args)
