"""Channels last: activations as NHWC, with transposes only where the two layouts meet.

TVM's ``ConvertLayout`` aborts on common networks and leaves depthwise convolutions behind, so this
is a pass of our own: it walks the line once and keeps, for each four-dimensional value, the
layouts it exists in. The kernels of weights stay OIHW; :mod:`~pytest_mutatenn.compiler.packing`
takes it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import IRModule, relax
from tvm.relax import op

from pytest_mutatenn.compiler.line import (
    LineBuilder,
    bindings_of,
    operands_of,
    operator_name,
    rewrite_main,
    shape_of,
    uses_of,
)

__all__ = ["channels_last"]

TO_CHANNELS_LAST = (0, 2, 3, 1)
TO_CHANNELS_FIRST = (0, 3, 1, 2)
_CHANNELS_FIRST_AXIS_IN_LAST = {0: 0, 1: 3, 2: 1, 3: 2}

_UNARY = frozenset(
    {
        "relax.abs",
        "relax.ceil",
        "relax.clip",
        "relax.cos",
        "relax.erf",
        "relax.exp",
        "relax.floor",
        "relax.log",
        "relax.negative",
        "relax.round",
        "relax.rsqrt",
        "relax.sigmoid",
        "relax.sign",
        "relax.sin",
        "relax.sqrt",
        "relax.square",
        "relax.tan",
        "relax.tanh",
        "relax.nn.gelu",
        "relax.nn.gelu_tanh",
        "relax.nn.leakyrelu",
        "relax.nn.relu",
        "relax.nn.relu6",
        "relax.nn.silu",
        "relax.nn.softplus",
        "relax.nn.selu",
    }
)
_BINARY = frozenset(
    {
        "relax.add",
        "relax.divide",
        "relax.maximum",
        "relax.minimum",
        "relax.multiply",
        "relax.power",
        "relax.subtract",
    }
)
_REDUCTIONS: dict[str, Callable[..., relax.Expr]] = {
    "relax.max": op.max,
    "relax.mean": op.mean,
    "relax.min": op.min,
    "relax.sum": op.sum,
}
_POOLS: dict[str, Callable[..., relax.Expr]] = {
    "relax.nn.avg_pool2d": op.nn.avg_pool2d,
    "relax.nn.max_pool2d": op.nn.max_pool2d,
}


def channels_last(module: IRModule) -> IRModule:
    """Return `module` with its convolutions, and what is between them, computed as NHWC.

    Each value keeps its layer's name; a transpose is called after the value it transposes and
    belongs to the layer that needs it. A module without a convolution comes back as it is.

    Parameters
    ----------
    module
        A module whose ``main`` is one straight line; convolutions NCHW with OIHW weights.
    """
    main = module["main"]
    if not any(_is_convolution(binding.value) for binding in bindings_of(main)):
        return module
    return rewrite_main(module, _Converter(main.body.body, _channel_windows(main)).visit)


def _is_convolution(expr: relax.Expr) -> bool:
    return (
        operator_name(expr) == "relax.nn.conv2d"
        and expr.attrs.data_layout == "NCHW"
        and expr.attrs.kernel_layout == "OIHW"
    )


@dataclass(frozen=True)
class _Window:
    """An average over neighbouring channels, which local response normalisation takes.

    ``inner`` are the values on the way that nothing else reads.
    """

    data: relax.Var
    size: int
    before: int
    after: int
    inner: tuple[relax.Var, ...]


def _channel_windows(main: relax.Function) -> dict[relax.Var, _Window]:
    """Find ``squeeze(avg_pool3d(expand_dims(x, 1), [size, 1, 1]), 1)``, TVM's form of it."""
    definitions = {binding.var: binding.value for binding in bindings_of(main)}
    readers = uses_of(main)
    windows = {}
    for var, squeeze in definitions.items():
        if operator_name(squeeze) != "relax.squeeze" or _only_axis(squeeze) != 1:
            continue
        pool: Any = definitions.get(squeeze.args[0])
        if operator_name(pool) != "relax.nn.avg_pool3d" or not _is_channel_window(pool):
            continue
        expanded: Any = definitions.get(pool.args[0])
        if operator_name(expanded) != "relax.expand_dims" or _only_axis(expanded) != 1:
            continue
        inner = squeeze.args[0], pool.args[0]
        if any(len(readers.get(value, ())) != 1 for value in inner):
            continue
        before, after = int(pool.attrs.padding[0]), int(pool.attrs.padding[3])
        size = int(pool.attrs.pool_size[0])
        windows[var] = _Window(expanded.args[0], size, before, after, inner)
    return windows


def _only_axis(call: relax.Call) -> int | None:
    axes = call.attrs.axis
    return int(axes[0]) if axes is not None and len(axes) == 1 else None


def _is_channel_window(pool: relax.Call) -> bool:
    attributes = pool.attrs
    return (
        attributes.layout == "NCDHW"
        and [int(size) for size in attributes.pool_size][1:] == [1, 1]
        and all(int(step) == 1 for step in [*attributes.strides, *attributes.dilation])
        and [int(p) for p in attributes.padding][1:3] == [0, 0]
        and [int(p) for p in attributes.padding][4:] == [0, 0]
        and bool(attributes.count_include_pad)
        and not attributes.ceil_mode
    )


class _Converter:
    """Walks the line and knows which of its values exist as NHWC, and where.

    Parameters
    ----------
    result
        The function's result, which must come out as it was.
    windows
        Squeeze -> pooling over channels, as :func:`_channel_windows` finds them.
    """

    def __init__(self, result: relax.Expr, windows: dict[relax.Var, _Window]) -> None:
        self._result = result
        self._last: dict[relax.Expr, relax.Expr] = {}
        # NHWC alone: the builder's value of these is a stand-in until someone asks for NCHW
        self._only_last: set[relax.Expr] = set()
        self._windows = windows

    def visit(self, builder: LineBuilder, binding: relax.VarBinding) -> relax.Expr:
        """Emit one binding in the layout that suits it."""
        var, value = binding.var, binding.value
        for window in self._windows.values():
            if var in window.inner and window.data in self._last:
                return self._last[window.data]  # a stand-in: the squeeze alone reads it
        if var in self._windows and self._windows[var].data in self._last:
            converted = self._pooled(self._windows[var])
        else:
            converted = self._converted(builder, value)
        if converted is None:
            return self._kept(builder, binding)
        if var.same_as(self._result):
            last = builder.emit(converted, f"{var.name}__nhwc")
            return builder.emit(op.permute_dims(last, TO_CHANNELS_FIRST), var.name)
        self._last[var] = builder.emit(converted, var.name)
        self._only_last.add(var)
        return self._last[var]

    def _kept(self, builder: LineBuilder, binding: relax.VarBinding) -> relax.Expr:
        """Emit a binding as it was, and remember what a transpose says about layouts."""
        var, value = binding.var, binding.value
        axes = _axes(value)
        operand = value.args[0] if axes else None
        if axes == TO_CHANNELS_LAST and operand in self._last and not var.same_as(self._result):
            return self._last[operand]
        if operator_name(value) == "relax.reshape" and self._is_flat(value.args[0]):
            # with one pixel, both layouts lie alike in memory
            return builder.emit(
                relax.Call(value.op, [self._last[value.args[0]], value.args[1]], value.attrs),
                var.name,
            )
        for used in operands_of(value):
            self._channels_first(builder, used)
        renewed = builder.emit(builder.renewed(value), var.name)
        if axes == TO_CHANNELS_FIRST:
            self._last[var] = builder.renewed(operand)
        return renewed

    def _is_flat(self, expr: relax.Expr) -> bool:
        return expr in self._only_last and (shape_of(expr) or [])[2:] == [1, 1]

    def _channels_first(self, builder: LineBuilder, expr: relax.Expr) -> relax.Expr:
        """Return `expr` in the layout it was imported in, transposed now if need be."""
        if expr in self._only_last:
            self._only_last.remove(expr)
            back = op.permute_dims(self._last[expr], TO_CHANNELS_FIRST)
            builder.values[expr] = builder.emit(back, f"{expr.name}__nchw")
        if isinstance(expr, relax.Tuple):
            for field in expr.fields:
                self._channels_first(builder, field)
        return builder.renewed(expr)

    def _channels_last(self, builder: LineBuilder, expr: relax.Expr) -> relax.Expr:
        """Return `expr` as NHWC, or, of lower rank, in the shape that broadcasts against it."""
        if expr in self._last:
            return self._last[expr]
        shape = shape_of(expr)
        assert shape is not None, "an operand of a tensor operator is a static tensor"
        value = self._channels_first(builder, expr)
        if not shape:
            return value
        name = getattr(expr, "name", "constant")
        if len(shape) < 4:
            value = builder.emit(op.reshape(value, [1] * (4 - len(shape)) + shape), f"{name}__4d")
        value = builder.emit(op.permute_dims(value, TO_CHANNELS_LAST), f"{name}__nhwc")
        if len(shape) == 4:
            self._last[expr] = value
        return value

    def _converted(self, builder: LineBuilder, value: relax.Expr) -> relax.Expr | None:
        """Return `value` computed as NHWC; None where it cannot be, or where it would not pay."""
        if not isinstance(value, relax.Call):
            return None
        name, attributes = operator_name(value), value.attrs
        if _is_convolution(value):
            data = self._channels_last(builder, value.args[0])
            weight = self._channels_first(builder, value.args[1])
            return op.nn.conv2d(
                data,
                weight,
                attributes.strides,
                attributes.padding,
                attributes.dilation,
                int(attributes.groups),
                "NHWC",
                "OIHW",
            )
        if name in _BINARY:
            return self._binary(builder, value)
        if name == "relax.concat":
            return self._concatenation(builder, value)
        if not value.args or value.args[0] not in self._last:
            return None
        data = self._last[value.args[0]]
        if name in _UNARY:
            return relax.Call(value.op, [data, *value.args[1:]], attributes, value.ty_args)
        if name in _POOLS and attributes.layout == "NCHW":
            return _POOLS[name](
                data,
                attributes.pool_size,
                attributes.strides,
                attributes.padding,
                attributes.dilation,
                bool(attributes.ceil_mode),
                bool(attributes.count_include_pad),
                "NHWC",
            )
        if name == "relax.nn.adaptive_avg_pool2d" and attributes.layout == "NCHW":
            return op.nn.adaptive_avg_pool2d(data, attributes.output_size, "NHWC")
        if name in _REDUCTIONS and attributes.keepdims and attributes.axis is not None:
            axes = [_CHANNELS_FIRST_AXIS_IN_LAST[int(axis) % 4] for axis in attributes.axis]
            return _REDUCTIONS[name](data, axes, True)
        return None

    def _pooled(self, window: _Window) -> relax.Expr:
        """Pool over the channels, which as NHWC are what NCHW calls the columns."""
        return op.nn.avg_pool2d(
            self._last[window.data],
            [1, window.size],
            [1, 1],
            [0, window.before, 0, window.after],
            count_include_pad=True,
        )

    def _binary(self, builder: LineBuilder, value: relax.Call) -> relax.Expr | None:
        shapes = [shape_of(argument) for argument in value.args]
        if any(shape is None for shape in shapes) or not any(a in self._last for a in value.args):
            return None
        if max(len(shape or []) for shape in shapes) != 4:
            return None
        operands = [self._channels_last(builder, argument) for argument in value.args]
        return relax.Call(value.op, operands, value.attrs, value.ty_args)

    def _concatenation(self, builder: LineBuilder, value: relax.Call) -> relax.Expr | None:
        parts = value.args[0]
        if not isinstance(parts, relax.Tuple) or not any(p in self._last for p in parts.fields):
            return None
        axis = _CHANNELS_FIRST_AXIS_IN_LAST[int(value.attrs.axis) % 4]
        return op.concat([self._channels_last(builder, part) for part in parts.fields], axis)


def _axes(value: relax.Expr) -> tuple[int, ...] | None:
    """Return the axes of a transpose; None of anything else."""
    if operator_name(value) != "relax.permute_dims" or value.attrs.axes is None:
        return None
    return tuple(int(axis) for axis in value.attrs.axes)
