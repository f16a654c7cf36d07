"""The values that a kernel stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tvm.tirx import BufferStore

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, is_float
from pytest_mutatenn.operators.tensor.places import out, stored


def _example(change: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    def example(i: Any, x: Any) -> tuple[Any, Any]:
        return BufferStore(out(), x, [i]), BufferStore(out(), change(x), [i])

    return example


@operator(
    "store_minus_1e_8",
    category="stores",
    on=BufferStore,
    groups=["mutatenn"],
    example=_example(lambda x: x - constant(1e-8, x)),
)
def store_minus_1e_8(node: Any) -> Iterator[Any]:
    """Store a float less 1e-8, which float32 shows only near zero."""
    if is_float(node.value):
        yield stored(node, node.value - constant(1e-8, node.value))


@operator(
    "store_times_1_00000001",
    category="stores",
    on=BufferStore,
    groups=["mutatenn"],
    example=_example(lambda x: x * constant(1.00000001, x)),
)
def store_times_1_00000001(node: Any) -> Iterator[Any]:
    """Store a float times 1.00000001; in float32 that is times one, and so EQUIVALENT."""
    if is_float(node.value):
        yield stored(node, node.value * constant(1.00000001, node.value))


@operator(
    "store_plus_one",
    category="stores",
    on=BufferStore,
    groups=["default"],
    example=_example(lambda x: x + constant(1, x)),
)
def store_plus_one(node: Any) -> Iterator[Any]:
    """Store a float plus one; in a running sum, one a round."""
    if is_float(node.value):
        yield stored(node, node.value + constant(1, node.value))


@operator(
    "store_times_minus_one",
    category="stores",
    on=BufferStore,
    groups=["default"],
    example=_example(lambda x: x * constant(-1, x)),
)
def store_times_minus_one(node: Any) -> Iterator[Any]:
    """Store a float with its sign turned (PIT's INVERT_NEGS)."""
    if is_float(node.value):
        yield stored(node, node.value * constant(-1, node.value))


@operator(
    "store_zero",
    category="stores",
    on=BufferStore,
    groups=["default"],
    example=_example(lambda x: constant(0, x)),
)
def store_zero(node: Any) -> Iterator[Any]:
    """Store zero instead of the float: a dead neuron, a line stuck at zero."""
    if is_float(node.value):
        yield stored(node, constant(0, node.value))
