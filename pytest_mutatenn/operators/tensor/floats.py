"""Rounding to narrow floats in the arithmetic of wide ones, the same on every target.

TVM has bfloat16 and float8 as storage types only: it computes in float32, and a cast to one of
them and back is no code at all. All steps but the one that rounds are exact, and none is of a
kind that fast math takes apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tvm import tirx
from tvm.ir import prim

from pytest_mutatenn.operators.tensor.dtypes import constant, dtype_of, literal, with_lanes

_EXPONENT = 0x7F800000
_SMALLEST_8 = 0x3C800000  # the bits of 2**-6: below it float8 is denormal
# added to a small float32, its fraction is rounded away and its lowest bits are the whole number
_MAGIC, _MAGIC_BITS = 1.5 * 2**23, 0x4B400000


def to_bfloat16(value: Any) -> Any:
    """A float32 to the nearest bfloat16, ties to even; NaN stays NaN."""
    known = literal(value)
    if known is not None:
        return constant(_nearest(known, 7, -126, 2.0**128 - 2.0**120, math.inf), value)

    def rounded(x: Any) -> Any:
        dtype = with_lanes("uint32", x)

        def cut(bits: Any) -> Any:
            up = bits + 0x7FFF + ((bits >> 16) & 1)
            return tirx.reinterpret(dtype_of(x), (up >> 16) << 16)

        return _named("bits", dtype, tirx.reinterpret(dtype, x), cut)

    return _unless_nan(value, rounded)


def to_float8(value: Any) -> Any:
    """A float32 to the nearest e4m3fn float8, ties to even, saturating; NaN stays NaN.

    The unit is the power of two below the number, no less than the smallest normal one; what is
    kept is a whole number of eighths of it.
    """
    known = literal(value)
    if known is not None:
        return constant(_nearest(known, 3, -6, 448.0, 448.0), value)

    def rounded(x: Any) -> Any:
        wide, bits = dtype_of(x), with_lanes("int32", x)
        held = prim.Min(prim.Max(x, constant(-448, x)), constant(448, x))

        def eighths(unit: Any) -> Any:
            number = tirx.reinterpret(bits, held / unit * 8 + _MAGIC) - _MAGIC_BITS
            return prim.Cast(wide, number) * unit * 0.125

        power = tirx.reinterpret(bits, held) & _EXPONENT
        unit = tirx.reinterpret(wide, prim.Max(power, constant(_SMALLEST_8, power)))
        return _named("unit", wide, unit, eighths)

    return _unless_nan(value, rounded)


def _unless_nan(value: Any, change: Callable[[Any], Any]) -> Any:
    return _named(
        "value", dtype_of(value), value, lambda x: prim.Select(tirx.isnan(x), x, change(x))
    )


def _named(name: str, dtype: str, value: Any, use: Callable[[Any], Any]) -> Any:
    var = tirx.Var(name, dtype)
    return prim.Let(var, value, use(var))


def _nearest(value: float, mantissa: int, lowest: int, top: float, beyond: float) -> float:
    """The same for a known number."""
    if math.isnan(value) or value == 0:
        return value
    number = abs(value)
    if not math.isinf(number):
        step = 2.0 ** (max(math.frexp(number)[1] - 1, lowest) - mantissa)
        number = round(number / step) * step
    return math.copysign(number if number <= top else beyond, value)
