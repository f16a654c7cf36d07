"""Stored values, and running sums, that pass through a narrower type."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tvm.ir import prim
from tvm.tirx import BufferStore
from tvm_ffi import structural_equal

from pytest_mutatenn.operators.registry import operator
from pytest_mutatenn.operators.tensor.dtypes import constant, dtype_of, literal, with_lanes
from pytest_mutatenn.operators.tensor.floats import to_bfloat16, to_float8
from pytest_mutatenn.operators.tensor.places import load_of, out, stored

_LOW, _TOP = -(2.0**31), 2.0**31 - 128  # the float32 numbers at the ends of int32


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
        if narrow == "float16":
            return prim.Cast(wide, prim.Cast(with_lanes(narrow, value), value))
        low, top = constant(_LOW, value), constant(_TOP, value)
        number = prim.Cast(with_lanes("int32", value), prim.Min(prim.Max(value, low), top))
        if narrow != "int32":
            number = prim.Cast(with_lanes(narrow, value), number)
        return prim.Cast(wide, number)

    return change


def _narrowed(value: float, narrow: str) -> float:
    with np.errstate(over="ignore"):
        if narrow.startswith("float"):
            return float(np.float32(value).astype(narrow))
    held = _LOW if math.isnan(value) else min(max(value, _LOW), _TOP)
    return float(np.int32(held).astype(narrow))


def _is_float32(value: Any) -> bool:
    return dtype_of(value).partition("x")[0] == "float32"


def _narrowing(narrow: str, change: Callable[[Any], Any], doc: str, *groups: str) -> None:
    def store_narrow(node: Any) -> Iterator[Any]:
        if _is_float32(node.value):
            yield stored(node, change(node.value))

    def example(i: Any, x: Any) -> tuple[Any, Any]:
        return BufferStore(out(), x, [i]), BufferStore(out(), change(x), [i])

    store_narrow.__doc__ = f"Pass a stored float32 through {narrow}{doc}"
    operator(
        f"store_float32_to_{narrow}",
        category="types",
        on=BufferStore,
        groups=groups,
        example=example,
    )(store_narrow)


_narrowing("float16", _through("float16"), ".", "mutatenn", "default")
_narrowing("int32", _through("int32"), ".", "mutatenn")
_narrowing("int16", _through("int16"), ".", "mutatenn")
_narrowing("int8", _through("int8"), ".", "mutatenn", "default")
_narrowing(
    "bfloat16",
    to_bfloat16,
    """: float32 with 7 bits of mantissa instead of 23.

    To the nearest, ties to even, by integer arithmetic on the bits: TVM computes bfloat16 in
    float32, and a cast there and back rounds nothing.
    """,
    "default",
)
_narrowing(
    "float8",
    to_float8,
    """: 4 bits of exponent, 3 of mantissa (e4m3fn).

    After Micikevicius et al., "FP8 Formats for Deep Learning" (2022). To the nearest, ties to
    even; what is beyond 448, infinity too, becomes 448, as converting instructions do; NaN stays.
    """,
)


@operator(
    "accumulate_float16",
    category="types",
    on=BufferStore,
    example=lambda i, x: (
        BufferStore(out(), out()[i] + x, [i]),
        BufferStore(out(), _through("float16")(out()[i] + _through("float16")(x)), [i]),
    ),
)
def accumulate_float16(node: Any) -> Iterator[Any]:
    """Sum in float16: each added term and the running sum are rounded to it.

    The fault of a reduction whose accumulator is as narrow as its operands. Rounding what is
    stored alone, as `store_float32_to_float16` does, leaves the terms in full.
    """
    value, narrow = node.value, _through("float16")
    if not isinstance(value, prim.Add) or not _is_float32(value):
        return
    own = load_of(node)
    if structural_equal(value.a, own):
        yield stored(node, narrow(prim.Add(value.a, narrow(value.b))))
    elif structural_equal(value.b, own):
        yield stored(node, narrow(prim.Add(narrow(value.a), value.b)))
