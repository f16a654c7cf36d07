"""Transcendental functions of vectors, as arithmetic.

LLVM has no vector form of ``exp``, ``tanh`` or ``pow``: it takes a vector apart and calls the C
library once a lane, ten times slower than all else in a kernel. This is done after the device
stage, so that mutants are of the functions and not of their polynomials, and for vectors alone:
what is not scheduled calls the C library as before. The polynomials are those of Cephes (Moshier,
``expf`` and ``tanhf``); the error is at most two units in the last place, NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.ir import Call, prim
from tvm.tirx import PrimFunc
from tvm_ffi.structural import structural_map

__all__ = ["expand_vector_functions"]

Expr = Any

_LOG2_E = 1.44269504088896341
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # the first has few bits: products are exact
_EXP = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
_TANH = (
    -5.70498872745e-3,
    2.06390887954e-2,
    -5.37397155531e-2,
    1.33314422036e-1,
    -3.33332819422e-1,
)


def expand_vector_functions(func: PrimFunc) -> PrimFunc:
    """Write ``exp``, ``sigmoid``, ``tanh`` and ``pow(x, 0.75)`` of float32 vectors as arithmetic.

    Parameters
    ----------
    func
        A kernel at the device stage.
    """

    def visit(call: Call) -> Expr:
        expand = _FUNCTIONS.get(getattr(call.op, "name", ""))
        if expand is None or _lanes(call) < 2 or not str(call.ty).startswith("float32x"):
            return call
        expanded = expand(*call.args)
        return call if expanded is None else expanded

    return func.with_body(structural_map(func.body, [(Call, visit)]))


def _lanes(expr: Expr) -> int:
    return int(expr.ty.dtype.lanes)


def _named(value: Expr, body: Callable[[Expr], Expr]) -> Expr:
    """Compute `value` once for all that `body` makes of it."""
    var = tirx.Var("v", value.ty)
    return prim.Let(var, value, body(var))


def _constant(like: Expr, value: float) -> Expr:
    return prim.Broadcast(tirx.const(value, "float32"), _lanes(like))


def _polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """Horner's rule, the highest power first."""
    result = _constant(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + _constant(x, coefficient)
    return result


def _exp(argument: Expr) -> Expr:
    low, high = _constant(argument, -104.0), _constant(argument, 89.0)  # beyond: 0, infinite

    def clamped(x: Expr) -> Expr:
        # written so that NaN stays; a whole number is made only of what is none
        y = prim.Select(prim.LT(x, low), low, x)
        y = prim.Select(prim.GT(y, high), high, y)
        number = prim.Min(prim.Max(x, low), high) * _constant(x, _LOG2_E)
        number = tirx.floor(number + _constant(x, 0.5))
        return _named(y, lambda y: _named(number, lambda n: reduced(y, n)))

    def reduced(y: Expr, n: Expr) -> Expr:
        r = y - n * _constant(y, _LN2_HIGH) - n * _constant(y, _LN2_LOW)
        return _named(r, lambda r: result(n, r))

    def result(n: Expr, r: Expr) -> Expr:
        value = _polynomial(r, _EXP) * (r * r) + r + _constant(r, 1.0)
        # in two steps, for 2**n itself need not be a normal number
        half = tirx.floor(n * _constant(n, 0.5))
        return value * _power_of_two(half) * _power_of_two(n - half)

    return _named(argument, clamped)


def _power_of_two(n: Expr) -> Expr:
    """2**n of whole numbers, by the bits of the exponent."""
    kind = f"int32x{_lanes(n)}"
    bits = (prim.Cast(kind, n) + prim.Broadcast(tirx.const(127, "int32"), _lanes(n))) * (
        prim.Broadcast(tirx.const(1 << 23, "int32"), _lanes(n))
    )
    return tirx.reinterpret(f"float32x{_lanes(n)}", bits)


def _sigmoid(argument: Expr) -> Expr:
    one = _constant(argument, 1.0)
    return one / (one + _exp(_constant(argument, 0.0) - argument))


def _tanh(argument: Expr) -> Expr:
    def choose(x: Expr) -> Expr:
        one, two = _constant(x, 1.0), _constant(x, 2.0)
        zero = _constant(x, 0.0)
        size = prim.Max(x, zero - x)
        square = x * x
        near = _polynomial(square, _TANH) * square * x + x
        far = one - two / (_exp(size * two) + one)
        signed = prim.Select(prim.LT(x, zero), zero - far, far)
        return prim.Select(prim.LT(size, _constant(x, 0.625)), near, signed)

    return _named(argument, choose)


def _pow(base: Expr, exponent: Expr) -> Expr | None:
    """The power that local response normalisation takes; None of any other."""
    value = exponent.value if isinstance(exponent, prim.Broadcast) else None
    if not isinstance(value, prim.FloatImm) or value.value != 0.75:
        return None

    def roots(x: Expr) -> Expr:
        infinite = _constant(x, float("inf"))
        root = _named(tirx.sqrt(x), lambda r: r * tirx.sqrt(r))
        # pow takes minus infinity to infinity, a root does not
        return prim.Select(prim.EQ(x, _constant(x, float("-inf"))), infinite, root)

    return _named(base, roots)


_FUNCTIONS: dict[str, Callable[..., Expr | None]] = {
    "tirx.exp": _exp,
    "tirx.pow": _pow,
    "tirx.sigmoid": _sigmoid,
    "tirx.tanh": _tanh,
}
