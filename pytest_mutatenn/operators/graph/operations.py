"""What can be done to one tensor: the operations of the input/output family, by name.

An operation is a function from a tensor to what takes its place, none where it does not apply.
Its keyword-only arguments are parameters of every operator made of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.graph.operand import shape_of

op = relax.op


@dataclass(frozen=True)
class Operation:
    """A change of one tensor; ``verb`` begins the sentence that says so."""

    change: Callable[..., Iterator[Any]]
    verb: str


def swapped_axes(tensor: Any) -> Iterator[Any]:
    """The tensor with two equal-sized axes (longer than one) swapped, for the last such pair.

    The last pair is the image's height and width, or a weight's window: shapes stay as they are.
    """
    shape = shape_of(tensor) or []
    pairs = [
        (i, j) for i, j in itertools.combinations(range(len(shape)), 2) if shape[i] == shape[j] > 1
    ]
    if pairs:
        axes = list(range(len(shape)))
        i, j = pairs[-1]
        axes[i], axes[j] = axes[j], axes[i]
        yield op.permute_dims(tensor, axes)


def clipped(tensor: Any, *, low: float = -1.0, high: float = 1.0) -> Iterator[Any]:
    """The tensor between two bounds, by default those of normalised images."""
    yield op.clip(tensor, min(low, high), max(low, high))


def scaled(tensor: Any, *, factor: float = 2.0) -> Iterator[Any]:
    """The tensor times a number."""
    yield op.multiply(tensor, relax.const(factor, str(tensor.ty.dtype)))


def zeroed(tensor: Any) -> Iterator[Any]:
    """The tensor times zero, so that the rest of the network still has an input."""
    yield from scaled(tensor, factor=0.0)


def _by(function: Callable[[Any], Any]) -> Callable[[Any], Iterator[Any]]:
    def change(tensor: Any) -> Iterator[Any]:
        yield function(tensor)

    return change


_FUNCTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "abs": (op.abs, "Take the absolute value of"),
    "ceil": (op.ceil, "Round up"),
    "cos": (op.cos, "Take the cosine of"),
    "erf": (op.erf, "Take the error function of"),
    "exp": (op.exp, "Take the exponential of"),
    "floor": (op.floor, "Round down"),
    "log": (op.log, "Take the logarithm of"),
    "negate": (op.negative, "Change the sign of"),
    "relu": (op.nn.relu, "Drop the negative part of"),
    "round": (op.round, "Round to whole numbers"),
    "rsqrt": (op.rsqrt, "Take the reciprocal square root of"),
    "sigmoid": (op.sigmoid, "Take the sigmoid of"),
    "sign": (op.sign, "Keep only the sign of"),
    "sin": (op.sin, "Take the sine of"),
    "sqrt": (op.sqrt, "Take the square root of"),
    "square": (op.square, "Square"),
    "tan": (op.tan, "Take the tangent of"),
    "tanh": (op.tanh, "Take the hyperbolic tangent of"),
}

OPERATIONS: dict[str, Operation] = {
    **{name: Operation(_by(function), verb) for name, (function, verb) in _FUNCTIONS.items()},
    "clip": Operation(clipped, "Clip to `low` and `high`"),
    "scale": Operation(scaled, "Multiply by `factor`"),
    "transpose": Operation(swapped_axes, "Swap two equal-sized axes of"),
    "zero": Operation(zeroed, "Set to zero"),
}
