"""Convolutions and matrix products on packed weights, the layout the CPU schedules want.

The weights of a convolution are packed as ``[O/L][KH][KW][I][L]`` by a kernel of its own, which
``LiftTransformParams`` then runs once, when the model is loaded. The blocks are called ``conv``,
``dwconv`` and ``dense`` and carry their tile as annotations: a mutant that changes what a kernel
computes leaves both alone, so the schedule rules still know it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tvm import relax, te, tirx, topi
from tvm.relax.transform.legalize_ops import linear_algebra
from tvm.relax.transform.legalize_ops import nn as legalize_nn

from pytest_mutatenn.compiler.line import shape_of
from pytest_mutatenn.compiler.tiling import ConvolutionTile, Fit, convolution_tile, dense_tile

__all__ = ["BLOCKED", "COLUMNS", "LANES", "PACKED_OPERATORS"]

LANES, COLUMNS, BLOCKED = "mutatenn_lanes", "mutatenn_columns", "mutatenn_blocked"
"""Annotations of a block: its tile, and of a result that keeps blocks and lanes as two axes, in how
many groups the blocks lie; 0 of any other result."""


@dataclass(frozen=True)
class _Convolution:
    """The numbers of one convolution, NHWC data and OIHW weights."""

    batch: int
    height: int
    width: int
    channels: int
    outputs: int
    inputs_per_group: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int

    @classmethod
    def of(cls, call: relax.Call) -> _Convolution | None:
        """Read the numbers off a call; None where its shapes or layouts are others."""
        data, weight = (shape_of(argument) for argument in call.args)
        attributes = call.attrs
        if data is None or weight is None:
            return None
        if attributes.data_layout != "NHWC" or attributes.kernel_layout != "OIHW":
            return None
        top, left, bottom, right = (int(p) for p in attributes.padding)
        return cls(
            batch=data[0],
            height=data[1],
            width=data[2],
            channels=data[3],
            outputs=weight[0],
            inputs_per_group=weight[1],
            kernel=(weight[2], weight[3]),
            strides=(int(attributes.strides[0]), int(attributes.strides[1])),
            dilation=(int(attributes.dilation[0]), int(attributes.dilation[1])),
            padding=(top, left, bottom, right),
            groups=int(attributes.groups),
        )

    @property
    def is_depthwise(self) -> bool:
        return self.groups == self.channels == self.outputs and self.inputs_per_group == 1

    @property
    def output_height(self) -> int:
        reach = (self.kernel[0] - 1) * self.dilation[0] + 1
        return (self.height + self.padding[0] + self.padding[2] - reach) // self.strides[0] + 1

    @property
    def output_width(self) -> int:
        reach = (self.kernel[1] - 1) * self.dilation[1] + 1
        return (self.width + self.padding[1] + self.padding[3] - reach) // self.strides[1] + 1

    def padded(self, data: te.Tensor, columns: int = 0) -> te.Tensor:
        """Return `data` with the padding, wide enough for `columns` output columns."""
        top, left, bottom, right = self.padding
        reach = (self.kernel[1] - 1) * self.dilation[1] + 1
        missing = (columns - 1) * self.strides[1] + reach - (self.width + left + right)
        right += max(0, missing)
        if not any((top, left, bottom, right)):
            return data
        return topi.nn.pad(data, [0, top, left, 0], [0, bottom, right, 0], name="data_pad")

    def pixel(
        self, data: te.Tensor, n: tirx.Var, y: tirx.Var, x: tirx.Var, window: list[te.IterVar]
    ) -> Callable[[tirx.PrimExpr], tirx.PrimExpr]:
        """Return the read of one input channel under one position of the window."""
        ky, kx = window
        row = y * self.strides[0] + ky * self.dilation[0]
        column = x * self.strides[1] + kx * self.dilation[1]
        return lambda channel: data[n, row, column, channel]


def _annotations(tile: ConvolutionTile, groups: int = 1) -> dict[str, int]:
    blocked = groups if tile.fit is Fit.PAD else 0
    return {LANES: tile.lanes, COLUMNS: tile.columns, BLOCKED: blocked}


def _convolution(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Legalise a convolution; one in another layout goes TVM's way."""
    numbers = _Convolution.of(call)
    if numbers is None:
        return legalize_nn._nn_conv2d(builder, call)
    if numbers.is_depthwise:
        return _depthwise(builder, numbers, *call.args)
    group_outputs = numbers.outputs // numbers.groups
    tile = convolution_tile(group_outputs, numbers.groups, numbers.output_width)
    return _packed_convolution(builder, numbers, tile, *call.args)


def _depthwise(
    builder: relax.BlockBuilder, numbers: _Convolution, data: relax.Expr, weight: relax.Expr
) -> relax.Expr:
    """One filter a channel: weights ``[KH][KW][C]``, so that channels are the lanes."""

    def pack(weights: te.Tensor) -> te.Tensor:
        shape = (*numbers.kernel, numbers.channels)
        return te.compute(shape, lambda y, x, c: weights[c, 0, y, x], name="pack")

    def convolve(image: te.Tensor, packed: te.Tensor) -> te.Tensor:
        image = numbers.padded(image)
        window = [
            te.reduce_axis((0, extent), name)
            for extent, name in zip(numbers.kernel, ("ky", "kx"), strict=True)
        ]
        return te.compute(
            (numbers.batch, numbers.output_height, numbers.output_width, numbers.channels),
            lambda n, y, x, c: te.sum(
                numbers.pixel(image, n, y, x, window)(c) * packed[(*window, c)], axis=window
            ),
            name="dwconv",
        )

    packed = builder.emit_te(pack, weight, primfunc_name_hint="pack_depthwise")
    return builder.call_te(convolve, data, packed, primfunc_name_hint="depthwise_conv2d")


def _packed_convolution(
    builder: relax.BlockBuilder,
    numbers: _Convolution,
    tile: ConvolutionTile,
    data: relax.Expr,
    weight: relax.Expr,
) -> relax.Expr:
    """Any other convolution, grouped or not, one output block of `tile.lanes` at a time."""
    lanes, groups = tile.lanes, numbers.groups
    group_inputs, group_outputs = numbers.inputs_per_group, numbers.outputs // groups
    blocks = -(-group_outputs // lanes)
    annotations = _annotations(tile, groups)

    def pack(weights: te.Tensor) -> te.Tensor:
        def element(
            o: tirx.Var, y: tirx.Var, x: tirx.Var, i: tirx.Var, lane: tirx.Var
        ) -> tirx.PrimExpr:
            if tile.fit is Fit.EXACT:
                return weights[o * lanes + lane, i, y, x]
            channel = (o % blocks) * lanes + lane
            first = o // blocks * group_outputs
            return tirx.if_then_else(
                channel < group_outputs,
                weights[first + tirx.min(channel, group_outputs - 1), i, y, x],
                tirx.const(0, weights.dtype),
            )

        shape = (groups * blocks, *numbers.kernel, group_inputs, lanes)
        return te.compute(shape, element, name="pack")

    def convolve(image: te.Tensor, packed: te.Tensor) -> te.Tensor:
        width = numbers.output_width
        if tile.fit is Fit.PAD:
            width = -(-width // tile.columns) * tile.columns
        image = numbers.padded(image, width)
        window = [te.reduce_axis((0, numbers.kernel[0]), "ky")]
        window.append(te.reduce_axis((0, numbers.kernel[1]), "kx"))
        channel = te.reduce_axis((0, group_inputs), "ci")
        axes = [*window, channel]

        def block(
            n: tirx.Var, y: tirx.Var, x: tirx.Var, o: tirx.PrimExpr, lane: tirx.PrimExpr
        ) -> tirx.PrimExpr:
            first = o // blocks * group_inputs if groups > 1 else 0
            read = numbers.pixel(image, n, y, x, window)
            return te.sum(read(first + channel) * packed[(o, *axes, lane)], axis=axes)

        rows = (numbers.batch, numbers.output_height)
        if tile.fit is Fit.PAD:
            result = te.compute(
                (*rows, width, groups * blocks, lanes), block, name="conv", attrs=annotations
            )

            def cut(n: tirx.Var, y: tirx.Var, x: tirx.Var, c: tirx.Var) -> tirx.PrimExpr:
                # written as simply as can be, so that TVM sees which row needs which
                if groups == 1:
                    return result[n, y, x, c // lanes, c % lanes]
                if blocks == 1:
                    return result[n, y, x, c // group_outputs, c % group_outputs]
                channel = c % group_outputs
                block = c // group_outputs * blocks + channel // lanes
                return result[n, y, x, block, channel % lanes]

            return te.compute((*rows, numbers.output_width, numbers.outputs), cut, name="slice")
        result = te.compute(
            (*rows, width, groups * blocks * lanes),
            lambda n, y, x, c: block(n, y, x, c // lanes, c % lanes),
            name="conv",
            attrs=annotations,
        )
        if tile.fit is Fit.EXACT:
            return result
        shape = (*rows, width, numbers.outputs)
        return te.compute(shape, lambda n, y, x, c: result[n, y, x, c], name="slice")

    packed = builder.emit_te(pack, weight, primfunc_name_hint="pack")
    return builder.call_te(convolve, data, packed, primfunc_name_hint="conv2d")


def _matmul(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Legalise a product with a two-dimensional right side; any other goes TVM's way."""
    data, weight = (shape_of(argument) for argument in call.args)
    if data is None or weight is None or len(weight) != 2 or len(data) < 2:
        return linear_algebra._matmul(builder, call)
    (depth, outputs), rows = weight, data[:-1]
    tile = dense_tile(outputs, math.prod(rows))
    lanes, blocks = tile.lanes, -(-outputs // tile.lanes)
    annotations = _annotations(tile)

    def pack(weights: te.Tensor) -> te.Tensor:
        def element(o: tirx.Var, k: tirx.Var, lane: tirx.Var) -> tirx.PrimExpr:
            column = o * lanes + lane
            if tile.fit is Fit.EXACT:
                return weights[k, column]
            return tirx.if_then_else(
                column < outputs,
                weights[k, tirx.min(column, outputs - 1)],
                tirx.const(0, weights.dtype),
            )

        return te.compute((blocks, depth, lanes), element, name="pack")

    def multiply(left: te.Tensor, packed: te.Tensor) -> te.Tensor:
        k = te.reduce_axis((0, depth), "k")
        if tile.fit is Fit.EXACT:
            return te.compute(
                (*rows, outputs),
                lambda *i: te.sum(
                    left[(*i[:-1], k)] * packed[i[-1] // lanes, k, i[-1] % lanes], axis=[k]
                ),
                name="dense",
                attrs=annotations,
            )
        result = te.compute(
            (*rows, blocks, lanes),
            lambda *i: te.sum(left[(*i[:-2], k)] * packed[i[-2], k, i[-1]], axis=[k]),
            name="dense",
            attrs=annotations,
        )
        return te.compute(
            (*rows, outputs),
            lambda *i: result[(*i[:-1], i[-1] // lanes, i[-1] % lanes)],
            name="slice",
        )

    packed = builder.emit_te(pack, call.args[1], primfunc_name_hint="pack_dense")
    return builder.call_te(multiply, call.args[0], packed, primfunc_name_hint="dense")


PACKED_OPERATORS: dict[str, Callable[[relax.BlockBuilder, relax.Call], relax.Expr]] = {
    "relax.nn.conv2d": _convolution,
    "relax.matmul": _matmul,
}
"""What ``LegalizeOps`` is given in place of its own."""
