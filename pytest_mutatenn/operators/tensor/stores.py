"""What a kernel stores: the value, its width, its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tvm import tirx
from tvm.ir import prim
from tvm.ir.expr import TensorLoad
from tvm.tirx import BufferStore

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import (
    constant,
    dtype_of,
    is_float,
    literal,
    with_lanes,
)


def _stored(node: Any, value: Any) -> Any:
    return BufferStore(node.buffer, value, node.indices)


def _buffer() -> Any:
    return tirx.decl_buffer((8,), "float32", "out")


def _example(change: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    def example(i: Any, x: Any) -> tuple[Any, Any]:
        out = _buffer()
        return BufferStore(out, x, [i]), BufferStore(out, change(x), [i])

    return example


def _through(narrow: str) -> Callable[[Any], Any]:
    """The value, passed through a narrower type and back.

    Integers wrap modulo their width, as a store through the wrong type does on real hardware; a
    float out of int32's range saturates there first, and NaN counts as the smallest, so that no
    step is undefined behaviour.
    """

    def change(value: Any) -> Any:
        wide = dtype_of(value)
        known = literal(value)
        if known is not None:
            # TVM refuses a literal that its type cannot hold, where hardware would wrap it
            return constant(_narrowed(known, narrow), value)
        if narrow.startswith("float"):
            return prim.Cast(wide, prim.Cast(with_lanes(narrow, value), value))
        low, top = constant(_LOW, value), constant(_TOP, value)
        number = prim.Cast(with_lanes("int32", value), prim.Min(prim.Max(value, low), top))
        if narrow != "int32":
            number = prim.Cast(with_lanes(narrow, value), number)
        return prim.Cast(wide, number)

    return change


_LOW, _TOP = -(2.0**31), 2.0**31 - 128  # the float32 numbers at the ends of int32


def _narrowed(value: float, narrow: str) -> float:
    with np.errstate(over="ignore"):
        if narrow.startswith("float"):
            return float(np.float32(value).astype(narrow))
    held = _LOW if math.isnan(value) else min(max(value, _LOW), _TOP)
    return float(np.int32(held).astype(narrow))


def _narrowing(narrow: str, *groups: str) -> None:
    change = _through(narrow)

    def store_narrow(node: Any) -> Iterator[Any]:
        if is_float(node.value) and dtype_of(node.value).startswith("float32"):
            yield _stored(node, change(node.value))

    store_narrow.__doc__ = f"Pass a stored float32 through {narrow}."
    operator(
        f"store_float32_to_{narrow}",
        category="types",
        on=BufferStore,
        groups=groups,
        example=_example(change),
    )(store_narrow)


_narrowing("float16", "mutatenn", "default")
_narrowing("int32", "mutatenn")
_narrowing("int16", "mutatenn")
_narrowing("int8", "mutatenn", "default")


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
        yield _stored(node, node.value - constant(1e-8, node.value))


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
        yield _stored(node, node.value * constant(1.00000001, node.value))


@operator(
    "index_plus_one",
    category="stores",
    on=TensorLoad,
    groups=["default"],
    example=lambda i: (_LOADED[i], _LOADED[i + 1]),
)
def index_plus_one(node: Any) -> Iterator[Any]:
    """Load from the next element: one mutant for every index of the load."""
    for axis, index in enumerate(node.indices):
        shifted = list(node.indices)
        shifted[axis] = index + constant(1, index)
        yield tirx.BufferLoad(node.source, shifted)


_LOADED: Any = _buffer()
