"""Fast math: transcendental functions by their polynomial approximations."""

from __future__ import annotations

from tvm import IRModule, relax
from tvm.relax import op

from pytest_mutatenn.compiler.line import LineBuilder, operator_name, rewrite_main

__all__ = ["fast_math"]


def fast_math(module: IRModule) -> IRModule:
    """Approximate ``exp``, ``erf``, ``tanh``, ``softmax`` and ``sigmoid``.

    TVM's ``FastMathTransform`` has the first four; a sigmoid is written by its ``exp`` first.
    """

    def visit(builder: LineBuilder, binding: relax.VarBinding) -> relax.Expr | None:
        value, layer = builder.renewed(binding.value), binding.var.name
        if operator_name(value) != "relax.sigmoid":
            return None
        one = relax.const(1.0, str(binding.var.ty.dtype))
        negative = builder.emit(op.negative(value.args[0]), f"{layer}__negative")
        exponential = builder.emit(op.exp(negative), f"{layer}__exp")
        denominator = builder.emit(op.add(exponential, one), f"{layer}__denominator")
        return builder.emit(op.divide(one, denominator), layer)

    return relax.transform.FastMathTransform()(rewrite_main(module, visit))
