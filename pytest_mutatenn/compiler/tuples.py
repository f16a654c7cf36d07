"""Bindings that compute nothing: tuples taken apart again, and second names of a value."""

from __future__ import annotations

from collections.abc import Collection

from tvm import IRModule, relax

from pytest_mutatenn.compiler.line import LineBuilder, bindings_of, rewrite_main

__all__ = ["take_tuples_apart"]


def take_tuples_apart(module: IRModule, layers: Collection[str]) -> IRModule:
    """Replace every item taken from a known tuple, and every alias, by the value itself.

    ``DecomposeOpsForInference`` turns a batch norm into arithmetic under new names and a tuple
    under the layer's; the arithmetic's last line inherits that name here, as the layer's end.

    Parameters
    ----------
    module
        A module whose ``main`` is one straight line.
    layers
        The names that are layers; what ends a layer keeps its own name.
    """
    main = module["main"]
    parameters = set(main.params)
    renamed = {
        binding.value.fields[0]: binding.var.name
        for binding in bindings_of(main)
        if isinstance(binding.value, relax.Tuple) and not binding.var.same_as(main.body.body)
    }

    def visit(builder: LineBuilder, binding: relax.VarBinding) -> relax.Expr | None:
        var, value = binding.var, builder.renewed(binding.value)
        if isinstance(value, relax.Tuple) and not var.same_as(main.body.body):
            return value
        if isinstance(value, relax.Var) and value not in parameters:
            # CanonicalizeBindings would give the value the alias's name where that is the result
            return value
        if isinstance(value, relax.TupleGetItem) and isinstance(value.tuple_value, relax.Tuple):
            return value.tuple_value.fields[value.index]
        if var in renamed and var.name not in layers:
            return builder.emit(value, renamed[var])
        return None

    return rewrite_main(module, visit)
