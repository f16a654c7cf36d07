"""Layers and connections left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import relax

from pytest_mutatenn.operators.graph.operand import depth, shape_of
from pytest_mutatenn.operators.registry import operator


def _norm(x: Any, vector: Any) -> Any:
    return relax.op.nn.batch_norm(x, vector, vector, vector, vector, axis=1)


def _conv(image: Any, kernel: Any) -> Any:
    return relax.op.nn.conv2d(image, kernel, padding=1)


@operator(
    "drop_batch_norm",
    category="layer",
    stages=["graph"],
    on="relax.nn.batch_norm",
    groups=["default"],
    example=lambda image, vector: (
        _norm(image, vector),
        relax.Tuple([image, vector, vector]),
    ),
)
def drop_batch_norm(call: Any) -> Iterator[Any]:
    """Leave a batch norm out: what goes in comes out.

    DeepMutation's layer removal (LR), made in the compiled network.
    """
    # the layer gives its statistics too; in inference they are what it was given
    yield relax.Tuple([call.args[0], call.args[3], call.args[4]])


@operator(
    "drop_residual",
    category="layer",
    stages=["graph"],
    on="relax.add",
    groups=["default"],
    example=lambda image, kernel: (
        relax.op.add(image, _conv(image, kernel)),
        _conv(image, kernel),
    ),
)
def drop_residual(call: Any) -> Iterator[Any]:
    """Leave a residual connection's shortcut out: only the branch with the layers remains.

    The shortcut is the operand that has passed fewer convolutions and matrix products; where both
    have passed as many, none is a shortcut. A bias is none either: no input lies before it.
    """
    left, right = call.args
    left_depth, right_depth = depth(left), depth(right)
    if left_depth is None or right_depth is None or shape_of(left) != shape_of(right):
        return
    if left_depth != right_depth:
        yield left if left_depth > right_depth else right
