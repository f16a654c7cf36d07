"""The imported function rebuilt: aliases, tuples and dead bindings gone, every binding named.

Imports TVM: only child processes import this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from pytest_mutatenn.errors import InternalError, MutatennError
from pytest_mutatenn.model.converters import static_shape
from pytest_mutatenn.model.onnx_graph import Node, Prepared, TensorSpec


@dataclass(frozen=True)
class Layer:
    """One binding of ``main`` and where it comes from.

    Attributes
    ----------
    name
        The variable's name, ``conv2d_3``.
    op
        The Relax operator, ``relax.nn.conv2d``; ``relax.TupleGetItem`` for an item of a tuple.
    onnx_node
        The ONNX node's name, or its first output's where it has none.
    onnx_op
        The node's operator, ``Conv``.
    """

    name: str
    op: str
    onnx_node: str
    onnx_op: str


@dataclass(frozen=True)
class Straight:
    """A rebuilt module; ``params`` are the identifiers of the weights that it reads."""

    module: tvm.IRModule
    params: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]
    layers: tuple[Layer, ...]


def straighten(
    module: tvm.IRModule, owners: Mapping[Any, Node], prepared: Prepared, file: str
) -> Straight:
    """Rebuild ``main`` binding by binding.

    Parameters
    ----------
    owners
        The variable that holds a node's output, to the node; the bindings before it that no other
        node owns are the node's too.

    Raises
    ------
    MutatennError
        A shape depends on data, a node branches, or nothing is left to mutate.
    """
    main = module["main"]
    count = int(main.attrs["num_input"])
    aliases: dict[Any, Any] = {}
    bindings = []
    for binding, node in _owned(main, owners, prepared):
        value = _substitute(binding.value, aliases)
        if not isinstance(value, relax.Call | relax.TupleGetItem | relax.If):
            aliases[binding.var] = value
            continue
        _check(binding, value, node, file)
        bindings.append((binding.var, value, node))
    result = _substitute(main.body.body, aliases)
    results = list(result.fields) if isinstance(result, relax.Tuple) else [result]
    bindings = _live(bindings, results)
    if not bindings:
        raise MutatennError(
            f"{file}: its outputs are its inputs or constants, so there is nothing to mutate"
        )
    used = set().union(*(_variables(value) for _, value, _ in bindings), *map(_variables, results))
    params = [p for i, p in enumerate(main.params) if i < count or p in used]
    layers = _layers(bindings)

    renamed = _params(params, layers)
    final = set().union(*map(_variables, results))
    builder = relax.BlockBuilder()
    with builder.function("main", list(renamed.values())):
        with builder.dataflow():
            for (var, value, _), layer in zip(bindings, layers, strict=True):
                value = builder.normalize(_substitute(value, renamed))
                kind = relax.Var if var in final else relax.DataflowVar
                renamed[var] = kind(layer.name, value.ty)
                builder.emit_normalized(relax.VarBinding(renamed[var], value))
        builder.emit_func_output(_substitute(result, renamed))
    function = builder.get()["main"].with_attr("num_input", count)
    return Straight(
        module=_with_kernels(function, module, bindings),
        params=tuple(p.name for p in params[count:]),
        outputs=tuple(
            _output(name, value, file)
            for name, value in zip(prepared.outputs, results, strict=True)
        ),
        layers=layers,
    )


def _owned(main: Any, owners: Mapping[Any, Node], prepared: Prepared) -> list[tuple[Any, Node]]:
    """Pair every binding with its node, in order."""
    waiting: list[Any] = []
    pairs: list[tuple[Any, Node]] = []
    for block in main.body.blocks:
        for binding in block.bindings:
            waiting.append(binding)
            if binding.var in owners:
                pairs += [(one, owners[binding.var]) for one in waiting]
                waiting = []
    # what TVM adds after the last node only names the outputs
    return pairs + [(one, prepared.nodes[-1]) for one in waiting]


def _substitute(value: Any, table: Mapping[Any, Any]) -> Any:
    """Replace variables; fold what is known: items of tuples, shapes of static tensors."""
    if isinstance(value, relax.Var):
        return table.get(value, value)
    if isinstance(value, relax.Tuple):
        return relax.Tuple([_substitute(one, table) for one in value.fields])
    if isinstance(value, relax.TupleGetItem):
        inner = _substitute(value.tuple_value, table)
        if isinstance(inner, relax.Tuple):
            return inner.fields[value.index]
        return relax.TupleGetItem(inner, value.index)
    if not isinstance(value, relax.Call):
        return value
    args = [_substitute(one, table) for one in value.args]
    name = getattr(value.op, "name", "")
    if name == "relax.shape_of" and (shape := static_shape(value.args[0])) is not None:
        return relax.ShapeExpr(list(shape))
    if name == "relax.shape_to_tensor" and isinstance(args[0], relax.ShapeExpr):
        return relax.const(np.array([int(n) for n in args[0].values], "int64"))
    return relax.Call(value.op, args, value.attrs, value.ty_args)


def _check(binding: Any, value: Any, node: Node, file: str) -> None:
    if isinstance(value, relax.If):
        raise MutatennError(
            f"{file}: {node} branches, and control flow cannot be mutated; export the network"
            " without it"
        )
    kinds = [binding.var.ty]
    while kinds:
        kind = kinds.pop()
        if isinstance(kind, relax.TupleType):
            kinds += list(kind.fields)
        elif not isinstance(kind, relax.TensorType) or static_shape(_Typed(kind)) is None:
            raise MutatennError(
                f"{file}: the shape of what {node} gives depends on the data ({kind}), and"
                " mutatenn needs shapes that are known before the network runs; export it with"
                " fixed shapes (onnxsim folds shape arithmetic away)"
            )


@dataclass(frozen=True)
class _Typed:
    ty: Any


def _live(bindings: list[tuple[Any, Any, Node]], results: list[Any]) -> list[tuple[Any, Any, Node]]:
    needed: set[Any] = set().union(*map(_variables, results))
    live = []
    for var, value, node in reversed(bindings):
        if var in needed:
            live.append((var, value, node))
            needed |= _variables(value)
    return live[::-1]


def _variables(value: Any) -> set[Any]:
    return set(_walk(value))


def _walk(value: Any) -> Iterator[Any]:
    if isinstance(value, relax.Var):
        yield value
    elif isinstance(value, relax.Tuple):
        for one in value.fields:
            yield from _walk(one)
    elif isinstance(value, relax.TupleGetItem):
        yield from _walk(value.tuple_value)
    elif isinstance(value, relax.Call):
        for one in value.args:
            yield from _walk(one)


def _layers(bindings: list[tuple[Any, Any, Node]]) -> tuple[Layer, ...]:
    counts: Counter[str] = Counter()
    names: dict[Any, str] = {}
    layers: list[Layer] = []
    for var, value, node in bindings:
        if isinstance(value, relax.TupleGetItem):
            op = "relax.TupleGetItem"
            stem = f"{names[value.tuple_value]}_item{value.index}"
        elif isinstance(value.op, tvm.ir.Op):
            op = str(value.op.name)
            # a kernel of TVM's own has no operator: its name says what it does
            called = value.args[0] if op.startswith("relax.call_") else None
            stem = getattr(called, "name_hint", None) or op.rpartition(".")[2]
        else:
            op = stem = str(getattr(value.op, "name_hint", "call"))
        name = f"{stem}_{counts[stem]}" if counts[stem] else stem
        while name in names.values():
            counts[stem] += 1
            name = f"{stem}_{counts[stem]}"
        counts[stem] += 1
        names[var] = name
        layers.append(Layer(name, op, node.name, node.op))
    return tuple(layers)


def _params(params: list[Any], layers: tuple[Layer, ...]) -> dict[Any, Any]:
    """Copy the parameters; one that is called like a layer gives way."""
    taken = {layer.name for layer in layers} | {p.name for p in params}
    renamed = {}
    for param in params:
        name = param.name
        if any(layer.name == name for layer in layers):
            while name in taken:
                name += "_"
            taken.add(name)
        renamed[param] = relax.Var(name, param.ty)
    return renamed


def _with_kernels(function: Any, module: tvm.IRModule, bindings: Any) -> tvm.IRModule:
    """Put ``main`` beside the kernels that its bindings call."""
    called = {
        arg.name_hint
        for _, value, _ in bindings
        if isinstance(value, relax.Call)
        for arg in [value.op, *value.args]
        if isinstance(arg, tvm.ir.GlobalVar)
    }
    functions = {gv: f for gv, f in module.functions.items() if gv.name_hint in called}
    result = tvm.IRModule({module.get_global_var("main"): function, **functions})
    try:
        relax.analysis.well_formed(result)
    except Exception as error:
        raise InternalError(f"the rebuilt function is not well formed: {error}") from error
    return result


def _output(name: str, value: Any, file: str) -> TensorSpec:
    shape = static_shape(value)
    if shape is None:
        raise MutatennError(f"{file}: the output {name!r} is no tensor of a known shape")
    return TensorSpec(name, shape, str(value.ty.dtype.dtype))
