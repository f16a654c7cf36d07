"""Graph mutants: changes of one binding of the Relax function as imported."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import IRModule, relax

from pytest_mutatenn.compiler.line import LineBuilder, bindings_of, operator_name, rewrite_main
from pytest_mutatenn.operators.graph.operand import Line
from pytest_mutatenn.operators.registry import Operator


@dataclass(frozen=True)
class GraphChange:
    """One replacement that an operator offers for one layer.

    Attributes
    ----------
    op
        The operator.
    layer
        Name of the layer.
    number
        From 1, among what the operator offers for this layer.
    choice
        Which of the operator's replacements, from 0; some may not fit and are not offered.
    before, after
        The layer's line of Relax.
    """

    op: Operator
    layer: str
    number: int
    choice: int
    before: str
    after: str


def graph_changes(
    op: Operator, module: IRModule, layers: Container[str] | None = None
) -> Iterator[GraphChange]:
    """Everything the operator offers in ``main``, or in some of its layers, in their order.

    A replacement of another shape or dtype than the layer's does not fit and is no site.
    """
    main = module["main"]
    line = Line.of(main)
    for binding in bindings_of(main):
        if operator_name(binding.value) not in op.on:
            continue
        if layers is not None and binding.var.name not in layers:
            continue
        number = 0
        for choice, new in enumerate(_asked(op, binding.value, line)):
            var = _emit_nested(LineBuilder([]), new, binding.var.name)
            if tvm_ffi.structural_equal(var.ty, binding.var.ty):
                number += 1
                before, after = line_of(binding.var, binding.value), line_of(binding.var, new)
                yield GraphChange(op, binding.var.name, number, choice, before, after)


def apply_graph(module: IRModule, chosen: Iterable[GraphChange]) -> IRModule:
    """Return the module with the layers changed; of several changes of a layer, the first."""
    by_layer: dict[str, GraphChange] = {}
    for change in chosen:
        by_layer.setdefault(change.layer, change)
    line = Line.of(module["main"])

    def visit(builder: LineBuilder, binding: relax.VarBinding) -> relax.Expr | None:
        change = by_layer.get(binding.var.name)
        if change is None:
            return None
        # asked about the layer as it was, whose neighbours are known
        new = _asked(change.op, binding.value, line)[change.choice]
        return _emit_nested(builder, builder.renewed(new), binding.var.name, binding.var)

    return rewrite_main(module, visit)


def _asked(op: Operator, layer: Any, line: Line) -> list[Any]:
    with line.known():
        return list(op.replacements(layer))


def negate_output(module: IRModule) -> IRModule:
    """The canary: every output of the network with its sign changed."""
    name = module.get_global_var("main")
    main = module[name]
    builder = LineBuilder(main.params)
    for binding in bindings_of(main):
        value = builder.renewed(binding.value)
        builder.values[binding.var] = builder.emit(value, binding.var.name)
    result = builder.renewed(main.body.body)
    fields = list(result.fields) if isinstance(result, relax.Tuple) else [result]
    negated = [
        builder.emit(relax.op.negative(field), f"canary_{i}") for i, field in enumerate(fields)
    ]
    result = negated[0] if len(negated) == 1 else relax.Tuple(negated)
    renewed = IRModule(dict(module.functions.items()), attrs=module.attrs)
    renewed.update_func(name, builder.finish(main, result))
    return renewed


def _emit_nested(builder: LineBuilder, expr: Any, name: str, old: Any = None) -> Any:
    """Bind an expression whose operands may be calls; the last binding has the layer's name.

    ``old`` is the variable whose place it takes.
    """
    parts = 0

    def bound(node: Any) -> Any:
        nonlocal parts
        if not isinstance(node, (relax.Call, relax.TupleGetItem)):
            return node
        parts += 1
        return builder.emit(flat(node), f"{name}_part{parts}")

    def flat(node: Any) -> Any:
        if isinstance(node, relax.Call):
            args = [bound(arg) for arg in node.args]
            return relax.Call(node.op, args, node.attrs, node.ty_args)
        if isinstance(node, relax.Tuple):
            return relax.Tuple([bound(field) for field in node.fields])
        if isinstance(node, relax.TupleGetItem):
            return relax.TupleGetItem(bound(node.tuple_value), node.index)
        return node

    return builder.emit(flat(expr), name, old)


def line_of(var: Any, expr: Any) -> str:
    """One line of TVMScript for a binding."""
    text = " ".join(line.strip() for line in expr.script().strip().splitlines()[-1:])
    return f"{var.name} = {text}"
