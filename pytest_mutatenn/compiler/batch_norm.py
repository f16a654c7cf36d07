"""Batch norm folded into the weights of the convolution before it.

TVM's ``FoldBatchnormToConv2D`` wants constants; here weights are parameters, so the arithmetic on
them becomes Relax operators that ``LiftTransformParams`` moves out of the network.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import IRModule, relax
from tvm.relax import op

from pytest_mutatenn.compiler.line import (
    LineBuilder,
    bindings_of,
    operator_name,
    rewrite_main,
    shape_of,
    uses_of,
)

__all__ = ["fold_batch_norm"]


@dataclass(frozen=True)
class _Fold:
    """One batch norm, and the convolution (and bias) it goes into, if any."""

    batch_norm: relax.VarBinding
    convolution: relax.VarBinding | None = None
    bias: relax.VarBinding | None = None


def fold_batch_norm(module: IRModule) -> IRModule:
    """Fold each batch norm into the convolution before it, or into one scale and one shift.

    ``batch_norm(conv(x, w) + b)`` becomes ``conv(x, w * scale) + (b * scale + shift)``, with the
    convolution and the bias under their own names; the batch norm is gone. A batch norm after
    anything else becomes ``x * scale + shift`` under its own name.

    Parameters
    ----------
    module
        A module whose ``main`` is one straight line, before ``DecomposeOpsForInference``.
    """
    folds = _find_folds(module["main"])
    by_convolution = {f.convolution.var: f for f in folds if f.convolution is not None}
    by_bias = {f.bias.var: f for f in folds if f.bias is not None}
    by_batch_norm = {f.batch_norm.var: f for f in folds}
    if not folds:
        return module
    scales: dict[relax.Var, tuple[relax.Var, relax.Var]] = {}

    def visit(builder: LineBuilder, binding: relax.VarBinding) -> relax.Expr | None:
        var = binding.var
        value = builder.renewed(binding.value)
        if fold := by_convolution.get(var):
            scale, shift = _scale_and_shift(builder, fold.batch_norm, var.name)
            scales[fold.batch_norm.var] = scale, shift
            return _scaled_convolution(builder, value, scale, var.name)
        if fold := by_bias.get(var):
            scale, shift = scales[fold.batch_norm.var]
            return _shifted(builder, fold, value, scale, shift)
        if fold := by_batch_norm.get(var):
            result = _batch_norm(builder, fold, value, scales.get(var))
            return relax.Tuple([result, value.args[3], value.args[4]])
        if isinstance(value, relax.TupleGetItem) and isinstance(value.tuple_value, relax.Tuple):
            return value.tuple_value.fields[value.index]
        return None

    return rewrite_main(module, visit)


def _find_folds(main: relax.Function) -> list[_Fold]:
    """Return every batch norm of `main` that can be folded."""
    definitions = {binding.var: binding for binding in bindings_of(main)}
    readers = uses_of(main)
    parameters = set(main.params)

    def only_use(var: relax.Expr) -> bool:
        return len(readers.get(var, ())) == 1

    folds = []
    for binding in definitions.values():
        value = binding.value
        if operator_name(value) != "relax.nn.batch_norm" or not _is_inference(value):
            continue
        items = [definitions[reader].value for reader in readers.get(binding.var, ())]
        if not all(isinstance(item, relax.TupleGetItem) for item in items):
            continue
        producer = definitions.get(value.args[0])
        if (
            producer is None
            or not only_use(producer.var)
            or int(value.attrs.axis) != 1
            or not all(argument in parameters for argument in value.args[1:])
        ):
            folds.append(_Fold(binding))
        elif _is_convolution(producer.value):
            folds.append(_Fold(binding, producer))
        elif convolution := _biased_convolution(producer.value, definitions):
            if only_use(convolution.var):
                folds.append(_Fold(binding, convolution, producer))
            else:
                folds.append(_Fold(binding))
        else:
            folds.append(_Fold(binding))
    return folds


def _is_inference(batch_norm: relax.Call) -> bool:
    attributes = batch_norm.attrs
    return bool(attributes.center) and bool(attributes.scale) and not bool(attributes.training)


def _is_convolution(expr: relax.Expr) -> bool:
    return (
        operator_name(expr) == "relax.nn.conv2d"
        and expr.attrs.data_layout == "NCHW"
        and expr.attrs.kernel_layout == "OIHW"
    )


def _biased_convolution(
    expr: relax.Expr, definitions: dict[relax.Var, relax.VarBinding]
) -> relax.VarBinding | None:
    """Return the convolution that `expr` adds a per-channel bias to, if it does."""
    if operator_name(expr) != "relax.add":
        return None
    convolution = definitions.get(expr.args[0])
    if convolution is None or not _is_convolution(convolution.value):
        return None
    channels = (shape_of(convolution.var) or [0, 0])[1]
    bias_shape = shape_of(expr.args[1])
    if bias_shape not in ([1, channels, 1, 1], [channels, 1, 1]):
        return None
    return convolution


def _scale_and_shift(
    builder: LineBuilder, batch_norm: relax.VarBinding, layer: str
) -> tuple[relax.Var, relax.Var]:
    """Emit ``gamma / sqrt(variance + epsilon)`` and ``beta - mean * scale``, one per channel."""
    gamma, beta, mean, variance = (builder.renewed(a) for a in batch_norm.value.args[1:])
    epsilon = relax.const(float(batch_norm.value.attrs.epsilon), str(gamma.ty.dtype))
    steadied = builder.emit(op.add(variance, epsilon), f"{layer}__variance")
    deviation = builder.emit(op.sqrt(steadied), f"{layer}__deviation")
    scale = builder.emit(op.divide(gamma, deviation), f"{layer}__scale")
    offset = builder.emit(op.multiply(mean, scale), f"{layer}__offset")
    return scale, builder.emit(op.subtract(beta, offset), f"{layer}__shift")


def _per_channel(builder: LineBuilder, vector: relax.Var, rank: int, axis: int) -> relax.Var:
    """Emit `vector` reshaped to broadcast along `axis` of a tensor of `rank` dimensions."""
    extents = shape_of(vector) or []
    shape = [extents[0] if dimension == axis else 1 for dimension in range(rank)]
    return builder.emit(op.reshape(vector, shape), f"{vector.name}_{rank}d_{axis}")


def _scaled_convolution(
    builder: LineBuilder, convolution: relax.Call, scale: relax.Var, layer: str
) -> relax.Var:
    data, weight = convolution.args
    factors = _per_channel(builder, scale, 4, 0)
    scaled = builder.emit(op.multiply(weight, factors), f"{layer}__weight")
    call = relax.Call(convolution.op, [data, scaled], convolution.attrs, convolution.ty_args)
    return builder.emit(call, layer)


def _shifted(
    builder: LineBuilder, fold: _Fold, addition: relax.Call, scale: relax.Var, shift: relax.Var
) -> relax.Var:
    """Emit the bias of a folded convolution: its own, scaled, plus the batch norm's shift."""
    assert fold.bias is not None
    layer = fold.bias.var.name
    data, bias = addition.args
    factors = _per_channel(builder, scale, 4, 1)
    scaled = builder.emit(op.multiply(bias, factors), f"{layer}__bias")
    total = builder.emit(op.add(scaled, _per_channel(builder, shift, 4, 1)), f"{layer}__total")
    return builder.emit(op.add(data, total), layer)


def _batch_norm(
    builder: LineBuilder,
    fold: _Fold,
    value: relax.Call,
    folded: tuple[relax.Var, relax.Var] | None,
) -> relax.Expr:
    """Emit what is left of a batch norm once its convolution, if any, has been scaled."""
    data, layer = value.args[0], fold.batch_norm.var.name
    if fold.bias is not None:
        return data
    rank, axis = len(shape_of(data) or []), int(value.attrs.axis)
    if folded is None:
        scale, shift = _scale_and_shift(builder, fold.batch_norm, layer)
        factors = _per_channel(builder, scale, rank, axis)
        data = builder.emit(op.multiply(data, factors), f"{layer}__scaled")
    else:
        shift = folded[1]
    return builder.emit(op.add(data, _per_channel(builder, shift, rank, axis)), layer)
