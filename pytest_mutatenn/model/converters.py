"""What TVM's ONNX importer gives in several steps or with data-dependent shapes, in one layer.

Each converter returns the Relax expression, or None to leave the node to TVM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax

Expr = Any
Values = Mapping[str, tuple[Any, Any]]
"""TVM's table of parameters: name to (variable, tensor)."""

Converter = Callable[[Any, Sequence[Expr], dict[str, Any], Values], "Expr | None"]


def clip(_: Any, inputs: Sequence[Expr], attrs: dict[str, Any], values: Values) -> Expr | None:
    """Make one ``relax.clip`` of a Clip whose bounds are known; TVM makes an opaque kernel."""
    dtype = np.dtype(str(inputs[0].ty.dtype.dtype))
    if dtype.kind not in "fiu":
        return None
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    bounds = []
    for i, (name, default) in enumerate((("min", limits.min), ("max", limits.max)), start=1):
        bound: Any = attrs.get(name)  # before opset 11
        given = inputs[i] if i < len(inputs) else None
        if given is not None:
            array = constant(given, values)
            if array is None or array.size != 1:
                return None
            bound = array.item()
        # by the standard a missing bound is the type's own; onnxruntime takes NaN as missing
        missing = bound is None or bound != bound
        bounds.append(default if missing else min(max(bound, limits.min), limits.max))
    number = float if dtype.kind == "f" else int
    low, high = (number(bound) for bound in bounds)
    return relax.op.clip(inputs[0], min(low, high), high)


def add_all(_: Any, inputs: Sequence[Expr], attrs: dict[str, Any], values: Values) -> Expr:
    """Make a Sum a chain of additions; TVM stacks its inputs and reduces."""
    total = inputs[0]
    for other in list(inputs)[1:]:
        total = relax.op.add(total, other)
    return total


def gather(_: Any, inputs: Sequence[Expr], attrs: dict[str, Any], values: Values) -> Expr | None:
    """Make a Gather of a tensor of known shape one ``take``; TVM asks for the shape at run time."""
    data, indices = inputs[0], inputs[1]
    known = isinstance(data, tvm.ir.GenericConst) and isinstance(indices, tvm.ir.GenericConst)
    shape = static_shape(data)
    if known or shape is None or static_shape(indices) is None:
        return None
    axis = int(attrs.get("axis", 0)) % len(shape)
    extent = shape[axis]
    dtype = str(indices.ty.dtype.dtype)
    array = constant(indices, values)
    if array is not None:
        if ((array < -extent) | (array >= extent)).any():
            raise ValueError(f"an index is outside its axis, which has {extent} entries")
        positive = np.where(array < 0, array + extent, array).astype(array.dtype)
        return relax.op.take(data, relax.const(positive, dtype), axis)
    if not dtype.startswith("uint"):
        negative = relax.op.less(indices, relax.const(0, dtype))
        wrapped = relax.op.add(indices, relax.const(extent, dtype))
        indices = relax.op.where(negative, wrapped, indices)
    return relax.op.take(data, indices, axis)


CONVERTERS: Mapping[str, Converter] = {"Clip": clip, "Sum": add_all, "Gather": gather}

PADDED = frozenset({"Conv", "MaxPool", "AveragePool"})
"""Operators whose ``auto_pad`` becomes explicit pads."""


def explicit_pads(inputs: Sequence[Expr], attrs: dict[str, Any]) -> None:
    """Replace the attribute ``auto_pad`` by ``pads``, so that a plain layer results.

    TVM pads in a kernel of its own, and its SAME_LOWER pooling rounds the wrong way.
    """
    mode = attrs.get("auto_pad", b"NOTSET")
    mode = mode.decode() if isinstance(mode, bytes) else mode
    shape = static_shape(inputs[0])
    if mode not in ("SAME_UPPER", "SAME_LOWER", "VALID") or shape is None:
        return
    sizes = shape[2:]
    kernel = attrs.get("kernel_shape") or (static_shape(inputs[1]) or ())[2:]
    strides = attrs.get("strides") or [1] * len(sizes)
    dilations = attrs.get("dilations") or [1] * len(sizes)
    before, after = [], []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        covered = (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1
        total = 0 if mode == "VALID" else max(covered - size, 0)
        less, more = total // 2, total - total // 2
        before.append(less if mode == "SAME_UPPER" else more)
        after.append(more if mode == "SAME_UPPER" else less)
    del attrs["auto_pad"]
    attrs["pads"] = (*before, *after)


def constant(expr: Expr, values: Values) -> np.ndarray | None:
    """Return the value of a constant or of a parameter, None of anything else."""
    if isinstance(expr, tvm.ir.GenericConst):
        return expr.value.numpy()
    if isinstance(expr, relax.Var) and expr.name in values:
        return values[expr.name][1].numpy()
    return None


def static_shape(expr: Expr) -> tuple[int, ...] | None:
    """Return the shape of a tensor, None where it is no tensor or a dimension is not known."""
    kind = getattr(expr, "ty", None)
    if not isinstance(kind, relax.TensorType) or kind.shape is None:
        return None
    dims = getattr(kind.shape, "values", None)
    if dims is None or not all(isinstance(n, tvm.tirx.IntImm) for n in dims):
        return None
    return tuple(int(n) for n in dims)
